"""Telegram's updates: committed raw, then acknowledged, then handled in order per chat."""
