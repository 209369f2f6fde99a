"""One command that puts a GPU through everything: right, fast, and what it cost, in one JSON."""
