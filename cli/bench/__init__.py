"""Our engine beside its peers: the same products and the same jobs, interleaved, in one run."""
