"""What a person can be told: each carries the name of its words, never a sentence."""

from collections.abc import Mapping
from typing import Any


class CareError(Exception):
    """Something that cannot be done and that one sentence explains; nothing was changed."""

    def __init__(self, template: str, values: Mapping[str, Any] | None = None) -> None:
        """Name the template under ``errors/`` and its values."""
        super().__init__(template)
        self.template = f"errors/{template}"
        self.values = dict(values or {})


class StaleButton(CareError):
    """The button's time has passed: what it stood for is no longer so."""

    def __init__(self) -> None:
        """Point to today's state instead."""
        super().__init__("stale_button")


class NotAllowed(CareError):
    """Whoever asks has no right to it."""

    def __init__(self) -> None:
        """Say so, and nothing about what exists."""
        super().__init__("not_allowed")
