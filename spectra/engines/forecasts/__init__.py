"""What an analysis is going to take: products, and memory."""
