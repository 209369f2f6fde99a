"""What a run keeps in its folder: the state that it goes on from, and its checkpoints."""
