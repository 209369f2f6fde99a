"""What a GPU is measured against: images, a network, and float64 results made on a CPU."""
