"""Lanczos and what is read off its recurrence: quadrature, extreme pairs, bounds from outside."""
