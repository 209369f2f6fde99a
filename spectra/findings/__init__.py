"""What is said of one loss: certificates, intervals, the verdict."""
