"""How fast and how small the bot is: ratios to a bare send loop of its library, one run."""
