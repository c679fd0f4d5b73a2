"""When each step of one patient's visits is due, tables in the patient's local time."""

from dataclasses import replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from bot.domain.limits import still_on, strictest
from bot.domain.schedule import QuietHours, absent_steps, condition_fails, limit_ends, nominal
from bot.domain.states import Reason

from .samples import (
    BERLIN,
    FACE,
    FILLER_PROTOCOL,
    at,
    crowded,
    done,
    goes,
    handed,
    local,
    planned,
    planning,
    reasons,
)

KOLKATA = ZoneInfo("Asia/Kolkata")
NEW_YORK = ZoneInfo("America/New_York")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
APIA = ZoneInfo("Pacific/Apia")


def test_a_session_with_nothing_booked() -> None:
    made = planning(done("2025-03-10 15:40", target="2025-03-31"))
    assert {key: (local(p.due_at), local(p.expires_at)) for key, p in made.items()} == {
        "card": ("2025-03-10 15:40", "2025-03-11 12:00"),
        "d1": ("2025-03-11 10:00", "2025-03-12 12:00"),
        "d3": ("2025-03-13 18:00", "2025-03-15 20:00"),
        "d7": ("2025-03-17 10:00", "2025-03-22 20:00"),
        "book": ("2025-03-21 12:00", "2025-04-14 20:00"),
        "book-2": ("2025-03-25 12:00", "2025-04-18 20:00"),
        "d28": ("2025-04-07 11:00", "2025-04-21 20:00"),
        "maint": ("2025-06-02 11:00", "2025-07-08 20:00"),
        "maint-2": ("2025-08-25 11:00", "2025-09-30 20:00"),
    }
    assert " ".join(made) == "card d1 d3 d7 book book-2 d28 maint maint-2"
    assert reasons(made) == {}
    assert all(p.group == f"v1/{key}" and not p.asked for key, p in made.items())
    assert all(p.group_due_at == p.due_at == p.nominal_at for p in made.values())
    assert all(p.group_expires_at == p.expires_at for p in made.values())


def test_a_session_with_the_next_visit_booked() -> None:
    first = done("2025-03-10 15:40", next_visit="2025-03-31 14:00", target="2025-03-31")
    second = planned("2025-03-31 14:00", since="2025-03-10 15:40", previous="2025-03-10")
    made = planning(first, second)
    assert goes(made) == {
        "v1/card": "2025-03-10 15:40",
        "v1/d1": "2025-03-11 10:00",
        "v1/d3": "2025-03-13 18:00",
        "v1/d7": "2025-03-17 10:00",
        "v2/prep14": "2025-03-17 18:00",
        "v2/prep2": "2025-03-29 18:00",
        "v2/conf": "2025-03-30 12:00",
        "v1/maint": "2025-06-02 11:00",
        "v1/maint-2": "2025-08-25 11:00",
    }
    assert reasons(made) == {
        "v1/book": "booked",
        "v1/book-2": "booked",
        "v1/d28": "not_latest",
    }
    assert local(made["v2/prep14"].expires_at) == "2025-03-23 20:00"
    assert local(made["v2/prep2"].expires_at) == "2025-03-31 08:00"
    assert local(made["v2/conf"].expires_at) == "2025-03-31 11:00"


@pytest.mark.parametrize(
    ("zone", "session", "utc"),
    [
        # spring: D+1 is the day of the change, D+3 after it
        (BERLIN, "2025-03-29 18:30", {"d1": "2025-03-30T08:00", "d3": "2025-04-01T16:00"}),
        (NEW_YORK, "2025-03-08 18:30", {"d1": "2025-03-09T14:00", "d3": "2025-03-11T22:00"}),
        (LORD_HOWE, "2025-10-04 18:30", {"d1": "2025-10-04T23:00", "d3": "2025-10-07T07:00"}),
        # autumn
        (BERLIN, "2025-10-25 18:30", {"d1": "2025-10-26T09:00", "d3": "2025-10-28T17:00"}),
        (NEW_YORK, "2025-11-01 18:30", {"d1": "2025-11-02T15:00", "d3": "2025-11-04T23:00"}),
        (LORD_HOWE, "2025-04-05 18:30", {"d1": "2025-04-05T23:30", "d3": "2025-04-08T07:30"}),
        # no changes, half an hour and the far side of the date line
        (KOLKATA, "2025-03-10 15:40", {"d1": "2025-03-11T04:30", "d3": "2025-03-13T12:30"}),
        (APIA, "2025-03-10 15:40", {"d1": "2025-03-10T21:00", "d3": "2025-03-13T05:00"}),
    ],
)
def test_days_are_the_patients_calendar(zone: ZoneInfo, session: str, utc: dict[str, str]) -> None:
    made = planning(done(session, zone=zone), zone=zone)
    found = {key: made[key].due_at for key in utc}
    assert found == {key: at(value, ZoneInfo("UTC")) for key, value in utc.items()}


