"""Eight small networks of the kinds that people have, and what products with each cost in all."""
