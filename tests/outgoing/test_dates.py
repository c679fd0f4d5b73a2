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
    assert dates.day(date(2025, 3, 10), language) == shown


@pytest.mark.parametrize("language", ["ar", "he", "fa"])
def test_a_day_reads_in_languages_written_from_the_right(language: str) -> None:
    shown = dates.day(date(2025, 3, 10), language)
    assert [int(digits) for digits in re.findall(r"\d+", shown)] == [10]
    assert not shown.isascii()


@pytest.mark.parametrize(("language", "zone", "shown"), MOMENTS)
def test_a_moment_is_shown_in_the_zone(language: str, zone: str, shown: str) -> None:
    instant = datetime(2025, 3, 10, 17, 0, tzinfo=UTC)
    assert dates.moment(instant, ZoneInfo(zone), language) == shown


def test_both_passes_of_an_hour_show_the_same_clock() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = dates.moment(datetime(2025, 10, 26, 0, 30, tzinfo=UTC), berlin, "en")
    second = dates.moment(datetime(2025, 10, 26, 1, 30, tzinfo=UTC), berlin, "en")
    assert first == second == "Sun 26 October, 02:30"


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="zone"):
        dates.moment(datetime(2025, 3, 10, 17, 0), ZoneInfo("UTC"), "en")  # noqa: DTZ001 - the point


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
        dates.day(date(2025, 3, 10), "xq")
