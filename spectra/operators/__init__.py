"""Operators: what has a size and multiplies vectors, and the exact Hessian of a loss."""

from typing import TYPE_CHECKING

from spectra._moved import old_names

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
