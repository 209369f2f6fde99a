"""Many small classes: several analyzed at once, each on one core."""