def test_a_day_that_a_zone_left_out_moves_its_step_out_of_quiet_hours() -> None:
    made = planning(done("2011-12-29 15:00", zone=APIA), zone=APIA)
    assert local(made["d1"].nominal_at, APIA) == "2011-12-31 00:00"
    assert local(made["d1"].due_at, APIA) == "2011-12-31 08:30"
    assert local(made["d1"].expires_at, APIA) == "2011-12-31 12:00"


def test_gap_and_fold_of_a_step_at_night() -> None:
    night = crowded("n1|D+1 02:30|D+1 20:00|check|safety = true|quiet_exempt = true")
    spring = planning(done("2025-03-29 15:00", protocol=night))
    assert spring["n1"].due_at == at("2025-03-30 03:00")
    autumn = planning(done("2025-10-25 15:00", protocol=night))
    assert autumn["n1"].due_at == at("2025-10-26 02:30")  # fold 0, the first pass


def test_hours_are_elapsed_and_days_are_calendar() -> None:
    session = done("2025-03-29 18:30")
    ends = dict(limit_ends(FACE, at("2025-03-29 18:30"), date(2025, 3, 29), BERLIN))
    assert ends["alcohol"] == at("2025-03-29 18:30") + timedelta(hours=24)
    assert local(ends["alcohol"]) == "2025-03-30 19:30"
    assert local(ends["gym"]) == "2025-04-01 18:00"
    assert local(ends["sauna_steam"]) == "2025-04-05 10:00"
    assert local(ends["strong_sun"]) == "2025-04-12 10:00"
    assert list(ends) == [limit.id for limit in FACE.limits]
    lifting = nominal(FACE.step("d3"), session, BERLIN)
    assert lifting is not None
    assert lifting[0] == ends["gym"]


def test_a_flight_moves_days_and_not_hours() -> None:
    done_at = at("2025-06-02 15:00")
    home = dict(limit_ends(FACE, done_at, date(2025, 6, 2), BERLIN))
    away = dict(limit_ends(FACE, done_at, date(2025, 6, 2), NEW_YORK))
    assert away["alcohol"] == home["alcohol"]
    assert away["gym"] - home["gym"] == timedelta(hours=6)


def test_the_latest_end_of_a_limit_counts() -> None:
    first = limit_ends(FACE, at("2025-03-10 15:00"), date(2025, 3, 10), BERLIN)
    second = limit_ends(FILLER_PROTOCOL, at("2025-03-12 15:00"), date(2025, 3, 12), BERLIN)
    both = dict(strictest([first, second]))
    assert local(both["sauna_steam"]) == "2025-03-19 10:00"
    assert local(both["gym"]) == "2025-03-14 10:00"
    assert local(both["touch"]) == "2025-03-13 15:00"
    assert list(both.values()) == sorted(both.values())
    remaining = dict(still_on(strictest([first, second]), at("2025-03-14 10:00")))
    assert "gym" not in remaining
    assert "sauna_steam" in remaining


def test_a_card_in_quiet_hours_goes_at_once_and_a_check_waits() -> None:
    early = crowded("d1|D+1 07:00|D+1 20:00|check|safety = true")
    made = planning(done("2025-03-10 21:30", protocol=early))
    assert goes(made) == {"card": "2025-03-10 21:30", "d1": "2025-03-11 08:30"}
    assert local(made["d1"].nominal_at) == "2025-03-11 07:00"


