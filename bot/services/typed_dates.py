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
        r"^(?P<day>\d{1,2})[./](?P<month>\d{1,2})[./]?(?P<year>\d{4}|\d{2})?,?\s+(?:at\s+)?"
        rf"{_CLOCK}$"
    ),
)
_CENTURY = 2000
_LONGEST_PAST = timedelta(days=28)
# Both together are less than a year: a date typed with the wrong year is always out of reach,
# and one without a year has one meaning only.
_LONGEST_AHEAD = timedelta(days=300)
# Farther ahead the year must be typed: "03.03." in May is a slip, not next March.
_LONGEST_WITHOUT_YEAR = timedelta(days=180)


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


def read(
    typed: str, zone: ZoneInfo, now: datetime, words: dict[str, int], *, past_too: bool = True
) -> MomentTyped:
    """Return the instant that ``typed`` means on the clinic's clock.

    ``words`` maps words such as "today" to days from now. Raises ``CareError`` for a date or time
    that does not exist, lies more than 28 days back or more than 300 days ahead; its words speak
    of the past only where a past time is asked for.
    """
    text = " ".join(typed.lower().split())
    today = now.astimezone(zone).date()
    refusal = {
        "typed": typed[:40],
        "example": f"{today + timedelta(days=1)} 18:30",
        "past_too": past_too,
        "no_time": False,
        "skipped": False,
        "too_far": False,
    }
    match = _match(text)
    if match is None:
        dated = _match(f"{text} 12:00")
        no_time = dated is not None and (text in words or text[:1].isdigit())
        raise CareError("impossible_date", refusal | {"no_time": no_time})
    parts = match.groupdict()
    try:
        clock = time(int(parts["hour"]), int(parts["minute"]))
        at = to_utc(_day(parts, today, words), clock, zone)
    except (ValueError, KeyError, OverflowError):
        raise CareError("impossible_date", refusal) from None
    # In the hour that the clocks skip in spring no session ends and no visit begins.
    if at.astimezone(zone).time() != clock:
        raise CareError("impossible_date", refusal | {"skipped": True})
    if not now - _LONGEST_PAST <= at <= now + _LONGEST_AHEAD:
        raise CareError("impossible_date", refusal | {"too_far": True})
    return MomentTyped(at, past=at <= now)


def _match(text: str) -> re.Match[str] | None:
    return next((found for form in _FORMS if (found := form.match(text))), None)


def _day(parts: dict[str, str | None], today: date, words: dict[str, int]) -> date:
    if parts.get("word"):
        return today + timedelta(days=words[parts["word"] or ""])
    if not parts.get("day"):
        return today
    year = parts.get("year")
    day, month = int(parts["day"] or ""), int(parts["month"] or "")
    if year:
        return date(int(year) + (_CENTURY if len(year) == 2 else 0), month, day)
    within = (
        each
        for shift in (-1, 0, 1)
        if (each := _dated(today.year + shift, month, day)) is not None
        and today - _LONGEST_PAST <= each <= today + _LONGEST_WITHOUT_YEAR
    )
    found = next(within, None)
    if found is None:
        raise ValueError(parts["day"])
    return found


def _dated(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
