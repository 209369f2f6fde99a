"""The losses of single classes: which images, one analysis after the other, over a training."""
