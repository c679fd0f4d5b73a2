"""What the bot does, one transaction at a time."""
