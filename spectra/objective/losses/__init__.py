"""A caller's loss, fitted to the outputs of a network: how it is called, in which precision."""
