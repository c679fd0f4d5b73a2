"""What a patient must still avoid, and what is said when it is over; the latest end counts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.domain.times import local_date, to_utc

Ends = Sequence[tuple[str, datetime]]

# The hour of the next day until which it is worth saying that a limit is over.
_SAID_UNTIL = time(20, 0)
# While something keeps it from being said, it is looked at again this often.
LOOK_AGAIN = timedelta(hours=1)


def strictest(plans: Iterable[Ends]) -> tuple[tuple[str, datetime], ...]:
    """Each limit of any plan once, with its latest end (UTC); the first to end comes first."""
    latest: dict[str, datetime] = {}
    for ends in plans:
        for limit, end in ends:
            latest[limit] = max(end, latest.get(limit, end))
    return tuple(sorted(latest.items(), key=lambda item: item[1]))


def still_on(ends: Ends, now: datetime) -> tuple[tuple[str, datetime], ...]:
    """The limits that end after ``now``, in the order given."""
    return tuple((limit, end) for limit, end in ends if end > now)


def kept_until(kept_at: datetime, end: datetime, now: datetime, zone: ZoneInfo) -> datetime:
    """Until when (UTC) a limit is on at least that was kept on at ``kept_at``.

    One day later at the hour of its own ``end``; from then on always the next such hour, as only
    a person, or the patient's own word, ends it.
    """
    clock = end.astimezone(zone).time()
    day = max(local_date(kept_at, zone) + timedelta(days=1), local_date(now, zone))
    at = to_utc(day, clock, zone)
    return at if at > now else to_utc(day + timedelta(days=1), clock, zone)


def said_until(moment: datetime, zone: ZoneInfo) -> datetime:
    """Until when (UTC) it is of use to say what became true at ``moment``: 20:00 the next day."""
    return to_utc(local_date(moment, zone) + timedelta(days=1), _SAID_UNTIL, zone)


@dataclass(frozen=True, slots=True)
class AtEnd:
    """One limit by the plan, and what became of the step that tells its end (all UTC)."""

    ends_at: datetime
    # When that step reached the patient; until when it may still come; when it was given up.
    said_at: datetime | None = None
    comes_until: datetime | None = None
    given_up_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Its end is to be said now, in a notice of its own."""


@dataclass(frozen=True, slots=True)
class Said:
    """A step has said it, at that time."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Look:
    """Nothing now; to be looked at again then, or not any more."""

    at: datetime | None


def at_end(limit: AtEnd, now: datetime, zone: ZoneInfo, *, rests: bool) -> Say | Said | Look:
    """What follows for a limit that nobody keeps on; with ``rests`` nothing is to be said now.

    It is told once: by its step, or by a notice when that step is not there or never arrived.
    """
    if now < limit.ends_at:
        return Look(limit.ends_at)
    if limit.said_at is not None:
        return Said(limit.said_at)
    if limit.comes_until is not None:
        return Look(max(limit.comes_until, now + LOOK_AGAIN))
    since = max(limit.ends_at, limit.given_up_at or limit.ends_at)
    if now >= said_until(since, zone):
        return Look(None)
    return Look(now + LOOK_AGAIN) if rests else Say()
