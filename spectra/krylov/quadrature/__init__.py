"""Spectral densities from the tridiagonal matrices of Lanczos runs."""
