"""Files of what a protocol's recurrence leaves."""
