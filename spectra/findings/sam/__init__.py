"""What SAM does to a step along a direction, and how sure that is."""
