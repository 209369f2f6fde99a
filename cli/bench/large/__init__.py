"""What networks of 100 million weights take, against what is forecast."""
