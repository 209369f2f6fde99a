"""The flags of the commands: how they are made, those that commands share, and their values."""
