"""What a network is given and gives: samples of several tensors, calls, outputs, chunks."""
