"""Words rendered, buttons built, and the one place where a message is sent."""
