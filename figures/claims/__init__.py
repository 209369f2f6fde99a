"""Figures of what others have said."""
