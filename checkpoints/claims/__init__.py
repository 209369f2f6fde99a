"""What others have said, measured at a checkpoint."""
