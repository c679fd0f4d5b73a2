"""The small language in which a protocol says when: ``D+1 10:00``, ``T0+3h``, ``NV-6h``."""

import re
from dataclasses import dataclass, replace
from datetime import time, timedelta
from enum import StrEnum

_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_ELAPSED = re.compile(r"(T0|NV)(?:([+-])(\d{1,4})([hm]))?")
_CALENDAR = re.compile(r"(D|NV|TARGET)(?:([+-])(\d{1,3}))? (\S+)")
_LATER_OF = re.compile(r"max\((D[^,()]*), (TARGET[^,()]*)\) (\S+)")
_HOURS = re.compile(r"(\d{1,4})h")
_DAY = 24 * 60


class Anchor(StrEnum):
    """What a time is counted from."""

    T0 = "T0"
    D = "D"
    NV = "NV"
    TARGET = "TARGET"


@dataclass(frozen=True, slots=True)
class Moment:
    """One time expression: a calendar day with a local clock time, or elapsed time from an anchor.

    ``earliest`` is the other arm of ``max(D+2, TARGET-10) 12:00``; the later of both counts.
    """

    anchor: Anchor
    days: int = 0
    at: time | None = None
    elapsed: timedelta | None = None
    earliest: "Moment | None" = None


def parse_clock(text: str) -> time:
    """The clock time that ``HH:MM`` says; raises ValueError."""
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not a clock time such as '10:00'")
    return time(int(found[1]), int(found[2]))


def parse_moment(text: str) -> Moment:
    """The moment that a time expression says; raises ValueError with the reason."""
    if found := _ELAPSED.fullmatch(text):
        return _elapsed(text, Anchor(found[1]), found[2], found[3], found[4])
    if found := _LATER_OF.fullmatch(text):
        early, target = (
            parse_moment(f"{found[1]} {found[3]}"),
            parse_moment(f"{found[2]} {found[3]}"),
        )
        return replace(target, earliest=early)
    found = _CALENDAR.fullmatch(text)
    if found is None:
        raise ValueError(
            f"{text!r} is not a time such as 'T0', 'T0+3h', 'D+1 10:00', 'NV-2 18:00', 'NV-6h' "
            "or 'max(D+2, TARGET-10) 12:00'"
        )
    anchor, days = Anchor(found[1]), int(found[3] or 0) * (-1 if found[2] == "-" else 1)
    if anchor is Anchor.D and days < 0:
        raise ValueError(f"{text!r} lies before the session it is counted from")
    if anchor is Anchor.NV and days > 0:
        raise ValueError(f"{text!r} lies after the visit it prepares")
    return Moment(anchor, days=days, at=parse_clock(found[4]))


def parse_limit_end(text: str) -> Moment:
    """The end of a limit, ``24h`` elapsed or ``D+3 18:00`` calendar; raises ValueError."""
    if found := _HOURS.fullmatch(text):
        length = timedelta(hours=int(found[1]))
        if not length:
            raise ValueError(f"{text!r} ends at once")
        return Moment(Anchor.T0, elapsed=length)
    moment = parse_moment(text)
    if moment.anchor is not Anchor.D:
        raise ValueError(f"{text!r} is not the end of a limit such as '24h' or 'D+3 18:00'")
    return moment


def later(moment: Moment, days: int) -> Moment:
    """The same calendar moment ``days`` later, both arms of a ``max`` alike."""
    early = later(moment.earliest, days) if moment.earliest else None
    return replace(moment, days=moment.days + days, earliest=early)


def minutes_from_anchor_day(moment: Moment) -> tuple[int, int]:
    """Earliest and latest minute, counted from midnight of the anchor's day, clocks unchanged."""
    if moment.elapsed is not None:
        start = int(moment.elapsed.total_seconds()) // 60
        return start, start + _DAY - 1
    at = moment.at or time()
    minute = moment.days * _DAY + at.hour * 60 + at.minute
    return minute, minute


def _elapsed(
    text: str, anchor: Anchor, sign: str | None, amount: str | None, unit: str | None
) -> Moment:
    if anchor is Anchor.T0 and sign == "-":
        raise ValueError(f"{text!r} lies before the session it is counted from")
    if anchor is Anchor.NV and sign != "-":
        raise ValueError(f"{text!r} does not lie before the visit")
    count = int(amount or 0)
    length = timedelta(hours=count) if unit == "h" else timedelta(minutes=count)
    return Moment(anchor, elapsed=-length if sign == "-" else length)
