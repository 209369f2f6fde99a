"""Training recipes: descriptions of losses, weights and schedules; nothing runs here."""

from typing import TYPE_CHECKING

from spectra._moved import old_names

if not TYPE_CHECKING:
    __getattr__ = old_names(__name__)
