"""Commands that hand results to other programs: trackers of experiments, BibTeX."""
