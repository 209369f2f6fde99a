"""Ours and peers on the same work: products, extremes, densities."""
