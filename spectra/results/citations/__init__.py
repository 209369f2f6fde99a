"""What a result is to cite: the methods and data that it in fact rests on, as BibTeX."""
