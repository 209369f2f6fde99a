"""What a run of the suite is asked for, what it has done, and what of that is sent."""
