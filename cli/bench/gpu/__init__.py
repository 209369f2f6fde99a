"""The suite for GPUs: all of its steps in their order, and the table at the end."""
