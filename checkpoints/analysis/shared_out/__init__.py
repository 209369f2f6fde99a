"""One analysis, shared out over the ranks of a job."""
