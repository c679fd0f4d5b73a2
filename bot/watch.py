"""Looking after the bot itself every few seconds, so that a lead learns of what goes wrong."""

import asyncio
import logging
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.clock import SystemClock
from bot.domain.states import Cause
from bot.logs import Outages
from bot.services import trouble
from bot.services.deps import Deps
from bot.storage.database import Priority

log = logging.getLogger(__name__)

LOOK_S = 5.0
LEAST_FREE = 0.05
LONGEST_GAP_S = 60.0
# What is told is looked up and stored this often; within two minutes of its cause, at any rate.
_TELL_S = 30.0
_UNREACHABLE_S = 300.0
_BLIP_S = 10.0
# What the loops call their trouble, and the cause that a lead is told of.
_CAUSES = {
    "unreachable": Cause.UNREACHABLE,
    "stalled": Cause.UNREACHABLE,
    "flood": Cause.UNREACHABLE,
    "webhook_failing": Cause.UNREACHABLE,
    "refused": Cause.REFUSED,
    "InvalidToken": Cause.REFUSED,
    "webhook": Cause.CONFLICT,
    "storage": Cause.DATABASE,
}
_REAL = SystemClock()
_RIPE_S = {Cause.UNREACHABLE: _UNREACHABLE_S}


@dataclass(frozen=True, slots=True)
class Seen:
    """What the loops say of themselves: their trouble, refused polls and rounds of jobs so far."""

    trouble: str | None
    conflicts: int
    rounds: int


@dataclass(frozen=True, slots=True)
class _Moment:
    """One instant on both clocks: real seconds that only grow, and the bot's own time."""

    real_s: float
    at: datetime


class Lookout:
    """Sees what lasts too long, and raises it once the database takes it.

    Lengths are measured in the machine's seconds: a clock that is pushed by days alarms nobody.
    """

    def __init__(
        self,
        deps: Deps,
        seen: Callable[[], Seen],
        folders: Sequence[Path],
        *,
        least_free: float = LEAST_FREE,
        monotonic: Callable[[], float] = _REAL.monotonic,
    ) -> None:
        """Watch over what ``seen`` returns, and over the space for these folders."""
        self._deps = deps
        self._seen = seen
        self._folders = folders
        self._least_free = least_free
        self._monotonic = monotonic
        self._stopping = asyncio.Event()
        self._outages = Outages(log)
        # What lasts, since when; what is over or was seen once, and is still to be told.
        self._lasting: dict[Cause, _Moment] = {}
        self._untold: dict[Cause, dict[str, Any]] = {}
        self._conflicts = 0
        self._round: tuple[int, _Moment] | None = None
        self._told_s: float | None = None
        self._fails = False
        self.last_outage_s: float | None = None

    @property
    def causes(self) -> frozenset[Cause]:
        """What is wrong now, however short."""
        full = self.disk_free < self._least_free
        return frozenset({*self._lasting, *([Cause.DISK] if full else [])})

    @property
    def disk_free(self) -> float:
        """How much of the fullest disk is free, between 0 and 1."""
        return min((free(folder) for folder in self._folders), default=1.0)

    async def begin(self) -> None:
        """Find out for how long nobody was at work; to be called before the jobs run."""
        now = self._deps.clock.now()
        async with self._deps.database.write(Priority.PLAN) as session:
            last_at = await trouble.last_tick_at(session)
            await trouble.count_from_here(session, now)
        if last_at is not None and now - last_at > timedelta(seconds=LONGEST_GAP_S):
            self._untold[Cause.GAP] = {"since_at": last_at, "until_at": now}
            self.last_outage_s = (now - last_at).total_seconds()

    async def run(self, look_s: float = LOOK_S) -> None:
        """Look until :meth:`stop`."""
        while not self._stopping.is_set():
            await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), look_s)

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    async def look(self) -> None:
        """Note what is wrong now, and every half a minute tell the leads what they do not know."""
        now = _Moment(self._monotonic(), self._deps.clock.now())
        seen = self._seen()
        self._note(now, Cause.DATABASE if self._fails else _CAUSES.get(seen.trouble or ""))
        self._note_gap(now, seen.rounds)
        if seen.conflicts > self._conflicts:
            self._untold[Cause.CONFLICT] = {"since_at": now.at}
        self._conflicts = seen.conflicts
        if not self._fails and self._told_s is not None and now.real_s - self._told_s < _TELL_S:
            return
        self._told_s = now.real_s
        try:
            await self._tell(now)
        except Exception as error:
            # What could not be stored stays untold, and is told when the database is back.
            self._fails = True
            self._outages.failed("a lead could not be told", error, "watch_failed")
        else:
            self._fails = False
            self._outages.over("watch_failed")

    def _note(self, now: _Moment, cause: Cause | None) -> None:
        for over in self._lasting.keys() - {cause}:
            began = self._lasting.pop(over)
            self.last_outage_s = now.real_s - began.real_s
            # While it lasts nothing can be stored: it is told afterwards.
            if over is Cause.DATABASE and now.real_s - began.real_s >= _BLIP_S:
                self._untold[over] = {"since_at": began.at, "until_at": now.at}
        if cause is not None:
            self._lasting.setdefault(cause, now)

    def _note_gap(self, now: _Moment, rounds: int) -> None:
        known, last = self._round or (rounds, now)
        if now.real_s - last.real_s > LONGEST_GAP_S:
            self._untold[Cause.GAP] = {"since_at": last.at}
        self._round = (rounds, now if rounds != known or self._round is None else last)

    async def _tell(self, now: _Moment) -> None:
        wanted = self._untold | {
            cause: {"since_at": began.at}
            for cause, began in self._lasting.items()
            if cause is not Cause.DATABASE and now.real_s - began.real_s >= _RIPE_S.get(cause, 0.0)
        }
        if (left := self.disk_free) < self._least_free:
            wanted[Cause.DISK] = {"percent": int(left * 100)}
        async with self._deps.database.read() as session:
            if not wanted and not await trouble.anything_new(session, now.at):
                return
        async with self._deps.database.write(Priority.PLAN) as session:
            for cause, values in wanted.items():
                await trouble.raise_(session, cause, now.at, values)
            await trouble.raise_counted(session, now.at)
        self._untold.clear()
        self._deps.bells.outbox.set()


def free(folder: Path) -> float:
    """Return how much of the disk under the folder is free, between 0 and 1."""
    usage = shutil.disk_usage(folder)
    return usage.free / usage.total
