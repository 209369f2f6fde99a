"""Normalisations as layers: of rows, of groups of channels, and by averages that are known."""
