"""When a clinic is open, read from the words that patients see, and by when it will reply."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.domain.times import local_date, to_utc

# An answer is promised within so many open hours (a clinic's own setting may come later).
REPLY_WITHIN = timedelta(hours=4)
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PART = re.compile(
    r"(?P<first>[a-z]{3})[a-z]*(?: (?:to|-) (?P<last>[a-z]{3})[a-z]*)?,?"
    r" (?P<open>\d{1,2}(?::\d{2})?) (?:to|-) (?P<close>\d{1,2}(?::\d{2})?)"
)
# A week without a single open hour promises nothing; one look ahead is enough.
_LOOK_AHEAD_DAYS = 15


@dataclass(frozen=True, slots=True)
class _Span:
    weekday: int
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Opening:
    """A week of open hours, in the clinic's zone; none at all means that nothing is known."""

    spans: Sequence[_Span] = ()

    def is_open(self, now: datetime, zone: ZoneInfo) -> bool:
        """Say whether the clinic is open at ``now``; always, when its hours are not known."""
        return not self.spans or any(start <= now < end for start, end in self._near(now, zone))

    def opens_at(self, now: datetime, zone: ZoneInfo) -> datetime:
        """Return ``now`` while it is open, else the next opening (UTC)."""
        if self.is_open(now, zone):
            return now
        return min(start for start, _ in self._near(now, zone) if start > now)

    def reply_by(self, now: datetime, zone: ZoneInfo) -> datetime:
        """Return by when an answer is promised (UTC): after four open hours."""
        if not self.spans:
            return now + REPLY_WITHIN
        left = REPLY_WITHIN
        for start, end in self._near(now, zone):
            begins = max(start, now)
            if end - begins >= left:
                return begins + left
            left -= max(end - begins, timedelta())
        # Open so rarely that two weeks do not hold four hours: the end of the last of them.
        return max(end for _, end in self._near(now, zone))

    def _near(self, now: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
        """Return the open hours that end after ``now``, in order."""
        today = local_date(now, zone)
        for ahead in range(_LOOK_AHEAD_DAYS):
            day = today + timedelta(days=ahead)
            for span in sorted(self.spans, key=lambda each: each.start):
                if span.weekday == day.weekday():
                    start, end = _instant(day, span.start, zone), _instant(day, span.end, zone)
                    if end > now:
                        yield start, end


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    if at == time.max:
        return to_utc(day + timedelta(days=1), time(), zone)
    return to_utc(day, at, zone).astimezone(UTC)


def parse(text: str) -> Opening:
    """Return the hours that ``Mon to Fri 09:00 to 18:00; Sat 10:00 to 14:00`` means.

    An empty text means that they are not known. Raises ``ValueError`` for what cannot be read.
    """
    spans: list[_Span] = []
    for part in re.split(r"[;\n]", text):
        words = " ".join(re.sub(r"[\u2013\u2014-]", " - ", part.lower()).split())
        if not words:
            continue
        found = _PART.fullmatch(words)
        if found is None:
            raise ValueError(f"{part.strip()!r} is not like 'Mon to Fri 09:00 to 18:00'")
        start, end = _clock(found["open"]), _clock(found["close"])
        if end <= start:
            raise ValueError(f"{part.strip()!r} closes before it opens")
        spans += [_Span(day, start, end) for day in _days(found["first"], found["last"])]
    return Opening(tuple(spans))


def _days(first: str, last: str | None) -> list[int]:
    for name in (first, last or first):
        if name not in _DAYS:
            raise ValueError(f"{name!r} is no day of the week, such as Mon")
    begin, end = _DAYS.index(first), _DAYS.index(last or first)
    return [day % 7 for day in range(begin, end + 1 + (7 if end < begin else 0))]


def _clock(text: str) -> time:
    hour, _, minute = text.partition(":")
    if (int(hour), int(minute or 0)) == (24, 0):
        return time.max
    try:
        return time(int(hour), int(minute or 0))
    except ValueError:
        raise ValueError(f"{text!r} is no time of the day") from None