def test_quiet_hours_of_ones_own_may_outlast_a_step() -> None:
    steps = crowded("d1|D+1 08:00|D+1 09:00|check|safety = true")
    late_riser = QuietHours(time(21), time(9))
    made = planning(done("2025-03-10 15:00", protocol=steps), quiet=late_riser)
    assert reasons(made) == {"d1": "quiet_hours"}
    assert local(made["d1"].due_at) == "2025-03-11 08:00"
    assert made["d1"].group is None


@pytest.mark.parametrize(
    ("session", "expected"),
    [
        ("2025-03-10 10:00", "2025-03-10 13:00"),
        ("2025-03-10 17:59", "2025-03-10 20:59"),
        ("2025-03-10 19:00", "2025-03-10 21:00"),
        ("2025-03-10 19:30", "2025-03-10 21:00"),
        ("2025-03-10 19:31", "quiet_hours"),
        ("2025-03-10 21:40", "too_late!"),
    ],
)
def test_the_evening_check_has_a_latest_hour(session: str, expected: str) -> None:
    made = planning(done(session, protocol=FILLER_PROTOCOL))
    assert (goes(made) | reasons(made))["h3"] == expected


@pytest.mark.parametrize(
    ("target", "book", "book_2"),
    [
        ("2025-03-31", "2025-03-21 12:00", "2025-03-25 12:00"),
        ("2025-03-22", "2025-03-12 12:00", "2025-03-16 12:00"),
        # D+2 is the earliest, for the repeat D+6
        ("2025-03-15", "2025-03-12 12:00", "2025-03-16 12:00"),
        ("2025-03-21", "2025-03-12 12:00", "2025-03-16 12:00"),
        (None, "no_target_date!", "no_target_date!"),
        ("2025-02-20", "too_late!", "too_late!"),
    ],
)
def test_booking_follows_the_target(target: str | None, book: str, book_2: str) -> None:
    made = planning(done("2025-03-10 15:40", target=target))
    found = goes(made) | reasons(made)
    assert (found["book"], found["book-2"]) == (book, book_2)


def test_a_step_without_a_date_has_no_times_and_comes_last() -> None:
    made = planning(done("2025-03-10 15:40"))
    assert list(made)[-2:] == ["book", "book-2"]
    assert made["book"].due_at is made["book"].nominal_at is made["book"].expires_at is None
    booked = planning(done("2025-03-10 15:40", next_visit="2025-03-31 14:00"))
    assert reasons(booked)["book"] == "booked!"


def test_steps_of_a_visit_that_does_not_exist_are_listed_apart() -> None:
    session = done("2025-03-10 15:40")
    absent = absent_steps(session)
    assert [(p.step.id, p.reason) for p in absent] == [
        ("prep14", Reason.NO_NEXT_VISIT),
        ("prep2", Reason.NO_NEXT_VISIT),
        ("conf", Reason.NO_NEXT_VISIT),
    ]
    listed = [p.step.id for p in absent] + list(planning(session))
    assert sorted(listed) == sorted(step.id for step in FACE.steps)
    nothing = replace(session, done_at=None, done_date=None)
    assert planning(nothing) == {}
    assert len(absent_steps(nothing)) == len(FACE.steps)


@pytest.mark.parametrize(
    ("next_visit", "d7", "d28"),
    [
        (None, None, None),
        ("2025-03-17 09:00", Reason.NEXT_VISIT_NEAR, None),
        ("2025-03-19 23:00", Reason.NEXT_VISIT_NEAR, None),
        ("2025-03-20 09:00", None, None),
        ("2025-03-30 09:00", None, None),
        ("2025-03-31 09:00", None, Reason.NOT_LATEST),
        ("2025-04-07 09:00", None, Reason.NOT_LATEST),
        ("2025-04-14 19:00", None, Reason.NOT_LATEST),
        ("2025-04-15 09:00", None, None),
    ],
)
def test_conditions_look_at_the_next_visit(
    next_visit: str | None, d7: Reason | None, d28: Reason | None
) -> None:
    made = planning(done("2025-03-10 15:40", next_visit=next_visit))
    assert (made["d7"].reason, made["d28"].reason) == (d7, d28)
    assert not made["d7"].final
    assert not made["d28"].final


