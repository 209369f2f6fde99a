"""Bringing a file here whose SHA-256 is known."""
