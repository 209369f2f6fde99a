"""What an analysis is going to take on this machine, before it is made."""
