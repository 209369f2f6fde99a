"""Results of what others have said, and their files."""
