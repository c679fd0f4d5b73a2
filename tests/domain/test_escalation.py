"""What a level sets in motion, minute by minute: the clinicians' table."""

from datetime import timedelta

import pytest

from bot.domain.escalation import Act, To, at_once, then
from bot.domain.states import Level


def minutes(level: Level, act: Act, to: To | None = None) -> list[int]:
    return [
        int(each.after.total_seconds()) // 60
        for each in then(level)
        if each.act is act and (to is None or to in each.to)
    ]


def test_urgent_goes_on_until_two_hours_after_the_patient_was_sent_elsewhere() -> None:
    again = [5, 10, 15, 30, 45, 60, 75, 90, 105, 120, 135]
    assert minutes(Level.URGENT, Act.PUSH_AGAIN, To.TREATING) == again
    assert minutes(Level.URGENT, Act.PUSH_AGAIN, To.ON_CALL) == again
    assert minutes(Level.URGENT, Act.PUSH_AGAIN, To.BACKUP) == again[1:]
    assert minutes(Level.URGENT, Act.PUSH_AGAIN, To.LEAD) == again[1:]
    assert minutes(Level.URGENT, Act.SEEK_URGENT_CARE) == [15]
    assert minutes(Level.URGENT, Act.UNREACHED) == [135]
    assert minutes(Level.URGENT, Act.ASK_REACHED_HELP) == []


def test_emergency_goes_faster_and_asks_whether_help_was_reached() -> None:
    again = [2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110, 120, 130]
    for to in (To.TREATING, To.ON_CALL, To.LEAD):
        assert minutes(Level.EMERGENCY, Act.PUSH_AGAIN, to) == again
    assert minutes(Level.EMERGENCY, Act.PUSH_AGAIN, To.BACKUP) == again[4:]
    assert minutes(Level.EMERGENCY, Act.ASK_REACHED_HELP) == [10]
    assert minutes(Level.EMERGENCY, Act.UNREACHED) == [130]


def test_tell_clinic_waits_for_the_promised_time() -> None:
    assert [(each.after, each.to, each.act) for each in then(Level.TELL_CLINIC)] == [
        (timedelta(), (To.PATIENT,), Act.PHONE_THE_CLINIC),
        (timedelta(), (To.LEAD,), Act.PUSH_AGAIN),
    ]


def test_expected_sets_nothing_in_motion() -> None:
    assert then(Level.EXPECTED) == []
    assert [each.act for each in at_once(Level.EXPECTED)] == [Act.LEVEL_TEXT, Act.LOG]


@pytest.mark.parametrize("level", list(Level))
def test_the_patient_reads_something_at_once_and_all_is_in_order(level: Level) -> None:
    assert Act.LEVEL_TEXT in [each.act for each in at_once(level)]
    times = [each.after for each in then(level)]
    assert times == sorted(times)


@pytest.mark.parametrize("level", [Level.URGENT, Level.EMERGENCY])
def test_whoever_is_told_first_is_told_at_once(level: Level) -> None:
    (push,) = [each for each in at_once(level) if each.act is Act.PUSH]
    assert {To.TREATING, To.ON_CALL} <= set(push.to)
    assert (To.LEAD in push.to) == (level is Level.EMERGENCY)
    assert To.PATIENT not in push.to


def test_only_the_question_about_help_outlives_an_acknowledgement() -> None:
    lasting = {each.act for level in Level for each in then(level) if each.until_closed}
    assert lasting == {Act.ASK_REACHED_HELP}
