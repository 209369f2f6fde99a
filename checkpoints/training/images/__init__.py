"""How the images of a training's batches are made, wherever they lie."""
