"""Work on the images that carry most of the curvature, judged on all."""
