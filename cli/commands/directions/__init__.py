"""Commands about the directions of extreme curvature of a class."""
