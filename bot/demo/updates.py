"""The queue of updates for the bot: what waits, for how long, and how polling takes it."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from bot.demo.bell import Bell
from bot.demo.refusals import OTHER_POLL, WEBHOOK_ACTIVE, WEBHOOK_SET, Json, Refusal, bad

FIRST_ID = 700_000_001
LONGEST_POLL = 50
_NOT_BY_DEFAULT = ("chat_member", "message_reaction", "message_reaction_count")


@dataclass(slots=True, eq=False)
class Waiting:
    """An update that the bot has not confirmed."""

    id: int
    kind: str
    chat: int
    at: datetime
    update: Json
    injected: bool = False
    handed_over: bool = False


@dataclass(slots=True)
class Webhook:
    """Where updates are posted instead of being polled."""

    url: str
    header: str = field(default="", repr=False)
    max_connections: int = 40
    last_error_at: datetime | None = None
    last_error: str = ""


class Updates:
    """Updates in order, kept 24 hours (taps 150 seconds), handed over until confirmed."""

    def __init__(self, now: Callable[[], datetime], bell: Bell) -> None:
        self._now = now
        self._bell = bell
        # How often the bot has asked by polling.
        self.polls = 0
        self._next_id = FIRST_ID
        self.waiting: list[Waiting] = []
        self.history: deque[Json] = deque(maxlen=10_000)
        self.allowed: tuple[str, ...] = ()
        self.webhook: Webhook | None = None
        self.message_life = timedelta(hours=24)
        self.tap_life = timedelta(seconds=150)

    def add(self, kind: str, payload: Json, chat: int) -> int | None:
        """The update waits for the bot and has the answered id; None when the bot did not ask
        for its kind.
        """
        if (self.allowed and kind not in self.allowed) or (
            not self.allowed and kind in _NOT_BY_DEFAULT
        ):
            return None
        number = self._next_id
        self._next_id += 1
        update: Json = {"update_id": number, kind: payload}
        self.waiting.append(Waiting(number, kind, chat, self._now(), update))
        self.history.append(update)
        self._bell.ring()
        return number

    def inject(self, update: Mapping[str, object], *, first: bool = False, chat: int = 0) -> int:
        """A raw update waits, whatever it holds; it keeps its own update_id or gets the next. It
        is handed over at least once.
        """
        number = update.get("update_id")
        if not isinstance(number, int):
            number = self._next_id
            self._next_id += 1
        raw = {**update, "update_id": number}
        entry = Waiting(number, "injected", chat, self._now(), raw, injected=True)
        self.waiting.insert(0 if first else len(self.waiting), entry)
        self._bell.ring()
        return number

    def pending(self) -> list[Waiting]:
        """What waits and is still fresh."""
        now = self._now()
        fresh = [
            entry
            for entry in self.waiting
            if now - entry.at
            <= (self.tap_life if entry.kind == "callback_query" else self.message_life)
        ]
        if len(fresh) != len(self.waiting):
            self.waiting = fresh
        return fresh

    def drop(self, entry: Waiting) -> None:
        """The update was taken by the webhook."""
        if entry in self.waiting:
            self.waiting.remove(entry)
        self._bell.ring()

    def forget(self) -> None:
        """Nothing waits any more."""
        self.waiting.clear()
        self._bell.ring()

    def _confirm(self, offset: int) -> None:
        before = len(self.waiting)
        if offset < 0:
            self.waiting = self.waiting[offset:]
        elif offset > 0:
            self.waiting = [
                entry
                for entry in self.waiting
                if entry.id >= offset or (entry.injected and not entry.handed_over)
            ]
        if len(self.waiting) != before:
            self._bell.ring()

    def set_webhook(self, url: str, header: str, max_connections: int) -> None:
        """Updates are posted to this address from now on; http on loopback is taken, as a local
        server takes it.
        """
        parts = urlsplit(url)
        loopback = parts.hostname in ("127.0.0.1", "localhost", "::1")
        if parts.scheme != "https" and not (parts.scheme == "http" and loopback):
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        if parts.scheme == "https" and parts.port not in (None, 80, 88, 443, 8443):
            raise bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")
        if header and not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", header):
            raise bad("secret token contains unallowed characters")
        if len(header) > 256:
            raise bad("secret token is too long")
        self.webhook = Webhook(url, header, max(1, min(max_connections, 100)))
        self._bell.ring()

    def remember(self, allowed: Sequence[str] | None) -> None:
        """Only these kinds are queued from now on; None changes nothing, an empty list means the
        usual kinds.
        """
        if allowed is not None:
            self.allowed = tuple(allowed)

    async def poll(
        self,
        offset: int,
        limit: int,
        seconds: float,
        allowed: Sequence[str] | None,
        gone: Callable[[], bool],
    ) -> list[Json]:
        """getUpdates: what waits, at once, or the next to come within so many real seconds; a
        newer poll ends an older one.
        """
        if self.webhook is not None:
            raise Refusal(409, WEBHOOK_ACTIVE)
        self.polls += 1
        turn = self.polls
        self.remember(allowed)
        self._confirm(offset)
        self._bell.ring()
        loop = asyncio.get_running_loop()
        end = loop.time() + min(seconds, LONGEST_POLL)
        while True:
            found = self.pending()[: max(1, min(limit, 100))]
            if gone() or self._bell.closed:
                return []
            if found:
                for entry in found:
                    entry.handed_over = True
                return [entry.update for entry in found]
            left = end - loop.time()
            if left <= 0:
                return []
            await self._bell.wait(left)
            if self.polls != turn:
                raise Refusal(409, OTHER_POLL)
            if self.webhook is not None:
                raise Refusal(409, WEBHOOK_SET)
