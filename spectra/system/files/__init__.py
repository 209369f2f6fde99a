"""How files are written, and who may write them."""
