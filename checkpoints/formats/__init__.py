"""File formats of checkpoints: our own, and other people's."""
