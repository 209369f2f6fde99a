"""One page of results that anybody opens from disk: what stands in it, and how it is written."""
