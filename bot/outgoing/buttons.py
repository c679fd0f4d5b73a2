"""Buttons: what one carries back (short ids, 64 bytes at most), and how a keyboard is built."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from telegram import (
    CopyTextButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    ReplyKeyboardMarkup,
)

from bot.outgoing.catalogue import Catalogue

# Buttons live for ever in chats: a changed format gets a new number and the old one stays readable.
_VERSION = "1"
DATA_BYTES = 64


@dataclass(frozen=True, slots=True)
class Button:
    """One inline button: a label by key (``buttons`` section) or literal text, and what it does."""

    label: str = ""
    text: str = ""
    data: str = ""
    copies: str = ""

    def row(self) -> dict[str, str]:
        """Return the button as it is kept in a message's sealed column."""
        pairs = {
            "label": self.label,
            "text": self.text,
            "data": self.data,
            "copies": self.copies,
        }
        return {key: value for key, value in pairs.items() if value}


def pack(action: str, *values: str) -> str:
    """Return callback data for ``action``; raises ``ValueError`` above Telegram's 64 bytes."""
    data = ":".join((_VERSION, action, *values))
    if len(data.encode()) > DATA_BYTES:
        raise ValueError(f"button data of {action!r} is longer than {DATA_BYTES} bytes")
    return data


def unpack(data: str) -> tuple[str, tuple[str, ...]]:
    """Return the action and its values; an unknown format gives an empty action."""
    version, _, rest = data.partition(":")
    action, *values = rest.split(":")
    return (action, tuple(values)) if version == _VERSION else ("", ())


def pattern(*actions: str) -> str:
    """Return the regular expression that matches the data of these actions."""
    return rf"^{_VERSION}:(?:{'|'.join(actions)})(?::|$)"


def labels(
    catalogue: Catalogue, language: str, rows: Sequence[Sequence[Mapping[str, str]]]
) -> list[str]:
    """Return what stands on the buttons, row after row."""
    return [_label(catalogue, language, button) for row in rows for button in row]


def apart(
    catalogue: Catalogue, language: str, rows: Sequence[Sequence[Mapping[str, str]]]
) -> list[Sequence[Mapping[str, str]]]:
    """Return the rows of one button each without those that read like one above them."""
    first: dict[str, Sequence[Mapping[str, str]]] = {}
    for row in rows:
        first.setdefault(" ".join(labels(catalogue, language, [row])), row)
    return list(first.values())


def _label(catalogue: Catalogue, language: str, button: Mapping[str, str]) -> str:
    key = button.get("label")
    return catalogue.label(language, "buttons", key) if key else button["text"]


def inline(
    catalogue: Catalogue, language: str, rows: Sequence[Sequence[Mapping[str, str]]]
) -> InlineKeyboardMarkup | None:
    """Return the keyboard under a message, or nothing when it has no buttons."""
    if not rows:
        return None
    return InlineKeyboardMarkup(
        [[_inline(_label(catalogue, language, b), b) for b in row] for row in rows]
    )


def _inline(text: str, button: Mapping[str, str]) -> InlineKeyboardButton:
    if "copies" in button:
        return InlineKeyboardButton(text, copy_text=CopyTextButton(button["copies"]))
    return InlineKeyboardButton(text, callback_data=button["data"])


def menu(
    catalogue: Catalogue, language: str, keys: Sequence[Sequence[str]], shares_contact: str = ""
) -> ReplyKeyboardMarkup:
    """Return the keyboard that stays at the bottom of the chat; one key may share the contact."""
    return ReplyKeyboardMarkup(
        [
            [
                KeyboardButton(
                    catalogue.label(language, "buttons", key),
                    request_contact=True if key == shares_contact else None,
                )
                for key in row
            ]
            for row in keys
        ],
        resize_keyboard=True,
        is_persistent=True,
    )


def jsonable(rows: Sequence[Sequence[Button]]) -> list[list[dict[str, Any]]]:
    """Return rows of buttons as they are kept with a message."""
    return [[button.row() for button in row] for row in rows]
