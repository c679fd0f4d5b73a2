"""The shipped filler protocol: its times worked out by hand, its limits, its triage."""

import tomllib
from datetime import timedelta

import pytest

from bot.domain.protocol import Condition, ConditionKind
from bot.domain.protocol_files import ProtocolError, parse
from bot.domain.schedule import limit_ends
from bot.domain.states import Level
from bot.domain.times import local_date
from bot.domain.triage import EXPECTED_FOR_A_TIME, Group, Trend, level_of
from tests.domain.samples import (
    BERLIN,
    DERMAL_FILE,
    DERMAL_FILLER,
    FACE,
    at,
    done,
    goes,
    local,
    planning,
    read,
    reasons,
)

# The session ends on a Saturday; on Sunday at 02:00 Berlin's clocks go forward.
DAY = "2026-03-28"
LATER = {
    "d3": "2026-03-31 10:00",
    "d7": "2026-04-04 10:00",
    "d14": "2026-04-11 11:00",
    "d35": "2026-05-02 11:00",
    "maint": "2026-09-24 11:00",
}
STEPS = """
title = "Two"
version = 1
[limits]
gym = "D+1 10:00"
[[step]]
id = "card"
when = "T0"
valid_until = "D+1 12:00"
kind = ["card"]
quiet_exempt = true
[[step]]
id = "h3"
when = "T0+3h"
{bound}
valid_until = "D 21:30"
kind = ["check"]
[[step]]
id = "d1"
when = "D+1 09:00"
if_skipped = {instead}
valid_until = "D+1 20:00"
kind = ["check"]
"""


@pytest.mark.parametrize(
    ("clock", "h3", "d1"),
    [
        ("13:00", f"{DAY} 16:00", "2026-03-29 09:00"),
        ("17:59", f"{DAY} 20:59", "2026-03-29 09:00"),
        # The latest hour bounds it, quiet hours do not
        ("18:00", f"{DAY} 21:00", "2026-03-29 09:00"),
        ("18:30", f"{DAY} 21:00", "2026-03-29 09:00"),
        # 90 minutes are enough, 89 are not: then the morning's check comes earlier
        ("19:30", f"{DAY} 21:00", "2026-03-29 09:00"),
        ("19:31", "quiet_hours", "2026-03-29 08:30"),
        ("19:45", "quiet_hours", "2026-03-29 08:30"),
        ("21:20", "quiet_hours", "2026-03-29 08:30"),
        ("23:59", "too_late!", "2026-03-29 08:30"),
    ],
)
def test_the_checks_of_the_first_day(clock: str, h3: str, d1: str) -> None:
    made = planning(done(f"{DAY} {clock}", protocol=DERMAL_FILLER))
    found = goes(made) | reasons(made)
    assert found == {"card": f"{DAY} {clock}", "h3": h3, "d1": d1, **LATER}


def test_upkeep_is_set_by_a_number_of_days_and_keeps_its_length() -> None:
    for days, when, until in (
        (None, "2026-09-24 11:00", "2026-11-23 11:00"),
        (120, "2026-07-26 11:00", "2026-09-24 11:00"),
        (540, "2027-09-19 11:00", "2027-11-18 11:00"),
    ):
        protocol = DERMAL_FILLER.with_upkeep(days)
        made = planning(done(f"{DAY} 13:00", protocol=protocol))
        assert (local(made["maint"].due_at), local(made["maint"].expires_at)) == (when, until)
        assert local(made["d35"].due_at) == LATER["d35"]
    assert DERMAL_FILLER.upkeep is DERMAL_FILLER.step("maint")
    # Where nobody may set it, nothing moves.
    assert FACE.upkeep is None
    assert FACE.with_upkeep(200) is FACE


