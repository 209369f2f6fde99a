"""What the tables of each kind of result hold, and what is unusual in them."""
