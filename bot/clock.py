"""The one place that reads a clock: what time it is, and a clock that a demo or a test can push."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

# A step forward of more than this is not believed: whoever follows it lets everything expire.
FARTHEST = timedelta(hours=24)


class Clock(Protocol):
    """What the bot asks of a clock."""

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""

    def monotonic(self) -> float:
        """Return seconds that only grow; the pace of sending is measured with them."""

    def stepped(self) -> timedelta:
        """Return by how much the time was set since this was last asked; nothing when it ran on."""

    def doubted(self) -> timedelta:
        """Return how far ahead the machine claims to be of the time that is gone by."""

    def believe(self) -> None:
        """Take the machine's time as right, whatever it says."""


def _running_s() -> float:
    # Sleep is time too: a machine that was suspended has not been set forward.
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


def _wall() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one place that may


class SystemClock:
    """The machine's clock, except that it is not set forward by more than a day unseen.

    Followed are its drift, its corrections and every step back. After a step forward that is
    longer than :data:`FARTHEST` the time before goes on at its pace, until the machine comes back
    to it or somebody says that it is right (:meth:`believe`). A start takes the machine's word: the
    time in which no process ran explains any gap, on a restart within seconds too.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = _wall,
        running_s: Callable[[], float] = _running_s,
    ) -> None:
        """Begin at what ``wall`` says (aware UTC); ``running_s`` are seconds that nobody sets."""
        self._wall = wall
        self._running_s = running_s
        self._stepped = timedelta()
        self._seen, self._seen_s = wall(), running_s()

    def _look(self) -> tuple[datetime, timedelta]:
        """Return the time by the seconds gone by, and how far ahead of it the machine is."""
        wall, running_s = self._wall(), self._running_s()
        expected = self._seen + timedelta(seconds=running_s - self._seen_s)
        ahead = wall - expected
        if ahead <= FARTHEST:
            self._seen, self._seen_s = wall, running_s
            self._stepped += ahead
        return expected, ahead

    def now(self) -> datetime:
        """Return the present instant, aware, in UTC."""
        expected, ahead = self._look()
        return self._seen if ahead <= FARTHEST else expected

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    def stepped(self) -> timedelta:
        """Return by how much the time was set since this was last asked, drift included."""
        self._look()
        stepped, self._stepped = self._stepped, timedelta()
        return stepped

    def doubted(self) -> timedelta:
        """Return how far ahead the machine claims to be; nothing while it is believed."""
        _, ahead = self._look()
        return ahead if ahead > FARTHEST else timedelta()

    def believe(self) -> None:
        """Take the machine's time as right from now on."""
        expected, ahead = self._look()
        if ahead > FARTHEST:
            self._stepped += ahead
            self._seen, self._seen_s = expected + ahead, self._running_s()


class PushedClock:
    """A clock that runs at the machine's pace (or stands still) and can be pushed forward.

    Both times move together, so nothing in the bot sees a jump of one against the other.
    """

    def __init__(self, start: datetime | None = None, *, running: bool = True) -> None:
        """Begin at ``start`` (aware; the machine's time when left out)."""
        self._running = running
        self._base = time.monotonic()
        self._start = (start or _wall()).astimezone(UTC)
        self._pushed = timedelta()

    def _elapsed(self) -> timedelta:
        real = time.monotonic() - self._base if self._running else 0.0
        return timedelta(seconds=real) + self._pushed

    def now(self) -> datetime:
        """Return the pushed instant, aware, in UTC."""
        return self._start + self._elapsed()

    def monotonic(self) -> float:
        """Return seconds that move together with :meth:`now`."""
        return self._base + self._elapsed().total_seconds()

    def stepped(self) -> timedelta:
        """Return nothing: both times move together."""
        return timedelta()

    def doubted(self) -> timedelta:
        """Return nothing: a pushed clock is right."""
        return timedelta()

    def believe(self) -> None:
        """Do nothing: there is no other time."""

    def push(self, delta: timedelta) -> None:
        """Move both times forward by ``delta``; a negative one is refused."""
        if delta < timedelta():
            msg = "a pushed clock only goes forward"
            raise ValueError(msg)
        self._pushed += delta

    def push_to(self, moment: datetime) -> None:
        """Move to ``moment`` when that lies ahead; otherwise stay."""
        self.push(max(moment - self.now(), timedelta()))
