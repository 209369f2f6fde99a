"""What the numerics ask of the machine: files, seeds, memory, clocks, precision, graphs."""
