"""Training recipes: descriptions of losses, weights and schedules; nothing runs here."""
