"""What the loss does away from w: stationary points near by, and what bending adds to a step."""
