"""What a file asks to be imported, and is not."""

raise AssertionError("a file had this imported")
