"""Reading a network as steps of known layers."""
