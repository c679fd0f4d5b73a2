"""Days, clock times and lists in several languages."""

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from bot.outgoing import dates

DAYS = [
    ("en", "Mon 10 March"),
    ("de", "Mo., 10. März"),
    ("fr", "lun. 10 mars"),
    ("es", "lun, 10 de marzo"),
    ("ru", "пн, 10 марта"),
    ("pl", "pon., 10 marca"),
    ("pt-br", "seg., 10 de março"),
    ("zh-hans", "3月10日周一"),
]

MOMENTS = [
    ("en", "Europe/Berlin", "Mon 10 March, 18:00"),
    ("en", "America/New_York", "Mon 10 March, 13:00"),
    ("en", "Pacific/Auckland", "Tue 11 March, 06:00"),
    ("de", "Europe/Berlin", "Mo., 10. März, 18:00"),
]

# A day, the reader's today, and what is shown: the year where it is another.
YEARS = [
    ("en", date(2026, 12, 31), date(2026, 1, 1), "Thu 31 December"),
    ("en", date(2027, 1, 1), date(2026, 12, 31), "Fri, 1 January 2027"),
    ("en", date(2025, 12, 31), date(2026, 1, 1), "Wed, 31 December 2025"),
    ("de", date(2027, 3, 10), date(2026, 3, 10), "Mi., 10. März 2027"),
    ("es", date(2027, 3, 10), date(2026, 3, 10), "mié, 10 de marzo de 2027"),
]
# In Auckland the year has begun when in Berlin it has not.
NEW_YEAR = datetime(2026, 12, 31, 12, 0, tzinfo=UTC)
LATER = datetime(2027, 1, 10, 12, 0, tzinfo=UTC)
YEARS_OF_MOMENTS = [
    ("Europe/Berlin", NEW_YEAR, LATER, "Sun, 10 January 2027, 13:00"),
    ("Pacific/Auckland", NEW_YEAR, LATER, "Mon 11 January, 01:00"),
    ("Europe/Berlin", LATER, NEW_YEAR, "Thu, 31 December 2026, 13:00"),
    ("Pacific/Auckland", LATER, NEW_YEAR, "Fri 1 January, 01:00"),
]

LISTS: list[tuple[str, list[str], str]] = [
    ("en", [], ""),
    ("en", ["gym"], "gym"),
    ("en", ["gym", "sauna"], "gym and sauna"),
    ("en", ["gym", "sauna", "pool"], "gym, sauna and pool"),
    ("de", ["Sport", "Sauna"], "Sport und Sauna"),
    ("es", ["a", "b", "c"], "a, b y c"),
]


@pytest.mark.parametrize(("language", "shown"), DAYS)
def test_a_day_has_its_weekday_and_full_month(language: str, shown: str) -> None:
    assert dates.day(date(2025, 3, 10), language, date(2025, 3, 1)) == shown


@pytest.mark.parametrize(("language", "value", "today", "shown"), YEARS)
def test_a_day_of_another_year_says_which(
    language: str, value: date, today: date, shown: str
) -> None:
    assert dates.day(value, language, today) == shown


@pytest.mark.parametrize(("zone", "now", "value", "shown"), YEARS_OF_MOMENTS)
def test_the_year_of_a_moment_is_the_reader_s(
    zone: str, now: datetime, value: datetime, shown: str
) -> None:
    assert dates.moment(value, ZoneInfo(zone), "en", now) == shown


@pytest.mark.parametrize("language", ["ar", "he", "fa"])
def test_a_day_reads_in_languages_written_from_the_right(language: str) -> None:
    shown = dates.day(date(2025, 3, 10), language, date(2025, 3, 1))
    assert [int(digits) for digits in re.findall(r"\d+", shown)] == [10]
    assert not shown.isascii()


@pytest.mark.parametrize(("language", "zone", "shown"), MOMENTS)
def test_a_moment_is_shown_in_the_zone(language: str, zone: str, shown: str) -> None:
    instant = datetime(2025, 3, 10, 17, 0, tzinfo=UTC)
    assert dates.moment(instant, ZoneInfo(zone), language, instant) == shown


def test_both_passes_of_an_hour_show_the_same_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    now = datetime(2025, 10, 1, tzinfo=UTC)
    first = dates.moment(datetime(2025, 10, 26, 0, 30, tzinfo=UTC), berlin, "en", now)
    second = dates.moment(datetime(2025, 10, 26, 1, 30, tzinfo=UTC), berlin, "en", now)
    assert first == second == "Sun 26 October, 02:30"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        dates.moment(
            datetime(2025, 3, 10, 17, 0),  # noqa: DTZ001 - the point
            ZoneInfo("UTC"),
            "en",
            NEW_YEAR,
        )


@pytest.mark.parametrize(("language", "parts", "shown"), LISTS)
def test_a_list_is_one_phrase(language: str, parts: list[str], shown: str) -> None:
    assert dates.join(parts, language) == shown


def test_a_list_of_choices_says_or() -> None:
    assert dates.join(["gym", "sauna", "pool"], "en", "or") == "gym, sauna or pool"


def test_a_clock_has_24_hours() -> None:
    assert [dates.clock(time(8, 5)), dates.clock(time(0, 0)), dates.clock(time(21, 30))] == [
        "08:05",
        "00:00",
        "21:30",
    ]


def test_plurals_follow_the_language() -> None:
    assert [dates.plural_form(n, "en") for n in (0, 1, 2)] == ["other", "one", "other"]
    assert [dates.plural_form(n, "ru") for n in (1, 3, 5)] == ["one", "few", "many"]


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ValueError, match="no such language"):
        dates.day(date(2025, 3, 10), "xq", date(2025, 3, 10))