@pytest.mark.parametrize(
    "days", ["[120]", "[540, 120]", "[181, 540]", "[120, 179]", "180", "[true, 540]", '["a", "b"]']
)
def test_days_that_do_not_enclose_the_usual_one_are_refused(days: str) -> None:
    text = DERMAL_FILE.read_text("utf-8")
    assert text.count("set_days = [120, 540]") == 1
    changed = text.replace("set_days = [120, 540]", f"set_days = {days}")
    with pytest.raises(ProtocolError, match="set_days"):
        parse("dermal-filler", tomllib.loads(changed), "file")


def test_a_session_at_midnight_belongs_to_the_day_that_begins() -> None:
    made = goes(planning(done("2026-03-29 00:00", protocol=DERMAL_FILLER)))
    # Three hours later by the watch, over the change of clocks; it does not wait for the morning.
    assert made["h3"] == "2026-03-29 04:00"
    assert made["d1"] == "2026-03-30 09:00"
    assert made["d3"] == "2026-04-01 10:00"


def test_each_step_is_of_use_until_a_hand_worked_time() -> None:
    made = planning(done(f"{DAY} 18:30", protocol=DERMAL_FILLER))
    assert {step: local(each.expires_at) for step, each in made.items()} == {
        "card": "2026-03-29 08:30",
        "h3": "2026-03-28 21:30",
        "d1": "2026-03-29 20:00",
        "d3": "2026-04-01 20:00",
        "d7": "2026-04-07 20:00",
        "d14": "2026-04-18 20:00",
        "d35": "2026-05-16 20:00",
        "maint": "2026-11-23 11:00",
    }


def test_limits_end_by_the_day_and_each_is_lifted_by_one_step() -> None:
    done_at = at(f"{DAY} 18:30")
    ends = limit_ends(DERMAL_FILLER, done_at, local_date(done_at, BERLIN), BERLIN)
    by_end: dict[str | None, list[str]] = {}
    for limit, end in ends:
        by_end.setdefault(local(end), []).append(limit)
    assert by_end == {
        "2026-03-29 19:30": ["touch_rub", "makeup", "alcohol"],
        "2026-03-30 10:00": ["gym", "travel"],
        "2026-04-04 10:00": ["sauna_steam", "sunbed", "extreme_cold", "sleep_face_down"],
        "2026-04-11 11:00": ["facial_massage", "dental_routine", "other_procedure"],
    }
    assert {
        step.id: " ".join(lifted)
        for step in DERMAL_FILLER.steps
        if (lifted := DERMAL_FILLER.lifted_by(step))
    } == {
        # Over since day 2, said on day 3
        "d3": "gym travel",
        "d7": "sauna_steam sunbed extreme_cold sleep_face_down",
        "d14": "facial_massage dental_routine other_procedure",
    }


def test_a_lift_never_claims_what_ends_later_or_by_the_hour() -> None:
    assert FACE.lifted_by(FACE.step("d3")) == ("gym", "hot_bath")
    assert "other_procedure" not in FACE.lifted_by(FACE.step("d7"))
    assert FACE.lifted_by(FACE.step("d1")) == ()


def test_what_the_table_of_steps_says() -> None:
    assert [step.id for step in DERMAL_FILLER.steps if step.safety] == ["h3", "d1", "d3"]
    assert [step.nudge_after for step in DERMAL_FILLER.steps if step.safety] == [
        timedelta(hours=1),
        timedelta(hours=4),
        timedelta(hours=4),
    ]
    assert {step.id: step.conditions for step in DERMAL_FILLER.steps if step.conditions} == {
        "maint": (Condition(ConditionKind.LATEST, 7),)
    }
    kinds = {step.id: "+".join(step.kinds) for step in DERMAL_FILLER.steps}
    assert kinds == {
        "card": "card",
        "h3": "check",
        "d1": "check",
        "d3": "lift+check",
        "d7": "lift+check",
        "d14": "review+photo+lift",
        "d35": "late_check",
        "maint": "maint",
    }


