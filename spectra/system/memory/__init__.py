"""Holding less memory: long vectors worked on in pieces."""
