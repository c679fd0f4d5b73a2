"""The polling loop: updates are committed raw, and only then confirmed at Telegram."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from bot.incoming.telegram_http import PollError, Source
from bot.services.deps import Deps
from bot.storage.database import Priority
from bot.storage.queries import inbox, vitals

log = logging.getLogger(__name__)

_FIRST_BACKOFF_S = 1.0
_LONGEST_BACKOFF_S = 30.0
LAST_POLL_OK = "last_poll_ok_at"


class Poller:
    """Asks Telegram for updates until stopped; never advances past what is not stored."""

    def __init__(self, deps: Deps, source: Source) -> None:
        """Poll ``source`` into the inbox of ``deps``."""
        self._deps = deps
        self._source = source
        self._offset: int | None = None
        self._stopping = asyncio.Event()
        self._asking: asyncio.Task[list[dict[str, Any]]] | None = None
        self.trouble: str | None = None
        self.last_ok_s: float | None = None

    async def run(self) -> None:
        """Poll until :meth:`stop`; after an error wait 1 s, doubling to 30 s."""
        backoff_s = _FIRST_BACKOFF_S
        while not self._stopping.is_set():
            try:
                self._asking = asyncio.ensure_future(self._source.updates(self._offset))
                raw = await self._asking
                await self._store(raw)
            except asyncio.CancelledError:
                if not self._stopping.is_set():
                    raise
                return
            except PollError as error:
                backoff_s = await self._after(error, backoff_s)
                continue
            except Exception:
                # The offset stays where it is: Telegram keeps what we could not store.
                log.exception("updates could not be stored", extra={"action": "inbox_failed"})
                self.trouble = "storage"
                await self._rest(backoff_s)
                backoff_s = min(backoff_s * 2, _LONGEST_BACKOFF_S)
                continue
            self.trouble, backoff_s = None, _FIRST_BACKOFF_S
            self.last_ok_s = self._deps.clock.monotonic()

    async def _store(self, raw: Sequence[dict[str, Any]]) -> None:
        await receive(self._deps, raw, polled=True)
        if raw:
            self._offset = raw[-1]["update_id"] + 1

    async def _after(self, error: PollError, backoff_s: float) -> float:
        self.trouble = error.kind
        log.warning("no updates", extra={"action": "poll_failed", "cause": error.kind})
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


async def receive(deps: Deps, raw: Sequence[dict[str, Any]], *, polled: bool = False) -> int:
    """Commit raw updates to the inbox, each once, and wake its worker; return how many were new."""
    now = deps.clock.now()
    async with deps.database.write(Priority.INBOX) as session:
        stored = await inbox.known(session, [update["update_id"] for update in raw])
        fresh = [update for update in raw if update["update_id"] not in stored]
        for update in fresh:
            inbox.add(session, update["update_id"], chat_of(update), update, now)
        if polled:
            await vitals.put_instant(session, LAST_POLL_OK, now)
    if fresh:
        deps.bells.inbox.set()
    return len(fresh)


def chat_of(update: dict[str, Any]) -> int | None:
    """Return the chat that an update belongs to; updates of one chat are handled in order."""
    for kind in ("message", "edited_message", "my_chat_member"):
        if isinstance(update.get(kind), dict):
            return _id(update[kind].get("chat"))
    query = update.get("callback_query")
    if isinstance(query, dict):
        return _id(query.get("from"))
    return None


def _id(value: object) -> int | None:
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, int) else None
