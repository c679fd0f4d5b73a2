"""What one phone's screen shows, as JSON for the page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.demo.chats import Message
from bot.demo.people import CODE, Person, code_of
from bot.demo.refusals import Json

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram

LAST_MESSAGES = 300
NEIGHBOURS = 2


def phone(telegram: LocalTelegram, person: Person) -> Json:
    """The phone of one person: chat, keyboards, menu, toasts, settings."""
    keyboard = person.chat.keyboard
    waiting = {(number, data) for number, data, at in person.unanswered.values()
               if telegram.now() - at <= telegram.query_life}  # fmt: skip
    return {
        "id": person.id,
        "name": person.first_name,
        "language": person.language_code or "",
        "zone": person.time_zone,
        "blocked": person.blocked,
        "deleted": person.deleted,
        "opened": person.chat_opened,
        "started": person.started,
        "invited": person.pending_start is not None,
        "typing": bool(person.chat.action),
        "menu": telegram.menu(person),
        "keyboard": keyboard and [[_key(key) for key in row] for row in keyboard["keyboard"]],
        "placeholder": (keyboard or {}).get("input_field_placeholder", ""),
        "toasts": [{"text": toast.text, "alert": toast.alert} for toast in person.toasts],
        "messages": [
            message_on_screen(telegram, message, waiting)
            for message in person.chat.messages[-LAST_MESSAGES:]
        ],
    }


def message_on_screen(
    telegram: LocalTelegram, message: Message, waiting: set[tuple[int, str]]
) -> Json:
    """One bubble; `scan` is the link that a picture's code opens."""
    attachment = message.attachment
    replied = message.chat.find(message.reply_to) if message.reply_to else None
    return {
        "id": message.id,
        "own": not message.from_bot,
        "date": message.date.isoformat(timespec="seconds"),
        "kind": message.kind,
        "text": message.text,
        "entities": list(message.entities),
        "preview": message.preview,
        "edited": message.edited,
        "silent": message.silent,
        "protected": message.protected,
        "album": message.album,
        "reply": replied and {"name": _author(telegram, replied), "text": replied.preview},
        "file": attachment
        and {
            "url": f"/demo/files/{attachment.unique_id}",
            "name": attachment.name,
            "size": len(attachment.data),
        },
        "contact": message.contact and message.contact["phone_number"],
        "location": message.location,
        "scan": _scan(telegram, message),
        "buttons": [
            [_button(message, button, waiting) for button in row]
            for row in message.inline_keyboard or []
        ],
    }


def _author(telegram: LocalTelegram, message: Message) -> str:
    return str(telegram.me["first_name"]) if message.sender is None else message.sender.first_name


def _key(key: Json) -> Json:
    kind = "contact" if key.get("request_contact") else ""
    return {
        "text": key["text"],
        "kind": kind or ("location" if key.get("request_location") else ""),
    }


def _button(message: Message, button: Json, waiting: set[tuple[int, str]]) -> Json:
    return {
        "text": button["text"],
        "url": button.get("url", ""),
        "copy": (button.get("copy_text") or {}).get("text", ""),
        "waiting": (message.id, button.get("callback_data")) in waiting,
    }


def _scan(telegram: LocalTelegram, message: Message) -> str | None:
    """The link behind a picture: in its code, caption or buttons, or in a message beside it."""
    if message.kind != "photo" or not message.from_bot:
        return None
    if message.code and code_of(message.code, telegram.username):
        return message.code
    chat = message.chat
    near = (chat.find(message.id + step) for step in range(-NEIGHBOURS, NEIGHBOURS + 1))
    for one in [message, *(m for m in near if m is not None and m.from_bot)]:
        for link in _links(one):
            code = code_of(link, telegram.username)
            if code and CODE.fullmatch(code):
                return link
    return None


def _links(message: Message) -> list[str]:
    """Every address in a message: written, behind words, behind buttons."""
    units = message.text.encode("utf-16-le")
    links = []
    for entity in message.entities:
        if entity["type"] == "text_link":
            links.append(str(entity["url"]))
        elif entity["type"] in ("url", "code"):
            start, end = 2 * entity["offset"], 2 * (entity["offset"] + entity["length"])
            links.append(units[start:end].decode("utf-16-le"))
    links += [str(b["url"]) for row in message.inline_keyboard or [] for b in row if "url" in b]
    return links
