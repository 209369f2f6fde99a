"""Figures of the study that are its own."""
