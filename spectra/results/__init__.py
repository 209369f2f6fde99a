"""The result file: what is stored, and how it is read."""

from typing import TYPE_CHECKING

from spectra._moved import old_names

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
