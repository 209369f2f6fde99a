"""Products by a tangent pass over a chain of known layers."""

from typing import TYPE_CHECKING

from spectra._moved import old_names

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
