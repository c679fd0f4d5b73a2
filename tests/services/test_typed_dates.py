"""What a practitioner may type as a date and time, and what it means on the clinic's clock."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from bot.services import typed_dates
from bot.services.errors import CareError
from bot.services.typed_dates import MomentTyped

BERLIN = ZoneInfo("Europe/Berlin")
WORDS = {"today": 0, "tomorrow": 1, "yesterday": -1}
MARCH = datetime(2026, 3, 10, 15, 0, tzinfo=BERLIN)
JANUARY = datetime(2026, 1, 3, 9, 0, tzinfo=BERLIN)
DECEMBER = datetime(2026, 12, 20, 9, 0, tzinfo=BERLIN)
BEFORE_SPRING = datetime(2026, 3, 28, 15, 0, tzinfo=BERLIN)
AFTER_AUTUMN = datetime(2026, 10, 25, 12, 0, tzinfo=BERLIN)
LEAP_WINTER = datetime(2028, 2, 1, 9, 0, tzinfo=BERLIN)


def read(typed: str, now: datetime) -> MomentTyped:
    return typed_dates.read(typed, BERLIN, now, WORDS)


@pytest.mark.parametrize(
    ("now", "typed", "local", "past"),
    [
        (MARCH, "14:30", "2026-03-10T14:30+01:00", True),
        (MARCH, "14.30", "2026-03-10T14:30+01:00", True),
        (MARCH, "15:00", "2026-03-10T15:00+01:00", True),
        (MARCH, "15:01", "2026-03-10T15:01+01:00", False),
        (MARCH, "  Today   9:05 ", "2026-03-10T09:05+01:00", True),
        (MARCH, "yesterday 18:30", "2026-03-09T18:30+01:00", True),
        (MARCH, "tomorrow 0:00", "2026-03-11T00:00+01:00", False),
        (MARCH, "2026-03-28 18:30", "2026-03-28T18:30+01:00", False),
        (MARCH, "2026-03-28T18:30", "2026-03-28T18:30+01:00", False),
        (MARCH, "28.03. 18:30", "2026-03-28T18:30+01:00", False),
        (MARCH, "28.3 18:30", "2026-03-28T18:30+01:00", False),
        (MARCH, "28.03.2026, 18:30", "2026-03-28T18:30+01:00", False),
        (MARCH, "28.03.26 at 18:30", "2026-03-28T18:30+01:00", False),
        (MARCH, "28/03/2026 18.30", "2026-03-28T18:30+01:00", False),
        # Summer time begins between now and then.
        (MARCH, "07.04. 11:00", "2026-04-07T11:00+02:00", False),
        # Without a year the one such date within reach is meant.
        (MARCH, "05.03. 11:00", "2026-03-05T11:00+01:00", True),
        (MARCH, "10.08. 11:00", "2026-08-10T11:00+02:00", False),
        (JANUARY, "28.12. 11:00", "2025-12-28T11:00+01:00", True),
        (DECEMBER, "05.01. 11:00", "2027-01-05T11:00+01:00", False),
        (LEAP_WINTER, "29.02. 11:00", "2028-02-29T11:00+01:00", False),
        # The hour that comes twice in autumn: its first pass.
        (AFTER_AUTUMN, "2:30", "2026-10-25T02:30+02:00", True),
        # The limits of what can be meant: 28 days back, 300 ahead.
        (MARCH, "10.02.2026 15:00", "2026-02-10T15:00+01:00", True),
        (MARCH, "04.01.2027 15:00", "2027-01-04T15:00+01:00", False),
    ],
)
def test_a_typed_moment_is_on_the_clinics_clock(
    now: datetime, typed: str, local: str, past: bool
) -> None:
    moment = read(typed, now)
    assert moment.at.astimezone(BERLIN).isoformat(timespec="minutes") == local
    assert moment.past is past
    assert MomentTyped.from_text(moment.to_text()) == moment


@pytest.mark.parametrize(
    ("now", "typed"),
    [
        (MARCH, ""),
        (MARCH, "soon"),
        (MARCH, "next week 14:30"),
        (MARCH, "14:30 or so"),
        (MARCH, "31.02. 10:00"),
        (MARCH, "29.02.2026 10:00"),
        (MARCH, "2026-13-01 10:00"),
        (MARCH, "00.03. 10:00"),
        (MARCH, "25:00"),
        (MARCH, "24:00"),
        (MARCH, "10:60"),
        (MARCH, "28.03."),
        (MARCH, "9999-12-31 23:59"),
        (MARCH, "0001-01-01 00:00"),
        (MARCH, "today 14:30; DROP TABLE visit"),
        # A wrong year is out of reach: of a session that was, and of a visit to come.
        (MARCH, "09.03.2027 14:30"),
        (MARCH, "28.03.2027 18:30"),
        (MARCH, "28.03.2025 18:30"),
        # Beyond the limits by a minute.
        (MARCH, "10.02.2026 14:59"),
        (MARCH, "04.01.2027 15:01"),
        # The hour that the clocks leave out in spring.
        (BEFORE_SPRING, "29.03. 02:30"),
        (BEFORE_SPRING, "tomorrow 2:00"),
    ],
)
def test_what_cannot_be_meant_is_refused(now: datetime, typed: str) -> None:
    with pytest.raises(CareError) as refused:
        read(typed, now)
    assert refused.value.template == "errors/impossible_date"
    assert refused.value.values["typed"] == typed


@pytest.mark.parametrize(
    ("now", "typed", "why"),
    [
        (MARCH, "soon", set()),
        (MARCH, "31.02. 10:00", set()),
        (MARCH, "28.03.", {"no_time"}),
        (MARCH, "2026-03-28", {"no_time"}),
        (MARCH, "tomorrow", {"no_time"}),
        (MARCH, "28.03.2027 18:30", {"too_far"}),
        (MARCH, "28.03.2025 18:30", {"too_far"}),
        (BEFORE_SPRING, "29.03. 02:30", {"skipped"}),
    ],
)
def test_a_refusal_says_what_is_wrong(now: datetime, typed: str, why: set[str]) -> None:
    with pytest.raises(CareError) as refused:
        read(typed, now)
    values = refused.value.values
    assert {key for key in ("no_time", "skipped", "too_far") if values[key]} == why
    assert read(values["example"], now).past is False


def test_a_refusal_quotes_no_more_than_the_beginning() -> None:
    with pytest.raises(CareError) as refused:
        read("x" * 4096, MARCH)
    assert refused.value.values["typed"] == "x" * 40
