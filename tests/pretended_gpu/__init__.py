"""Two pretended GPUs, and what the toolkit is put through on them, in a process of its own."""
