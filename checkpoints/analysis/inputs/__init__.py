"""Which data an analysis is of, and what of them is held in memory."""
