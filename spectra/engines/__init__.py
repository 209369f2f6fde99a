"""Engines: different ways to the same quadrature, behind one signature."""
