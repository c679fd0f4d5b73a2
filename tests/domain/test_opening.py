"""When a clinic is open and by when it promises to reply: read from the words that people read."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.domain.opening import Opening, parse

BERLIN = ZoneInfo("Europe/Berlin")
WEEK = "Mon to Fri 09:00 to 18:00; Sat 10 to 13"


def at(local: str) -> datetime:
    return datetime.fromisoformat(local).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("text", "now", "open_"),
    [
        # Tuesday 10 March 2026.
        (WEEK, "2026-03-10 09:00", True),
        (WEEK, "2026-03-10 08:59", False),
        (WEEK, "2026-03-10 17:59", True),
        (WEEK, "2026-03-10 18:00", False),
        (WEEK, "2026-03-14 12:59", True),
        (WEEK, "2026-03-15 12:00", False),
        ("Monday to Friday, 9:00 to 18:00", "2026-03-10 09:00", True),
        ("Mon\N{EN DASH}Fri 09:00\N{EN DASH}18:00", "2026-03-10 09:00", True),
        ("Sat to Mon 10:00 to 12:00", "2026-03-15 11:00", True),
        ("Sat to Mon 10:00 to 12:00", "2026-03-10 11:00", False),
        ("Tue 09 to 12; Tue 15 to 24", "2026-03-10 13:00", False),
        ("Tue 09 to 12; Tue 15 to 24", "2026-03-10 23:59", True),
        ("", "2026-03-15 03:00", True),
    ],
)
def test_when_it_is_open(text: str, now: str, open_: bool) -> None:
    assert parse(text).is_open(at(now), BERLIN) is open_


@pytest.mark.parametrize(
    ("now", "opens", "reply_by"),
    [
        ("2026-03-10 09:30", "2026-03-10 09:30", "2026-03-10 13:30"),
        ("2026-03-10 15:00", "2026-03-10 15:00", "2026-03-11 10:00"),
        ("2026-03-10 22:00", "2026-03-11 09:00", "2026-03-11 13:00"),
        # Friday evening: three hours of Saturday, one of Monday.
        ("2026-03-13 19:00", "2026-03-14 10:00", "2026-03-16 10:00"),
        # The clocks go forward on Sunday 29 March.
        ("2026-03-28 14:00", "2026-03-30 09:00", "2026-03-30 13:00"),
    ],
)
def test_the_next_opening_and_the_promised_reply(now: str, opens: str, reply_by: str) -> None:
    week = parse(WEEK)
    assert week.opens_at(at(now), BERLIN) == at(opens)
    assert week.reply_by(at(now), BERLIN) == at(reply_by)


def test_a_clinic_that_is_open_rarely_still_promises_a_time() -> None:
    rare = parse("Mon 09:00 to 10:00")
    assert rare.reply_by(at("2026-03-10 09:00"), BERLIN) == at("2026-03-23 10:00")


def test_without_hours_the_promise_is_plain_time() -> None:
    now = at("2026-03-15 03:00")
    assert Opening().opens_at(now, BERLIN) == now
    assert Opening().reply_by(now, BERLIN) == now + timedelta(hours=4)


@pytest.mark.parametrize(
    "text",
    ["by appointment", "Mon", "Mon 9 to 9", "Xyz 9 to 12", "Mon 9 to 25", "Mon to Fri", "9 to 12"],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not like|closes before|is no"):
        parse(text)
