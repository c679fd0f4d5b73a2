"""Where a clock on a wall meets the one UTC time line: zones, gaps, folds and quiet hours."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class QuietHours:
    """The part of each local day in which nobody is written to unasked; none if both are equal."""

    start: time = time(21, 0)
    end: time = time(8, 30)


# What a patient may choose: never narrower than the usual, and nine to eight stays open.
QUIET_OFFERED = (
    QuietHours(),
    QuietHours(end=time(9, 0)),
    QuietHours(start=time(20, 0)),
    QuietHours(start=time(20, 0), end=time(9, 0)),
)


def to_utc(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which clocks in ``zone`` show ``at`` on ``day``.

    In a gap it is the first minute that exists after it, in a fold the first pass.
    """
    wall = datetime.combine(day, at, tzinfo=zone)
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    return _end_of_gap(wall, zone)


def local_date(moment: datetime, zone: ZoneInfo) -> date:
    """The calendar day in ``zone`` at the aware ``moment``."""
    return moment.astimezone(zone).date()


def is_quiet(moment: datetime, zone: ZoneInfo, quiet: QuietHours) -> bool:
    """Whether clocks in ``zone`` show a quiet hour at ``moment``; the end itself is not quiet."""
    clock = moment.astimezone(zone).time()
    if quiet.start <= quiet.end:
        return quiet.start <= clock < quiet.end
    return clock >= quiet.start or clock < quiet.end


def out_of_quiet(moment: datetime, zone: ZoneInfo, quiet: QuietHours) -> datetime:
    """``moment`` itself (UTC), or the end of the quiet hours it lies in."""
    if not is_quiet(moment, zone, quiet):
        return moment
    today = local_date(moment, zone)
    # The quiet end may fall into a gap, a fold, or a day that a zone left out altogether,
    # so every candidate is looked at again instead of trusted.
    ends = (
        end
        for days in range(4)
        for end in _both_passes(today + timedelta(days=days), quiet.end, zone)
    )
    return min(end for end in ends if end > moment and not is_quiet(end, zone, quiet))


def next_quiet(moment: datetime, zone: ZoneInfo, quiet: QuietHours) -> datetime:
    """When (UTC) the next quiet hours begin after ``moment``, which lies in none."""
    today = local_date(moment, zone)
    begins = (to_utc(today + timedelta(days=days), quiet.start, zone) for days in range(3))
    return min(begin for begin in begins if begin > moment)


def changes(zone: ZoneInfo, first: int, last: int) -> tuple[tuple[datetime, int], ...]:
    """Each change of offset from the year ``first`` to ``last``: its second (UTC), and the offset.

    The offset (in seconds) at the very beginning comes first. A change that another takes back
    within a week is not seen.
    """
    at, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    offset = _offset(at, zone)
    found = [(at, offset)]
    while at < end:
        following = at + timedelta(days=7)
        if _offset(following, zone) != offset:
            changed = _first_second(at, following, zone)
            offset = _offset(changed, zone)
            found.append((changed, offset))
            at = changed
        else:
            at = following
    return tuple(found)


def _first_second(low: datetime, high: datetime, zone: ZoneInfo) -> datetime:
    """The second after ``low`` at which clocks first show another offset than at ``low``."""
    offset = _offset(low, zone)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if _offset(middle, zone) == offset:
            low = middle
        else:
            high = middle
    return high


def _offset(moment: datetime, zone: ZoneInfo) -> int:
    return int((moment.astimezone(zone).utcoffset() or timedelta()).total_seconds())


def fingerprint(zone: ZoneInfo) -> str:
    """What tells two versions of a zone's data apart: a digest of its changes from 2020 to 2040."""
    text = ";".join(f"{at:%Y%m%d%H%M%S}{offset:+d}" for at, offset in changes(zone, 2020, 2040))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _both_passes(day: date, at: time, zone: ZoneInfo) -> tuple[datetime, datetime]:
    first = to_utc(day, at, zone)
    second = datetime.combine(day, at, tzinfo=zone).replace(fold=1).astimezone(UTC)
    return first, max(first, second)


def _end_of_gap(wall: datetime, zone: ZoneInfo) -> datetime:
    # In a gap, fold 0 reads the offset before it and fold 1 the offset after it.
    naive = wall.replace(tzinfo=UTC)
    before = wall.utcoffset() or timedelta()
    after = wall.replace(fold=1).utcoffset() or timedelta()
    low, high = naive - after, naive - before
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=int((high - low).total_seconds()) // 2)
        if middle.astimezone(zone).utcoffset() == before:
            low = middle
        else:
            high = middle
    # Old local mean times change at odd seconds; a plan knows whole minutes.
    return high if high.second == 0 else high.replace(second=0) + _MINUTE
