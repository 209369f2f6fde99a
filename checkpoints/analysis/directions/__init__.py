"""What is found along the directions of extreme curvature of a class."""