def test_conditions_are_judged_by_the_facts_of_the_moment() -> None:
    booked = done("2025-03-10 15:40", next_visit="2025-03-31 14:00")
    free = done("2025-03-10 15:40")
    later_one = done("2025-03-10 15:40", later_session=True)
    moment = at("2025-04-07 11:00")
    book, late_check = FACE.step("book"), FACE.step("d28")
    assert condition_fails(book, booked, moment, BERLIN) is Reason.BOOKED
    assert condition_fails(book, free, moment, BERLIN) is None
    assert condition_fails(book, later_one, moment, BERLIN) is Reason.BOOKED
    assert condition_fails(late_check, booked, moment, BERLIN) is Reason.NOT_LATEST
    assert condition_fails(late_check, booked, at("2025-04-08 11:00"), BERLIN) is None
    assert condition_fails(late_check, later_one, moment, BERLIN) is Reason.NOT_LATEST
    assert condition_fails(FACE.step("d1"), booked, moment, BERLIN) is None


@pytest.mark.parametrize(
    ("previous", "expected"),
    [
        (None, "2025-03-17 18:00"),
        ("2025-03-01", "2025-03-17 18:00"),
        ("2025-03-10", "2025-03-17 18:00"),
        ("2025-03-11", "gap_short"),
    ],
)
def test_the_gap_is_counted_in_days(previous: str | None, expected: str) -> None:
    made = planning(planned("2025-03-31 14:00", since="2025-03-12 10:00", previous=previous))
    assert (goes(made) | reasons(made))["prep14"] == expected


def test_a_confirmed_visit_is_not_asked_for_again() -> None:
    made = planning(planned("2025-03-31 14:00", since="2025-03-12 10:00", confirmed=True))
    assert reasons(made) == {"conf": "confirmed"}


def test_a_visit_is_dated_by_the_clinic_and_reminded_by_the_patients_clock() -> None:
    # 00:30 on the 31st in Berlin is still the 30th in New York.
    visit = planned("2025-03-31 00:30", since="2025-03-01 10:00", zone=NEW_YORK, clinic=BERLIN)
    made = planning(visit, zone=NEW_YORK)
    assert goes(made, NEW_YORK)["prep2"] == "2025-03-29 18:00"
    assert local(made["prep2"].expires_at) == "2025-03-30 18:30"
    # NV-1 12:00 is 18:00 in Berlin, half an hour before it would be too late to ask.
    assert goes(made, NEW_YORK)["conf"] == "2025-03-30 12:00"


def test_a_moved_visit_redates_what_is_not_delivered() -> None:
    before = planned("2025-03-31 14:00", since="2025-03-10 16:00", previous="2025-03-10")
    after = planned("2025-04-03 09:00", since="2025-03-10 16:00", previous="2025-03-10")
    gone = [handed(before, "prep14", "2025-03-17")]
    now = at("2025-03-20 10:00")
    assert goes(planning(before, delivered=gone, now=now)) == {
        "prep2": "2025-03-29 18:00",
        "conf": "2025-03-30 12:00",
    }
    assert goes(planning(after, delivered=gone, now=now)) == {
        "prep2": "2025-04-01 18:00",
        "conf": "2025-04-02 12:00",
    }


@pytest.mark.parametrize(
    ("booked_at", "expected"),
    [
        # prep14 was due on the 17th at 18:00 and is valid until the 23rd at 20:00
        ("2025-03-17 17:00", "2025-03-17 18:00"),
        ("2025-03-18 11:00", "2025-03-18 11:00"),
        ("2025-03-18 22:00", "2025-03-19 08:30"),
        ("2025-03-23 19:59", "2025-03-23 19:59"),
        ("2025-03-23 20:00", "too_late!"),
    ],
)
def test_a_visit_booked_late_gets_what_is_still_valid(booked_at: str, expected: str) -> None:
    made = planning(planned("2025-03-31 14:00", since=booked_at))
    assert (goes(made) | reasons(made))["prep14"] == expected
    assert not made["prep14"].asked


