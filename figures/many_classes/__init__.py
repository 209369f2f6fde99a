"""Figures of a thousand classes: by their size, and their groups over training."""
