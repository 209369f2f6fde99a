"""Handing the steps of a study to a cluster as jobs."""
