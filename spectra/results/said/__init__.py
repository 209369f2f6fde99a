"""What a result says in plain English: short words, sentences, and what is unusual in it."""
