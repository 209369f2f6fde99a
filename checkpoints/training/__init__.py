"""Training runs: request, loop, steps, and going on after an interruption."""

from typing import TYPE_CHECKING

from spectra._moved import old_names

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
