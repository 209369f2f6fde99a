"""The walk to a stationary point: its units, steps and rounds, and what is known at its end."""
