"""The local Telegram itself: its people, chats, files, updates and the log of every call."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from bot.demo.bell import Bell
from bot.demo.chats import Chat
from bot.demo.faults import Faults
from bot.demo.files import Files
from bot.demo.groups import Group
from bot.demo.limits import Limits
from bot.demo.people import CODE, Person, PhoneError, code_of
from bot.demo.refusals import Json
from bot.demo.updates import Updates

if TYPE_CHECKING:
    from bot.demo.phones import Phones
    from bot.demo.server import Server

T = TypeVar("T")

LOCAL_BOT = "1000000001:local-telegram-takes-no-real-bot-key"
FIRST_PERSON = 5_000_000_001
FIRST_GROUP = -4_000_001
LOG_LENGTH = 100_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the bot and how it was answered; status 0 means that the connection broke or
    hung.
    """

    at: datetime
    method: str
    params: Json
    files: tuple[Json, ...]
    status: int
    response: object
    note: str = ""

    @property
    def chat(self) -> int | None:
        """The chat it was for."""
        chat = str(self.params.get("chat_id"))
        return int(chat) if chat.lstrip("-").isdigit() else None

    @property
    def passed(self) -> bool:
        """Whether the bot heard that it worked."""
        return self.status == 200

    def line(self) -> str:
        """The call as one line of JSON."""
        entry: Json = {
            "kind": "call",
            "t": self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "method": self.method,
            "params": self.params,
            "files": list(self.files),
            "status": self.status,
            "response": self.response,
        }
        if self.note:
            entry["note"] = self.note
        return json.dumps(entry, ensure_ascii=False, default=str)


class LocalTelegram:
    """A Telegram of its own for one bot; everything happens in one asyncio loop, times follow
    `now` (aware UTC).
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        token: str = LOCAL_BOT,
        username: str = "aftercare_demo_bot",
        first_name: str = "Aftercare",
        limits: Limits | None = None,
        log_length: int = LOG_LENGTH,
    ) -> None:
        self.now = now
        self.token = token
        self.revoked = False
        self.me: Json = {
            "id": int(token.split(":")[0]),
            "is_bot": True,
            "first_name": first_name,
            "username": username,
        }
        self.bell = Bell()
        self.faults = Faults(self.bell.ring)
        self.limits = limits or Limits()
        self.files = Files()
        self.updates = Updates(now, self.bell)
        self.people: list[Person] = []
        self.chats: dict[int, Chat] = {}
        self.queries: dict[str, tuple[Person, datetime]] = {}
        self.query_life = timedelta(seconds=150)
        self.commands: dict[tuple[str, str], list[Json]] = {}
        self.profile: dict[tuple[str, str], str] = {}
        self.menu_buttons: dict[int, Json] = {}
        self.calls: deque[Call] = deque(maxlen=log_length)
        self.in_hand = 0
        self.webhook_pause = 1.0
        self._groups = 0
        self._queries = 0
        self._albums = 0

    @property
    def username(self) -> str:
        """The bot's public name."""
        return str(self.me["username"])

    def person(
        self,
        first_name: str,
        *,
        username: str | None = None,
        language_code: str | None = "en",
        time_zone: str = "Europe/Berlin",
    ) -> Person:
        """A new person with a phone, who has never spoken to the bot."""
        number = FIRST_PERSON + len(self.people)
        person = Person(self, number, first_name, username, language_code, time_zone)
        self.people.append(person)
        self.chats[person.id] = person.chat
        self.bell.ring()
        return person

    def group(self, title: str) -> Group:
        """A new group without the bot."""
        group = Group(self, FIRST_GROUP - self._groups, title)
        self._groups += 1
        self.chats[group.chat.id] = group.chat
        return group

    def person_with(self, number: int) -> Person | None:
        """The person with this id."""
        chat = self.chats.get(number)
        return chat.person if chat else None

    def link(self, code: str) -> str:
        """The t.me link that opens the bot with this code."""
        return f"https://t.me/{self.username}?start={code}"

    def start_code(self, link: str) -> str | None:
        """The code in a link to the bot, "" without one, None for another link; an impossible
        code is a PhoneError.
        """
        code = code_of(link, self.username)
        if code and not CODE.fullmatch(code):
            raise PhoneError(f"not a code that Telegram passes on: {code!r}")
        return code

    def menu(self, person: Person) -> list[Json]:
        """The command menu of this person's phone: the most specific scope and language that has
        one.
        """
        language = (person.language_code or "").split("-")[0]
        for scope in (f"chat:{person.id}", "all_private_chats", "default"):
            for code in dict.fromkeys((language, "")):
                if (scope, code) in self.commands:
                    return self.commands[scope, code]
        return []

    def next_query_id(self) -> str:
        """The id of the next tap."""
        self._queries += 1
        return str(8_000_000_000_000_000 + self._queries)

    def next_album_id(self) -> str:
        """The id of the next album."""
        self._albums += 1
        return str(13_000_000_000_000_000 + self._albums)

    async def wait_for(
        self, predicate: Callable[[], T | None], within: float = 20.0, what: str = ""
    ) -> T:
        """The predicate's first true value, looked at on every change; TimeoutError after so
        many real seconds.
        """
        return await self.bell.wait_for(predicate, within, what)

    async def idle(self, within: float = 20.0) -> None:
        """Every update is confirmed, every tap answered, and no call is in the server's hands."""
        await self.wait_for(
            lambda: not self.updates.pending() and not self.queries and not self.in_hand,
            within,
            "the local Telegram is idle",
        )

    def calls_of(self, method: str, chat: Person | int | None = None) -> list[Call]:
        """The calls of one method, oldest first, perhaps to one chat."""
        number = chat.id if isinstance(chat, Person) else chat
        return [
            call
            for call in self.calls
            if call.method.lower() == method.lower() and number in (None, call.chat)
        ]

    def log_lines(self) -> Iterator[str]:
        """The call log as lines of JSON, oldest first."""
        return (call.line() for call in list(self.calls))

    def serve(
        self, port: int = 0, *, phones: Phones | None = None
    ) -> AbstractAsyncContextManager[Server]:
        """While it is entered the Bot API (and the phones' page) answer on this loopback port; 0
        takes a free one.
        """
        # the server knows this module, so this module may know the server only when it is called
        from bot.demo.server import serving

        return serving(self, port, phones)
