"""Products of several small losses in one pass: a block-diagonal matrix, a block a loss."""
