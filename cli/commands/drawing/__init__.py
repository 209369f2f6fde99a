"""Commands that draw or write pages of stored results: no network, no products."""