def test_a_visit_booked_the_evening_before_keeps_its_validity() -> None:
    made = planning(planned("2025-03-31 11:00", since="2025-03-30 22:00"))
    # 08:30 is past NV-6h and NV-3h.
    assert reasons(made) == {
        "prep14": "too_late!",
        "prep2": "quiet_hours",
        "conf": "quiet_hours",
    }


@pytest.mark.parametrize(
    ("booked_at", "visit_at", "prep2", "conf"),
    [
        # Both are due at once: the preparation asks already.
        ("2025-03-30 11:00", "2025-03-30 18:30", "2025-03-30 11:00", "folded"),
        ("2025-03-30 12:00", "2025-03-31 14:00", "2025-03-30 12:00", "folded"),
        ("2025-03-30 22:00", "2025-03-31 18:30", "2025-03-31 08:30", "folded"),
        # In another half of the day, or on another day, a reminder is of use.
        ("2025-03-30 11:59", "2025-03-31 14:00", "2025-03-30 11:59", "2025-03-30 12:00"),
        ("2025-03-29 19:00", "2025-03-31 14:00", "2025-03-29 19:00", "2025-03-30 12:00"),
        # Too late to prepare, in time to ask.
        ("2025-03-30 11:00", "2025-03-30 16:00", "too_late!", "2025-03-30 11:00"),
    ],
)
def test_at_short_notice_nobody_is_asked_twice_whether_they_come(
    booked_at: str, visit_at: str, prep2: str, conf: str
) -> None:
    made = planning(planned(visit_at, since=booked_at))
    found = goes(made) | reasons(made)
    assert (found["prep2"], found["conf"]) == (prep2, conf)


def test_a_short_gap_explains_better_than_being_too_late() -> None:
    made = planning(planned("2025-03-17 11:00", since="2025-03-10 16:00", previous="2025-03-10"))
    assert reasons(made) == {"prep14": "gap_short!"}


def test_a_new_session_replaces_what_the_old_one_still_had() -> None:
    first = done("2025-03-10 15:40", target="2025-03-24", later_session=True)
    second = done("2025-03-17 15:40", visit="v2", target="2025-03-31")
    gone = [handed(first, "card", "2025-03-10"), handed(first, "d1", "2025-03-11")]
    made = planning(first, second, delivered=gone)
    assert {key: reason for key, reason in reasons(made).items() if key.startswith("v1")} == {
        f"v1/{step}": "new_session!" for step in ["d3", "d7", "book", "book-2", "d28"]
    } | {"v1/maint": "new_session!", "v1/maint-2": "new_session!"}
    assert goes(made)["v2/d1"] == "2025-03-18 10:00"


def test_a_cancelled_visit_brings_booking_and_late_check_back() -> None:
    booked = done("2025-03-10 15:40", target="2025-03-31", next_visit="2025-03-31 14:00")
    free = done("2025-03-10 15:40", target="2025-03-31")
    now = at("2025-03-28 21:15")
    assert reasons(planning(booked, now=now))["book"] == "booked"
    # Both bookings are past and still valid, and go out of quiet hours.
    found = goes(planning(free, now=now))
    assert found["book"] == "2025-03-29 08:30"
    assert found["d28"] == "2025-04-07 11:00"


def test_a_replan_keeps_what_is_past_and_valid_and_settles_what_is_not() -> None:
    session = done("2025-03-10 15:40", target="2025-03-31")
    made = planning(session, now=at("2025-03-12 11:00"))
    assert reasons(made) == {"card": "too_late!"}
    assert goes(made)["d1"] == "2025-03-12 11:00"
    made = planning(session, now=at("2025-03-12 12:00"))
    assert reasons(made) == {"card": "too_late!", "d1": "too_late!"}
    assert made["d1"].due_at is None
    assert local(made["d1"].nominal_at) == "2025-03-11 10:00"


def test_a_delivered_step_is_not_planned_again() -> None:
    session = done("2025-03-10 15:40", target="2025-03-31")
    made = planning(session, delivered=[handed(session, "card", "2025-03-10")])
    assert "card" not in made
    assert len(made) == 8
