"""The result file: what is stored, and how it is read."""
