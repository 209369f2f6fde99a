"""Many recipes and seeds, from training to tables."""
