"""The operator's own network: made fit for second derivatives, and left as it was found."""
