"""Layers of networks that read sequences: embeddings, attention, recurrent layers."""
