"""Layers whose tangent passes are written out, each a function of values that are given to it.

A parameter is a value among others: its tangent is a piece of the direction, and the tangent of its
cotangent a piece of the product.
"""

from typing import TYPE_CHECKING

from spectra._moved import old_names

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
