"""The one place that reads a clock: what time it is, and a clock that a demo or a test can push."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What the bot asks of a clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow; the pace of sending is measured with them."""


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        return datetime.now(UTC)  # noqa: TID251 - the one place that may

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class PushedClock:
    """A clock that runs at the machine's pace (or stands still) and can be pushed forward.

    Both times move together, so nothing in the bot sees a jump of one against the other.
    """

    def __init__(self, start: datetime | None = None, *, running: bool = True) -> None:
        """Begin at ``start`` (aware; the machine's time when left out)."""
        self._system = SystemClock()
        self._running = running
        self._base = self._system.monotonic()
        self._start = (start or self._system.now()).astimezone(UTC)
        self._pushed = timedelta()

    def _elapsed(self) -> timedelta:
        real = self._system.monotonic() - self._base if self._running else 0.0
        return timedelta(seconds=real) + self._pushed

    def now(self) -> datetime:
        """Return the pushed instant, aware, in UTC."""
        return self._start + self._elapsed()

    def monotonic(self) -> float:
        """Return seconds that move together with :meth:`now`."""
        return self._base + self._elapsed().total_seconds()

    def push(self, delta: timedelta) -> None:
        """Move both times forward by ``delta``; a negative one is refused."""
        if delta < timedelta():
            msg = "a pushed clock only goes forward"
            raise ValueError(msg)
        self._pushed += delta

    def push_to(self, moment: datetime) -> None:
        """Move to ``moment`` when that lies ahead; otherwise stay."""
        self.push(max(moment - self.now(), timedelta()))
