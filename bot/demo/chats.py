"""A chat and its messages, as both sides see them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

from bot.demo.entities import Formatted
from bot.demo.files import Attachment
from bot.demo.refusals import Json
from bot.demo.scanning import scan

if TYPE_CHECKING:
    from bot.demo.people import Person

PREVIEW = 40
_NAMES = {"photo": "Photo", "document": "Document", "voice": "Voice message", "sticker": "Sticker"}


@lru_cache(maxsize=256)
def _scanned(picture: bytes) -> str | None:
    return scan(picture)


@dataclass(frozen=True, slots=True)
class Toast:
    """What answerCallbackQuery made a phone show: a short line, or an alert to be closed."""

    text: str
    alert: bool
    at: datetime


@dataclass(slots=True)
class Message:
    """One message of a chat; `text` is what the phone shows, be it a text or a caption."""

    chat: Chat
    id: int
    date: datetime
    sender: Person | None
    formatted: Formatted
    attachment: Attachment | None = None
    inline_keyboard: list[list[Json]] | None = None
    had_reply_keyboard: bool = False
    silent: bool = False
    protected: bool = False
    reply_to: int | None = None
    album: str | None = None
    edited_at: datetime | None = None
    contact: Json | None = None
    location: Json | None = None
    start_code: str | None = None

    @property
    def from_bot(self) -> bool:
        """Whether the bot wrote it."""
        return self.sender is None

    @property
    def text(self) -> str:
        """The visible text or caption; a Start button's message shows no code."""
        return self.formatted.text

    @property
    def entities(self) -> tuple[Json, ...]:
        """The formatting of the visible text, in UTF-16 units."""
        return self.formatted.entities

    @property
    def buttons(self) -> tuple[tuple[str, ...], ...]:
        """The labels under the message, row by row."""
        return tuple(tuple(str(b["text"]) for b in row) for row in self.inline_keyboard or [])

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels under the message, in reading order."""
        return tuple(label for row in self.buttons for label in row)

    @property
    def edited(self) -> bool:
        """Whether the phone marks it as edited."""
        return self.edited_at is not None

    @property
    def photo(self) -> bytes | None:
        """The bytes of its photo."""
        return self.attachment.data if self.attachment and self.attachment.kind == "photo" else None

    @property
    def code(self) -> str | None:
        """The text of the QR code that its photo shows, read from the picture itself."""
        return _scanned(self.photo) if self.photo else None

    @property
    def document(self) -> Attachment | None:
        """Its document: `name`, `mime`, `data`."""
        return self.attachment if self.attachment and self.attachment.kind == "document" else None

    @property
    def voice(self) -> bytes | None:
        """The bytes of its voice note."""
        return self.attachment.data if self.attachment and self.attachment.kind == "voice" else None

    @property
    def kind(self) -> str:
        """text, photo, document, voice, sticker, video, contact or location."""
        if self.attachment:
            return self.attachment.kind
        return "contact" if self.contact else "location" if self.location else "text"

    @property
    def preview(self) -> str:
        """What a locked phone shows of it: the first 40 characters."""
        line = " ".join(self.text.split()) or _NAMES.get(self.kind, self.kind.title())
        return line if len(line) <= PREVIEW else line[:PREVIEW] + "…"

    def api(self, me: Json, *, nested: bool = False) -> Json:
        """The message as the Bot API shows it to the bot."""
        api: Json = {
            "message_id": self.id,
            "from": me if self.sender is None else self.sender.api,
            "chat": self.chat.api,
            "date": int(self.date.timestamp()),
        }
        if self.edited_at is not None:
            api["edit_date"] = int(self.edited_at.timestamp())
        if self.reply_to is not None and not nested:
            replied = self.chat.find(self.reply_to)
            if replied is not None:
                api["reply_to_message"] = replied.api(me, nested=True)
        if self.album is not None:
            api["media_group_id"] = self.album
        if self.protected:
            api["has_protected_content"] = True
        text = f"{self.text} {self.start_code}" if self.start_code else self.text
        key = "caption" if self.attachment else "text"
        if self.attachment:
            api[self.attachment.kind] = self.attachment.api
        elif self.contact:
            api["contact"] = self.contact
        elif self.location:
            api["location"] = self.location
        if text:
            api[key] = text
            if self.entities:
                api["caption_entities" if self.attachment else "entities"] = list(self.entities)
        if self.inline_keyboard:
            api["reply_markup"] = {"inline_keyboard": self.inline_keyboard}
        return api


@dataclass(slots=True)
class Chat:
    """A private chat of one person with the bot, or a group."""

    id: int
    type: str
    person: Person | None = None
    title: str = ""
    messages: list[Message] = field(default_factory=list)
    keyboard: Json | None = None
    force_reply: bool = False
    bot_is_member: bool = True
    upgraded_to: int | None = None
    action: str = ""
    last_id: int = 0
    _by_id: dict[int, Message] = field(default_factory=dict, repr=False)

    @property
    def api(self) -> Json:
        """The chat as the Bot API shows it."""
        if self.person is None:
            return {"id": self.id, "type": self.type, "title": self.title}
        person = {k: v for k, v in self.person.api.items() if k in ("first_name", "username")}
        return {"id": self.id, "type": self.type, **person}

    def next_id(self) -> int:
        """The next message's id, rising within this chat."""
        self.last_id += 1
        return self.last_id

    def add(self, message: Message) -> None:
        """The message stands at the end of the chat."""
        self.messages.append(message)
        self._by_id[message.id] = message

    def find(self, message_id: int) -> Message | None:
        """The message with this id, unless it was deleted."""
        return self._by_id.get(message_id)

    def remove(self, message: Message) -> None:
        """The message is gone for both sides."""
        self.messages.remove(message)
        del self._by_id[message.id]
