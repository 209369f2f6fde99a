"""Operators of many losses of one network: what they share, and one pass that judges each."""
