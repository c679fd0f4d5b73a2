"""Aftercare Bot: from the end of a treatment to a healed skin and the next session."""

__version__ = "0.1.0"