def test_a_patient_is_watched_for_three_days_after_a_filler_and_two_after_the_rest() -> None:
    assert DERMAL_FILLER.watched_for == timedelta(days=3)
    assert FACE.watched_for == timedelta(days=2)
    late = done(f"{DAY} 13:00", protocol=DERMAL_FILLER, since="2026-03-31 12:30")
    assert planning(late)["d3"].asked
    later = done(f"{DAY} 13:00", protocol=DERMAL_FILLER, since="2026-03-31 14:30")
    assert not planning(later)["d3"].asked


@pytest.mark.parametrize(
    ("sign", "last"),
    [
        *(("redness", 3), ("swelling", 7), ("bruise", 14), ("tender", 7), ("burning", 0)),
        *(("itch", 2), ("dry", 7), ("lump", 14), ("headache", 1)),
    ],
)
def test_a_sign_is_expected_to_its_last_day(sign: str, last: int) -> None:
    triage = DERMAL_FILLER.triage
    assert sorted(triage.expected_until) == sorted(EXPECTED_FOR_A_TIME)
    assert level_of(triage, last, [sign]) is Level.EXPECTED
    assert level_of(triage, last + 1, [sign]) is Level.TELL_CLINIC


@pytest.mark.parametrize("trend", [Trend.NOT_SURE, Trend.WORSE])
def test_not_sure_or_worse_is_urgent_to_day_3(trend: Trend) -> None:
    triage = DERMAL_FILLER.triage
    assert [level_of(triage, day, [], trend) for day in (0, 3, 4)] == [
        Level.URGENT,
        Level.URGENT,
        Level.TELL_CLINIC,
    ]


def test_sight_is_an_emergency_and_a_drooping_lid_urgent() -> None:
    triage = DERMAL_FILLER.triage
    for sign in ("sight_loss", "sight_blur_double", Group.SIGHT):
        assert level_of(triage, 30, [sign]) is Level.EMERGENCY
    assert level_of(triage, 5, ["eyelid_droop"]) is Level.URGENT
    assert level_of(triage, 35, ["skin_cold_numb_or_colour"]) is Level.URGENT


@pytest.mark.parametrize(
    ("bound", "instead", "reason"),
    [
        ("", '{ step = "h3", when = "D+1 08:30" }', "a 'latest'"),
        ('latest = "21:00"', '{ step = "d1", when = "D+1 08:30" }', "a 'latest'"),
        ('latest = "21:00"', '{ step = "h3", when = "D+1 09:00" }', "before 'when'"),
        ('latest = "21:00"', '{ step = "h3", when = "T0+2h" }', "before 'when'"),
        ('latest = "21:00"', '{ step = "h3" }', "is missing"),
        ('latest = "21:00"', '{ step = "h3", when = "D+1 08:30", at = 1 }', "is not known"),
    ],
)
def test_what_stands_in_for_a_skipped_step_is_checked(
    bound: str, instead: str, reason: str
) -> None:
    with pytest.raises(ProtocolError, match=reason):
        read("two", STEPS.format(bound=bound, instead=instead))


@pytest.mark.parametrize(
    ("session", "h3", "d1"),
    [
        # One question at the earlier hour, as long as there is something to see
        ("2026-03-29 08:30", "10:00", "10:00"),
        ("2026-03-29 08:31", "11:31", "10:00"),
        ("2026-03-29 07:00", "10:00", "10:00"),
        # The afternoon is another message
        ("2026-03-29 09:00", "12:00", "10:00"),
    ],
)
def test_the_first_check_beside_another_treatments_day_1(session: str, h3: str, d1: str) -> None:
    made = planning(
        done(f"{DAY} 14:00", visit="face", since=session),
        done(session, protocol=DERMAL_FILLER, visit="filler"),
    )
    first, other = made["filler/h3"], made["face/d1"]
    assert local(first.group_due_at) == f"2026-03-29 {h3}"
    assert local(other.group_due_at) == f"2026-03-29 {d1}"
    assert (first.group == other.group) == (h3 == d1)
