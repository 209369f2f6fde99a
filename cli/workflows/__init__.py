"""Plain functions that string the rooms together: train, analyze, trajectory, pipeline."""
