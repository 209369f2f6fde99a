"""Commands about the published protocol."""
