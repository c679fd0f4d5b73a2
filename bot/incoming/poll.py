"""The polling loop: updates are committed raw, and only then confirmed at Telegram."""

import asyncio
import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError

from bot.incoming.safety_text import SafetyText
from bot.incoming.telegram_http import POLL_TIMEOUT_S, PollError, Source
from bot.services import outages
from bot.services.deps import Deps
from bot.storage.database import Priority
from bot.storage.queries import inbox

log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
# What the database holds as a number; Telegram's own stay far below.
_NUMBERS = range(-(2**63), 2**63)


class Poller:
    """Asks Telegram for updates until stopped; never advances past what is not stored."""

    def __init__(
        self,
        deps: Deps,
        source: Source,
        safety: SafetyText,
        first_backoff_s: float = _FIRST_BACKOFF_S,
    ) -> None:
        """Poll ``source`` into the inbox of ``deps``; ``safety`` watches over the storing."""
        self._deps = deps
        self._safety = safety
        self._first_backoff_s = first_backoff_s
        self._source = source
        self._offset: int | None = None
        self._stopping = asyncio.Event()
        self._asking: asyncio.Task[list[dict[str, Any]]] | None = None
        self.trouble: str | None = None
        self.last_ok_s: float | None = None
        # Nothing was stored since the start, or since a poll failed: until then it is an outage.
        self._silent = True
        # How many polls were refused because another instance polls: its trouble comes and goes.
        self.conflicts = 0

    async def run(self) -> None:
        """Poll until :meth:`stop`; after an error wait 1 s, doubling to 30 s.

        After one of the database always 1 s: what may be a danger report is at Telegram.
        """
        backoff_s = self._first_backoff_s
        while not self._stopping.is_set():
            try:
                # Until Telegram is known to be well it is asked for an answer at once.
                well = self.trouble is None and self.last_ok_s is not None
                wait_s = POLL_TIMEOUT_S if well else 0
                asking = self._source.updates(self._offset, wait_s=wait_s)
                self._asking = asyncio.ensure_future(asking)
                raw = await self._asking
                # Telegram is well, whatever becomes of what it gave.
                self.last_ok_s = self._deps.clock.monotonic()
                await self._safety.beside(self._store(raw), raw, self._look)
            except asyncio.CancelledError:
                if not self._stopping.is_set():
                    raise
                return
            except PollError as error:
                backoff_s = await self._after(error, backoff_s)
                continue
            except Exception:
                # The offset stays where it is: Telegram keeps what we could not store.
                log.error(
                    "updates could not be stored",
                    extra={"action": "inbox_failed"},
                    # Once an outage: it may last, and this comes every second.
                    exc_info=self.trouble != "storage",
                )
                self.trouble, self._silent = "storage", True
                await self._rest(self._first_backoff_s)
                continue
            self.trouble, backoff_s = None, self._first_backoff_s

    async def _store(self, raw: Sequence[dict[str, Any]]) -> None:
        await receive(self._deps, raw, polled=True, again=self._silent)
        self._silent = False
        numbers = [number for update in raw if (number := _number(update)) is not None]
        if numbers:
            self._offset = numbers[-1] + 1

    async def _look(self) -> Sequence[dict[str, Any]]:
        """Return what waits at Telegram while storing takes long; nothing is confirmed by it."""
        if self._stopping.is_set():
            return []
        self._asking = asyncio.ensure_future(self._source.updates(self._offset, wait_s=0))
        try:
            return await self._asking
        except PollError:
            return []
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            return []

    async def _after(self, error: PollError, backoff_s: float) -> float:
        self.trouble, self._silent = error.kind, True
        self.conflicts += error.kind == "conflict"
        stalled = error.kind == "stalled"
        action = "poll_stalled" if stalled else "poll_failed"
        log.warning("no updates", extra={"action": action, "cause": error.kind})
        await self._rest(max(error.retry_after_s, backoff_s))
        return min(backoff_s * 2, _LONGEST_BACKOFF_S)

    async def _rest(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def stop(self) -> None:
        """Ask for nothing more and cut off a poll under way: it confirms nothing until it returns.

        What has arrived is still stored.
        """
        self._stopping.set()
        if self._asking is not None:
            self._asking.cancel()


async def receive(
    deps: Deps, raw: Sequence[dict[str, Any]], *, polled: bool = False, again: bool = False
) -> int:
    """Commit raw updates to the inbox, each once, and wake its worker; return how many were new.

    ``polled`` is a good contact with Telegram, ``again`` the first one for a while.
    """
    now = deps.clock.now()
    # By number, because one batch may hold an update twice.
    updates = {number: each for each in raw if (number := _number(each)) is not None}
    if len(updates) < len(raw):
        log.warning("updates came twice or without a number", extra={"action": "updates_left_out"})
    try:
        fresh = await _keep(deps, updates, now, polled=polled, again=again)
    except IntegrityError:
        # PostgreSQL has several writers: a copy was stored at this very moment, and is known now.
        fresh = await _keep(deps, updates, now, polled=polled, again=again)
    if fresh:
        deps.bells.inbox.set()
    return fresh


async def _keep(
    deps: Deps,
    updates: dict[int, dict[str, Any]],
    now: datetime,
    *,
    polled: bool,
    again: bool,
) -> int:
    async with deps.database.write(Priority.INBOX) as session:
        stored = await inbox.known(session, list(updates))
        fresh = updates.keys() - stored
        for number in fresh:
            update = _writable(updates[number])
            inbox.add(session, number, chat_of(update), update, now)
        if polled:
            await outages.in_touch(session, now, again=again)
    return len(fresh)


def _number(update: object) -> int | None:
    """Return the number of an update, or nothing when it has none that could be kept."""
    number = update.get("update_id") if isinstance(update, dict) else None
    return number if type(number) is int and number in _NUMBERS else None


def _writable(update: dict[str, Any]) -> dict[str, Any]:
    """Return the update without halves of characters, which no file and no database takes."""
    text = json.dumps(update, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        whole: dict[str, Any] = json.loads(text.encode(errors="replace"))
        return whole
    return update


def chat_of(update: dict[str, Any]) -> int | None:
    """Return the chat that an update belongs to; updates of one chat are handled in order."""
    for kind in ("message", "edited_message", "my_chat_member"):
        if isinstance(update.get(kind), dict):
            return id_of(update[kind].get("chat"))
    query = update.get("callback_query")
    if isinstance(query, dict):
        return id_of(query.get("from"))
    return None


def id_of(value: object) -> int | None:
    """Return the id of a chat or an account; nothing when it has none that could be kept."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if type(found) is int and found in _NUMBERS else None
