"""People and what they do with their phones: everything here happens as if fingers had done it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from bot.demo.chats import Chat, Message, Toast
from bot.demo.entities import Formatted, typed
from bot.demo.files import Attachment
from bot.demo.refusals import Json

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram

CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class PhoneError(AssertionError):
    """Something that this phone cannot do now: no such button, a blocked bot, a wrong link."""


class Person:
    """Somebody with a phone: a name, a language, a time zone, and one chat with the bot."""

    def __init__(
        self,
        telegram: LocalTelegram,
        number: int,
        first_name: str,
        username: str | None,
        language_code: str | None,
        time_zone: str,
    ) -> None:
        self._telegram = telegram
        self.id = number
        self.first_name = first_name
        self.last_name = ""
        self.username = username
        self.language_code = language_code
        self.time_zone = time_zone
        self.phone = f"+1555{number % 10_000_000:07d}"
        self.chat = Chat(number, "private", self)
        self.started = False
        self.blocked = False
        self.deleted = False
        self.chat_opened = False
        self.pending_start: str | None = None
        self.toasts: list[Toast] = []
        self.opened_links: list[str] = []
        self.unanswered: dict[str, tuple[int, str, datetime]] = {}

    def __repr__(self) -> str:
        return f"Person({self.first_name!r}, {self.id})"

    @property
    def api(self) -> Json:
        """The person as the Bot API shows them."""
        api: Json = {"id": self.id, "is_bot": False, "first_name": self.first_name}
        if self.last_name:
            api["last_name"] = self.last_name
        if self.username:
            api["username"] = self.username
        if self.language_code:
            api["language_code"] = self.language_code
        return api

    # what the phone shows

    @property
    def messages(self) -> list[Message]:
        """The chat as this phone shows it, oldest first."""
        return list(self.chat.messages)

    @property
    def received(self) -> list[Message]:
        """The bot's messages in the chat, oldest first."""
        return [message for message in self.chat.messages if message.from_bot]

    @property
    def last_message(self) -> Message:
        """The newest message of the bot; PhoneError when there is none."""
        received = self.received
        if not received:
            raise PhoneError(f"{self.first_name} has heard nothing from the bot")
        return received[-1]

    @property
    def reply_keyboard(self) -> tuple[tuple[str, ...], ...]:
        """The labels of the keyboard under the chat, row by row."""
        rows = self.chat.keyboard["keyboard"] if self.chat.keyboard else []
        return tuple(tuple(str(key["text"]) for key in row) for row in rows)

    async def hears(
        self,
        wanted: str | Callable[[Message], bool],
        within: float = 20.0,
        after: Message | int = 0,
    ) -> Message:
        """The newest message of the bot that holds this text (or fits), after the given one;
        waits for it.
        """
        last = after if isinstance(after, int) else after.id

        def fits(message: Message) -> bool:
            return wanted in message.text if isinstance(wanted, str) else wanted(message)

        def found() -> Message | None:
            newest = (m for m in reversed(self.chat.messages) if m.from_bot and m.id > last)
            return next((message for message in newest if fits(message)), None)

        heard = "; ".join(repr(message.text[:60]) for message in self.received[-3:])
        what = f"{self.first_name} hears {wanted!r} (heard last: {heard or 'nothing'})"
        return await self._telegram.wait_for(found, within, what)

    async def gets(self, count: int, within: float = 20.0) -> list[Message]:
        """The bot's messages once there are at least so many of them."""
        what = f"{self.first_name} gets {count} messages"
        await self._telegram.wait_for(lambda: len(self.received) >= count, within, what)
        return self.received

    # what the fingers do

    async def opens(self, link: str, *, press_start: bool = True) -> None:
        """A link to the bot is opened and, unless told otherwise, Start is pressed; a wrong link
        is a PhoneError.
        """
        code = self._telegram.start_code(link)
        if code is None:
            self.opened_links.append(link)
            return
        self.chat_opened = True
        self.pending_start = code or None
        self._telegram.bell.ring()
        if press_start:
            await self.starts(code or None)

    async def starts(self, code: str | None = None) -> Message:
        """Start is pressed: `/start` with the code, after unblocking the bot if need be."""
        if code is not None and not CODE.fullmatch(code):
            raise PhoneError(f"not a code that Telegram passes on: {code!r}")
        if self.blocked:
            await self.unblocks()
        self.chat_opened = self.started = True
        self.pending_start = None
        message = self._message(typed("/start"))
        message.start_code = code
        return self._goes(message)

    async def says(self, text: str, *, reply_to: Message | None = None) -> Message:
        """A text is typed and goes to the bot."""
        formatted = typed(text)
        if not formatted.text or len(formatted.text) > 4096:
            raise PhoneError("a phone sends texts of 1 to 4096 characters")
        message = self._message(formatted)
        message.reply_to = reply_to.id if reply_to else None
        self.chat.force_reply = False
        return self._goes(message)

    async def taps(
        self, label_or_data: str, message: Message | None = None, *, inaccessible: bool = False
    ) -> str:
        """A button under a message is tapped (the newest that has it); answers the callback
        query's id, or "" for a link.
        """
        message, button = self._button(label_or_data, message)
        if "callback_data" not in button:
            if "url" in button:
                await self.opens(str(button["url"]))
            return ""
        self._able()
        number = self._telegram.next_query_id()
        data = str(button["callback_data"])
        now = self._telegram.now()
        self.unanswered[number] = (message.id, data, now)
        shown = message.api(self._telegram.me)
        if inaccessible:
            shown = {"chat": self.chat.api, "message_id": message.id, "date": 0}
        query = {
            "id": number,
            "from": self.api,
            "message": shown,
            "chat_instance": str(-(self.id * 7919)),
            "data": data,
        }
        self._telegram.queries[number] = (self, now)
        self._telegram.updates.add("callback_query", query, self.id)
        self._telegram.bell.ring()
        return number

    async def presses(self, label: str) -> Message:
        """A key of the keyboard under the chat is pressed; a key that shares a contact or a
        place shares it.
        """
        keys = [k for row in (self.chat.keyboard or {}).get("keyboard", []) for k in row]
        key = next((k for k in keys if k["text"] == label), None)
        if key is None:
            raise PhoneError(f"no key {label!r}; there are {[k['text'] for k in keys]}")
        if (self.chat.keyboard or {}).get("one_time_keyboard"):
            self.chat.keyboard = None
        if key.get("request_contact"):
            return await self.sends_contact()
        if key.get("request_location"):
            return await self.sends_location(52.52, 13.405)
        return await self.says(label)

    async def sends_photo(self, data: bytes, caption: str = "") -> Message:
        """A picture goes to the bot as a photo."""
        return self._sends(self._telegram.files.add("photo", data), caption)

    async def sends_document(
        self, data: bytes, name: str, mime: str = "application/octet-stream", caption: str = ""
    ) -> Message:
        """A file goes to the bot as it is."""
        return self._sends(self._telegram.files.add("document", data, name, mime), caption)

    async def sends_voice(self, data: bytes = b"OggS local voice note") -> Message:
        """A voice note of three seconds goes to the bot."""
        return self._sends(self._telegram.files.add("voice", data))

    async def sends_sticker(self, emoji: str = "🙂") -> Message:
        """A sticker goes to the bot."""
        return self._sends(self._telegram.files.add("sticker", b"RIFF local sticker", emoji))

    async def sends_location(self, latitude: float, longitude: float) -> Message:
        """A place goes to the bot."""
        message = self._message(Formatted(""))
        message.location = {"latitude": latitude, "longitude": longitude}
        return self._goes(message)

    async def sends_contact(self, of: Person | None = None, phone: str | None = None) -> Message:
        """A phone number goes to the bot: one's own, or another person's."""
        owner = of or self
        message = self._message(Formatted(""))
        message.contact = {
            "phone_number": phone or owner.phone,
            "first_name": owner.first_name,
            "user_id": owner.id,
        }
        return self._goes(message)

    async def sends_album(self, photos: Sequence[bytes], caption: str = "") -> list[Message]:
        """Two to ten pictures go to the bot as an album: one update each, the caption on the
        first.
        """
        if not 2 <= len(photos) <= 10:
            raise PhoneError("an album holds 2 to 10 pictures")
        album = self._telegram.next_album_id()
        files = [self._telegram.files.add("photo", data) for data in photos]
        return [
            self._sends(file, caption if not place else "", album)
            for place, file in enumerate(files)
        ]

    async def edits(self, message: Message, text: str) -> None:
        """One's own message has another text, and the bot hears of it."""
        if message.sender is not self:
            raise PhoneError("a phone edits its own messages only")
        self._able()
        message.formatted = typed(text)
        message.edited_at = self._telegram.now()
        self._telegram.updates.add("edited_message", message.api(self._telegram.me), self.id)
        self._telegram.bell.ring()

    async def removes(self, message: Message) -> None:
        """A message is deleted for both sides; the bot is not told."""
        self.chat.remove(message)
        self._telegram.bell.ring()

    async def blocks(self) -> None:
        """The bot is blocked, and hears of it."""
        if not self.blocked:
            self.blocked = True
            self._member("member", "kicked")

    async def unblocks(self) -> None:
        """The bot is no longer blocked, and hears of it."""
        if self.blocked:
            self.blocked = False
            self._member("kicked", "member")

    async def deletes_account(self) -> None:
        """The account is gone; the bot learns it from its next message's refusal."""
        self.deleted = True
        self._telegram.bell.ring()

    def closes_toasts(self) -> None:
        """Toasts and alerts are no longer shown."""
        self.toasts.clear()
        self._telegram.bell.ring()

    # how it is done

    def _able(self) -> None:
        if self.deleted:
            raise PhoneError(f"{self.first_name}'s account is deleted")
        if self.blocked:
            raise PhoneError(f"{self.first_name} has blocked the bot")

    def _message(self, formatted: Formatted) -> Message:
        self._able()
        return Message(self.chat, self.chat.next_id(), self._telegram.now(), self, formatted)

    def _sends(self, file: Attachment, caption: str = "", album: str | None = None) -> Message:
        message = self._message(typed(caption))
        message.attachment, message.album = file, album
        return self._goes(message)

    def _goes(self, message: Message) -> Message:
        self.started = self.chat_opened = True
        self.chat.add(message)
        self._telegram.updates.add("message", message.api(self._telegram.me), self.id)
        self._telegram.bell.ring()
        return message

    def _member(self, before: str, after: str) -> None:
        def member(status: str) -> Json:
            more: Json = {"until_date": 0} if status == "kicked" else {}
            return {"user": self._telegram.me, "status": status, **more}

        change = {
            "chat": self.chat.api,
            "from": self.api,
            "date": int(self._telegram.now().timestamp()),
            "old_chat_member": member(before),
            "new_chat_member": member(after),
        }
        self._telegram.updates.add("my_chat_member", change, self.id)
        self._telegram.bell.ring()

    def _button(self, wanted: str, message: Message | None) -> tuple[Message, Mapping[str, object]]:
        messages = [message] if message is not None else list(reversed(self.chat.messages))
        for one in messages:
            buttons = [button for row in one.inline_keyboard or [] for button in row]
            for key in ("text", "callback_data"):
                found = next((b for b in buttons if b.get(key) == wanted), None)
                if found is not None:
                    return one, found
        shown = [label for one in messages[:5] for label in one.labels]
        raise PhoneError(f"{self.first_name} sees no button {wanted!r}; there are {shown}")


def code_of(link: str, username: str) -> str | None:
    """The start code in a link to this bot ("" when it has none); None for a link to anywhere
    else.
    """
    parts = urlsplit(link if "://" in link else f"https://{link}")
    query = parse_qs(parts.query)
    if parts.scheme == "tg" and parts.netloc == "resolve":
        name = query.get("domain", [""])[0]
    elif parts.hostname in ("t.me", "telegram.me", "telegram.dog"):
        name = parts.path.strip("/")
    else:
        return None
    if name.lower() != username.lower():
        return None
    return query.get("start", [""])[0]
