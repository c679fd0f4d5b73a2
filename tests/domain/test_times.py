"""Local time to UTC and out of quiet hours, over gaps, folds and a day that never was."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.domain.times import QuietHours, is_quiet, local_date, next_quiet, out_of_quiet, to_utc

from .samples import at

NO_QUIET = QuietHours(time(9, 0), time(9, 0))


@pytest.mark.parametrize(
    ("zone", "day", "clock", "expected"),
    [
        # ordinary
        ("Europe/Berlin", "2025-03-10", "10:00", "2025-03-10T09:00"),
        ("Asia/Kolkata", "2025-03-10", "10:00", "2025-03-10T04:30"),
        ("Pacific/Apia", "2025-03-10", "10:00", "2025-03-09T21:00"),
        ("Australia/Lord_Howe", "2025-01-10", "10:00", "2025-01-09T23:00"),
        ("Australia/Lord_Howe", "2025-06-10", "10:00", "2025-06-09T23:30"),
        # the day of the change, away from it
        ("Europe/Berlin", "2025-03-30", "10:00", "2025-03-30T08:00"),
        ("Europe/Berlin", "2025-10-26", "10:00", "2025-10-26T09:00"),
        ("America/New_York", "2025-03-09", "10:00", "2025-03-09T14:00"),
        ("America/New_York", "2025-11-02", "10:00", "2025-11-02T15:00"),
        # gap: the first minute after it
        ("Europe/Berlin", "2025-03-30", "02:00", "2025-03-30T01:00"),
        ("Europe/Berlin", "2025-03-30", "02:30", "2025-03-30T01:00"),
        ("Europe/Berlin", "2025-03-30", "02:59", "2025-03-30T01:00"),
        ("Europe/Berlin", "2025-03-30", "03:00", "2025-03-30T01:00"),
        ("Europe/Berlin", "2025-03-30", "01:59", "2025-03-30T00:59"),
        ("America/New_York", "2025-03-09", "02:30", "2025-03-09T07:00"),
        ("Australia/Lord_Howe", "2025-10-05", "02:15", "2025-10-04T15:30"),
        ("Australia/Lord_Howe", "2025-10-05", "02:30", "2025-10-04T15:30"),
        # a whole day left out: the first minute of the next
        ("Pacific/Apia", "2011-12-30", "10:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-30", "00:00", "2011-12-30T10:00"),
        ("Pacific/Apia", "2011-12-31", "10:00", "2011-12-30T20:00"),
        # a change at an odd second: the first whole minute after it
        ("Africa/Monrovia", "1972-01-07", "00:10", "1972-01-07T00:45"),
        # fold: the first pass
        ("Europe/Berlin", "2025-10-26", "02:30", "2025-10-26T00:30"),
        ("America/New_York", "2025-11-02", "01:30", "2025-11-02T05:30"),
        ("Australia/Lord_Howe", "2025-04-06", "01:45", "2025-04-05T14:45"),
        ("Australia/Lord_Howe", "2025-04-06", "02:00", "2025-04-05T15:30"),
    ],
)
def test_a_local_time_is_one_instant(zone: str, day: str, clock: str, expected: str) -> None:
    found = to_utc(date.fromisoformat(day), time.fromisoformat(clock), ZoneInfo(zone))
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert found.tzinfo is UTC


@pytest.mark.parametrize(
    ("moment", "zone", "expected"),
    [
        ("2025-03-10T23:30", "Europe/Berlin", "2025-03-11"),
        ("2025-03-10T03:30", "America/New_York", "2025-03-09"),
        ("2025-03-10T18:29", "Asia/Kolkata", "2025-03-10"),
        ("2025-03-10T18:30", "Asia/Kolkata", "2025-03-11"),
    ],
)
def test_a_moment_has_one_local_day(moment: str, zone: str, expected: str) -> None:
    aware = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    assert local_date(aware, ZoneInfo(zone)) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2025-03-10 20:59", "2025-03-10 20:59"),
        ("2025-03-10 21:00", "2025-03-11 08:30"),
        ("2025-03-10 23:59", "2025-03-11 08:30"),
        ("2025-03-11 00:00", "2025-03-11 08:30"),
        ("2025-03-11 08:29", "2025-03-11 08:30"),
        ("2025-03-11 08:30", "2025-03-11 08:30"),
        ("2025-03-11 12:00", "2025-03-11 12:00"),
        ("2025-03-29 22:00", "2025-03-30 08:30"),
        ("2025-10-25 22:00", "2025-10-26 08:30"),
    ],
)
def test_quiet_hours_cross_midnight(moment: str, expected: str) -> None:
    zone = ZoneInfo("Europe/Berlin")
    found = out_of_quiet(at(moment), zone, QuietHours())
    assert found == at(expected)
    assert is_quiet(at(moment), zone, QuietHours()) is (moment != expected)


@pytest.mark.parametrize(
    ("zone", "quiet", "moment", "expected"),
    [
        # within one day
        ("Europe/Berlin", "13:00-15:00", "2025-03-10T13:00", "2025-03-10T14:00"),
        ("Europe/Berlin", "13:00-15:00", "2025-03-10T14:00", "2025-03-10T14:00"),
        # no quiet hours at all
        ("Europe/Berlin", "09:00-09:00", "2025-03-10T08:00", "2025-03-10T08:00"),
        # the end lies in a gap
        ("Europe/Berlin", "22:00-02:30", "2025-03-29T22:00", "2025-03-30T01:00"),
        # the end lies in a fold: the first pass ends it, the second is quiet again
        ("Europe/Berlin", "22:00-02:30", "2025-10-25T22:00", "2025-10-26T00:30"),
        ("Europe/Berlin", "22:00-02:30", "2025-10-26T01:10", "2025-10-26T01:30"),
        ("Australia/Lord_Howe", "22:00-01:45", "2025-04-05T15:05", "2025-04-05T15:15"),
        # the day with the end is left out
        ("Pacific/Apia", "21:00-08:30", "2011-12-30T08:00", "2011-12-30T18:30"),
        ("Pacific/Apia", "21:00-08:30", "2011-12-30T10:00", "2011-12-30T18:30"),
        ("Asia/Kolkata", "21:00-08:30", "2025-03-10T16:00", "2025-03-11T03:00"),
    ],
)
def test_quiet_hours_end_after_them(zone: str, quiet: str, moment: str, expected: str) -> None:
    start, end = (time.fromisoformat(clock) for clock in quiet.split("-"))
    hours = QuietHours(start, end)
    found = out_of_quiet(datetime.fromisoformat(moment).replace(tzinfo=UTC), ZoneInfo(zone), hours)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert not is_quiet(found, ZoneInfo(zone), hours)


def test_equal_start_and_end_mean_no_quiet_hours() -> None:
    midnight = at("2025-03-10 00:00")
    hours = (midnight + timedelta(hours=hour) for hour in range(24))
    assert not any(is_quiet(hour, ZoneInfo("Europe/Berlin"), NO_QUIET) for hour in hours)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-03-10 12:00", "2026-03-10 20:00"),
        ("2026-03-10 20:00", "2026-03-11 20:00"),
        ("2026-03-28 21:00", "2026-03-29 19:00"),
    ],
    ids=["the same evening", "the next one", "over the change of clocks"],
)
def test_the_next_quiet_hours_begin_at_the_patient_s_hour(moment: str, expected: str) -> None:
    utc = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    begins = next_quiet(utc, ZoneInfo("Europe/Berlin"), QuietHours())
    assert begins == datetime.fromisoformat(expected).replace(tzinfo=UTC)
