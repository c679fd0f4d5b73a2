"""Typed texts made plain: one line of a name, or words to compare whatever their case."""

import re
from collections.abc import Iterable

_APOSTROPHES = str.maketrans(dict.fromkeys("\u2018\u2019\u02bc\u00b4`", "'"))


# Letters and signs by their class, and yet nothing is seen of them: fillers, the blank of Braille,
# variation selectors.
_UNSEEN = {0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0, *range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)}


def one_line(text: str) -> str:
    """Return a name in one line, without what cannot be seen."""
    # Invisible characters could turn the line around or make two names look alike.
    visible = "".join(
        each for each in text if (each.isprintable() or each.isspace()) and ord(each) not in _UNSEEN
    )
    return " ".join(visible.split())


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
