"""Operators: what has a size and multiplies vectors, and the exact Hessian of a loss."""
