"""Steps of training: one rule a file, how a step gets the gradient that the optimizer follows."""
