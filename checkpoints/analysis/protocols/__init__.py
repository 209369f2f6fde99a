"""What the published protocol is made of, at a checkpoint."""
