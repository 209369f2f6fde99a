"""The digits study: its stored summary, and what the documents say of it."""
