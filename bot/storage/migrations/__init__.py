"""The schema's history; each step stands alone and imports nothing from the bot."""
