"""Products by a tangent pass over a chain of known layers."""
