"""Dates and times as a practitioner types them: "14:30", "today 14:30", "28.03.2026 18:30"."""

import re
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Self
from zoneinfo import ZoneInfo

from bot.domain.times import to_utc
from bot.services.errors import CareError

_CLOCK = r"(?P<hour>\d{1,2})[:.](?P<minute>\d{2})"
_FORMS = (
    re.compile(rf"^{_CLOCK}$"),
    re.compile(rf"^(?P<word>[a-z]+)\s+{_CLOCK}$"),
    re.compile(rf"^(?P<year>\d{{4}})-(?P<month>\d{{1,2}})-(?P<day>\d{{1,2}})[t\s]+{_CLOCK}$"),
    re.compile(
        rf"^(?P<day>\d{{1,2}})[./](?P<month>\d{{1,2}})[./]?(?P<year>\d{{4}})?,?\s+{_CLOCK}$"
    ),
)
_LONGEST_PAST = timedelta(days=28)
_LONGEST_AHEAD = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class MomentTyped:
    """An instant that somebody typed, and whether it lay in the past then."""

    at: datetime
    past: bool

    def to_text(self) -> str:
        """Return the moment in a form that :meth:`from_text` reads."""
        return f"{self.at.isoformat()} {int(self.past)}"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read a moment that :meth:`to_text` wrote."""
        at, past = text.split()
        return cls(datetime.fromisoformat(at), past == "1")


def read(typed: str, zone: ZoneInfo, now: datetime, words: dict[str, int]) -> MomentTyped:
    """Return the instant that ``typed`` means on the clinic's clock.

    ``words`` maps words such as "today" to days from now. Raises ``CareError`` for a date or time
    that does not exist, lies more than 28 days back or more than two years ahead.
    """
    text = " ".join(typed.lower().split())
    match = next((found for form in _FORMS if (found := form.match(text))), None)
    if match is None:
        raise CareError("impossible_date", {"typed": typed[:40]})
    parts = match.groupdict()
    today = now.astimezone(zone).date()
    try:
        day = _day(parts, today, words)
        at = to_utc(day, time(int(parts["hour"]), int(parts["minute"])), zone)
    except (ValueError, KeyError):
        raise CareError("impossible_date", {"typed": typed[:40]}) from None
    if at < now - _LONGEST_PAST or at > now + _LONGEST_AHEAD:
        raise CareError("impossible_date", {"typed": typed[:40]})
    return MomentTyped(at, past=at <= now)


def _day(parts: dict[str, str | None], today: date, words: dict[str, int]) -> date:
    if parts.get("word"):
        return today + timedelta(days=words[parts["word"] or ""])
    if not parts.get("day"):
        return today
    year = parts.get("year")
    day, month = int(parts["day"] or ""), int(parts["month"] or "")
    if year:
        return date(int(year), month, day)
    # Without a year the nearest such date is meant: in January "28.12." is last month's.
    near = [_dated(today.year + shift, month, day) for shift in (-1, 0, 1)]
    known = [each for each in near if each is not None]
    if not known:
        raise ValueError(parts["day"])
    return min(known, key=lambda each: abs((each - today).days))


def _dated(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
