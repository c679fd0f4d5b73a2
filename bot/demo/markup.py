"""Keyboards as the server takes them: what it refuses, and what it cuts in silence."""

from __future__ import annotations

import json

from bot.demo.entities import host_is_valid
from bot.demo.refusals import BUTTON_BARE, BUTTON_DATA, Json, bad

ROW_LIMIT = 12
BUTTON_LIMIT = 300
_ACTIONS = (
    "url",
    "callback_data",
    "web_app",
    "login_url",
    "switch_inline_query",
    "switch_inline_query_current_chat",
    "switch_inline_query_chosen_chat",
    "copy_text",
    "callback_game",
    "pay",
)


def parsed(value: object) -> Json | None:
    """A reply_markup as given (JSON text or an object), checked; None when it holds no button."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise bad("can't parse reply keyboard markup JSON object") from None
    if not isinstance(value, dict):
        raise bad("object expected as reply markup")
    if "inline_keyboard" in value:
        rows = _cut(value["inline_keyboard"], "inline keyboard")
        return {"inline_keyboard": [[_inline(b) for b in row] for row in rows]} if rows else None
    if "keyboard" in value:
        rows = _cut(value["keyboard"], "keyboard")
        return {**value, "keyboard": [[_key(b) for b in row] for row in rows]} if rows else None
    if value.get("remove_keyboard") or value.get("force_reply"):
        return value
    return None


def is_inline(markup: Json | None) -> bool:
    """Whether a checked markup may stay on an edited message."""
    return markup is None or "inline_keyboard" in markup


def _cut(rows: object, name: str) -> list[list[Json | str]]:
    """Rows without nameless buttons, at most 12 wide and 300 in all."""
    if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
        raise bad(f'field "{name.replace(" ", "_")}" of the ReplyMarkup must be an Array of Arrays')
    kept: list[list[Json | str]] = []
    left = BUTTON_LIMIT
    for row in rows:
        buttons = [b for b in row if (b if isinstance(b, str) else b.get("text"))]
        buttons = buttons[: min(ROW_LIMIT, left)]
        left -= len(buttons)
        if buttons:
            kept.append(buttons)
    return kept


def _inline(button: Json | str) -> Json:
    if isinstance(button, str) or not any(action in button for action in _ACTIONS):
        raise bad(BUTTON_BARE)
    if "url" in button:
        url = str(button["url"])
        scheme = url.split("://")[0] if "://" in url else "http"
        if scheme not in ("http", "https", "tg", "ton"):
            raise bad(f"inline keyboard button URL '{url}' is invalid: Unsupported URL protocol")
        if not host_is_valid(url):
            raise bad(f"inline keyboard button URL '{url}' is invalid: Wrong HTTP URL")
    for action in ("web_app", "login_url"):
        if action in button and not str(button[action].get("url", "")).startswith("https://"):
            url = button[action].get("url", "")
            raise bad(
                f"inline keyboard button Web App URL '{url}' is invalid: "
                "Only HTTPS links are allowed"
            )
    if "callback_data" in button and not 1 <= len(str(button["callback_data"]).encode()) <= 64:
        raise bad(BUTTON_DATA)
    if "copy_text" in button and not 1 <= len(str(button["copy_text"].get("text", ""))) <= 256:
        raise bad("BUTTON_COPY_TEXT_INVALID")
    return button


def _key(button: Json | str) -> Json:
    return {"text": button} if isinstance(button, str) else button
