"""The steps of the suite, one a file: each takes the run and its own items, and returns nothing."""
