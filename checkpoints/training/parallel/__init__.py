"""Training in several processes (ranks), each of which has a part of every batch."""
