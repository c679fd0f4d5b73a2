"""Typed texts compared with lists of words: case, punctuation and spacing make no difference."""

import re
from collections.abc import Iterable

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"))


def simplified(text: str) -> str:
    """Return the words of a text in small letters, one space between them."""
    lowered = text.lower().translate(_APOSTROPHES)
    parts = (part.strip("-'_") for part in re.sub(r"[^\w'-]+", " ", lowered).split())
    return " ".join(part for part in parts if part)


def holds(text: str, phrases: Iterable[str]) -> bool:
    """Say whether a simplified text holds one of the phrases as whole words."""
    return any(f" {phrase} " in f" {text} " for phrase in phrases)


def left_over(text: str, phrases: Iterable[str]) -> str:
    """Return what remains of a simplified text without the phrases, the longest taken out first."""
    for phrase in sorted(phrases, key=len, reverse=True):
        text = re.sub(rf"(?<!\S){re.escape(phrase)}(?!\S)", " ", text)
    return " ".join(text.split())
