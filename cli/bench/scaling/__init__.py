"""How much faster several processes make the products of one loss."""
