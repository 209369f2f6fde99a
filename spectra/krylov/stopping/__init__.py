"""When a run has converged: what residuals say, and what they cannot say."""
