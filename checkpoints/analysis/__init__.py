"""Spectra of checkpoints: one, along a trajectory, under several choices of images."""
