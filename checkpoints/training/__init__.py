"""Training runs: request, loop, steps, and going on after an interruption."""
