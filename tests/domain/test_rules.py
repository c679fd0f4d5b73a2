"""May this go now, and what follows when nobody knows whether it arrived: tables of cases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain import rules
from bot.domain.rules import Drop, GiveUp, Go, Repeat, Standing, Verdict, Wait
from bot.domain.states import CourseState, Lane, PatientState, Reason, ReminderState

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
CARE = Standing(
    lane=Lane.CARE,
    unasked=True,
    safety=False,
    expires_at=NOW + timedelta(hours=1),
    patient=PatientState.ACTIVE,
    course=CourseState.ACTIVE,
    paused=False,
    quiet=False,
)
REPLY = replace(CARE, lane=Lane.REPLY, unasked=False, course=None)
DANGER = replace(REPLY, lane=Lane.DANGER, expires_at=None)
COURTESY = replace(CARE, lane=Lane.COURTESY)
LATE = NOW - timedelta(microseconds=1)

MAY_GO: list[tuple[str, Standing, Verdict]] = [
    ("a reminder in its time", CARE, Go()),
    ("a reminder that never expires", replace(CARE, expires_at=None), Go()),
    (
        "the last moment before it expires",
        replace(CARE, expires_at=NOW + timedelta.resolution),
        Go(),
    ),
    ("the very moment it expires", replace(CARE, expires_at=NOW), Drop(Reason.TOO_LATE)),
    ("too late", replace(CARE, expires_at=LATE), Drop(Reason.TOO_LATE)),
    ("an answer that is too late", replace(REPLY, expires_at=LATE), Drop(Reason.TOO_LATE)),
    ("STOP ends reminders", replace(CARE, patient=PatientState.STOPPED), Drop(Reason.STOPPED)),
    ("and courtesies", replace(COURTESY, patient=PatientState.STOPPED), Drop(Reason.STOPPED)),
    ("but never answers", replace(REPLY, patient=PatientState.STOPPED), Go()),
    ("and never danger", replace(DANGER, patient=PatientState.STOPPED), Go()),
    ("blocked", replace(CARE, patient=PatientState.UNREACHABLE), Drop(Reason.BLOCKED)),
    ("not confirmed yet", replace(CARE, patient=PatientState.OPENED), Drop(Reason.NOT_ACTIVE)),
    ("danger before anybody confirmed", replace(DANGER, patient=PatientState.OPENED), Go()),
    ("declined", replace(CARE, patient=PatientState.DECLINED), Drop(Reason.NOT_ACTIVE)),
    ("erased", replace(CARE, patient=PatientState.ERASED), Drop(Reason.ERASED)),
    ("nothing to the erased", replace(DANGER, patient=PatientState.ERASED), Drop(Reason.ERASED)),
    (
        "a course that was stopped",
        replace(CARE, course=CourseState.STOPPED),
        Drop(Reason.COURSE_STOPPED),
    ),
    ("a condition that fails", replace(CARE, condition=Reason.BOOKED), Drop(Reason.BOOKED)),
    (
        "stopped counts before a condition",
        replace(CARE, patient=PatientState.STOPPED, condition=Reason.BOOKED),
        Drop(Reason.STOPPED),
    ),
    ("quiet hours", replace(CARE, quiet=True), Wait()),
    ("quiet hours and courtesy", replace(COURTESY, quiet=True), Wait()),
    ("quiet hours, but asked for", replace(CARE, quiet=True, unasked=False), Go()),
    ("an answer in quiet hours", replace(REPLY, quiet=True), Go()),
    ("danger in quiet hours", replace(DANGER, quiet=True), Go()),
    ("paused", replace(CARE, paused=True), Wait()),
    ("a safety check while paused", replace(CARE, paused=True, safety=True), Go()),
    (
        "a safety check while paused, in quiet hours",
        replace(CARE, paused=True, safety=True, quiet=True),
        Wait(),
    ),
    ("what waits still expires", replace(CARE, quiet=True, expires_at=NOW), Drop(Reason.TOO_LATE)),
]


@pytest.mark.parametrize(
    ("standing", "verdict"), [case[1:] for case in MAY_GO], ids=[case[0] for case in MAY_GO]
)
def test_may_it_go(standing: Standing, verdict: Verdict) -> None:
    assert rules.may_go(standing, NOW) == verdict


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_ends_a_reminder_in_one_final_state(reason: Reason) -> None:
    state = rules.state_for(reason)
    assert state in {ReminderState.SKIPPED, ReminderState.EXPIRED, ReminderState.CANCELLED}
    # A condition may come true again, so what it kept back was skipped and not cancelled.
    assert (reason not in rules.CONDITIONS) or state is ReminderState.SKIPPED


def test_what_ends_how() -> None:
    assert rules.state_for(Reason.TOO_LATE) is ReminderState.EXPIRED
    assert rules.state_for(Reason.CAP) is ReminderState.SKIPPED
    assert rules.state_for(Reason.FOLDED) is ReminderState.SKIPPED
    assert rules.state_for(Reason.STOPPED) is ReminderState.CANCELLED
    assert rules.state_for(Reason.COURSE_STOPPED) is ReminderState.CANCELLED


AT_ONCE, LATER = Repeat(timedelta()), Repeat(rules.COOL_DOWN)


@pytest.mark.parametrize(
    ("lane", "method", "copies", "heard", "killed", "verdict"),
    [
        (Lane.CARE, "text", 1, False, False, LATER),
        # Whether the patient wrote meanwhile says nothing about a care step.
        (Lane.CARE, "text", 1, True, False, LATER),
        (Lane.CARE, "text", 2, False, False, GiveUp()),
        (Lane.COURTESY, "text", 1, False, False, GiveUp()),
        (Lane.COURTESY, "text", 1, False, True, GiveUp()),
        (Lane.REPLY, "text", 1, False, False, LATER),
        (Lane.REPLY, "text", 1, True, False, GiveUp()),
        (Lane.REPLY, "text", 2, False, False, GiveUp()),
        (Lane.REPLY, "photo", 1, False, False, LATER),
        (Lane.REPLY, "edit", 1, True, False, AT_ONCE),
        (Lane.REPLY, "edit", 9, True, False, Repeat(timedelta(seconds=60))),
        (Lane.DANGER, "text", 1, True, False, AT_ONCE),
        (Lane.DANGER, "text", 2, False, False, Repeat(timedelta(seconds=2))),
        (Lane.DANGER, "text", 3, False, False, Repeat(timedelta(seconds=5))),
        (Lane.DANGER, "text", 4, False, False, Repeat(timedelta(seconds=15))),
        (Lane.DANGER, "text", 5, False, False, Repeat(timedelta(seconds=30))),
        (Lane.DANGER, "text", 6, False, False, Repeat(timedelta(seconds=60))),
        (Lane.DANGER, "text", 500, False, False, Repeat(timedelta(seconds=60))),
        # A killed process asked nobody: its sends do not use up the one repeat.
        (Lane.CARE, "text", 2, False, True, LATER),
        (Lane.CARE, "text", 5, False, True, LATER),
        (Lane.CARE, "text", 6, False, True, GiveUp()),
        (Lane.REPLY, "text", 3, False, True, LATER),
        (Lane.REPLY, "text", 1, True, True, GiveUp()),
        (Lane.DANGER, "text", 1, False, True, AT_ONCE),
    ],
)
def test_what_follows_a_send_without_an_answer(
    lane: Lane, method: str, copies: int, heard: bool, killed: bool, verdict: Repeat | GiveUp
) -> None:
    found = rules.after_unknown(lane, method, copies, heard_since=heard, killed=killed)
    assert found == verdict


@pytest.mark.parametrize("lane", [Lane.REPLY, Lane.DANGER])
@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(
    ("copies", "verdict"),
    [(1, AT_ONCE), (2, Repeat(timedelta(seconds=2))), (500, Repeat(timedelta(seconds=60)))],
)
def test_what_a_patient_sent_is_never_given_up(
    lane: Lane, heard: bool, killed: bool, copies: int, verdict: Repeat
) -> None:
    for method in ("text", "copy"):
        found = rules.after_unknown(
            lane, method, copies, heard_since=heard, killed=killed, report=True
        )
        assert found == verdict
        assert not rules.overtaken(lane, method, copies, heard_since=heard, report=True)


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_a_persons_own_words_are_repeated_once_whoever_spoke(heard: bool, killed: bool) -> None:
    for copies, verdict in ((1, LATER), (2, LATER if killed else GiveUp()), (6, GiveUp())):
        found = rules.after_unknown(
            Lane.REPLY, "text", copies, heard_since=heard, killed=killed, own_words=True
        )
        assert found == verdict, copies
        assert not rules.overtaken(Lane.REPLY, "text", copies, heard_since=heard, own_words=True)


def test_a_repeat_never_goes_earlier_than_the_one_before() -> None:
    for method, lane in (("text", Lane.DANGER), ("edit", Lane.REPLY)):
        waits = []
        for copies in range(1, 20):
            verdict = rules.after_unknown(lane, method, copies, heard_since=False)
            assert isinstance(verdict, Repeat)
            waits.append(verdict.after)
        assert waits == sorted(waits)
        assert waits[-1] <= rules.COOL_DOWN


@pytest.mark.parametrize(
    ("lane", "method", "copies", "heard", "lost"),
    [
        (Lane.REPLY, "text", 1, True, True),
        (Lane.REPLY, "text", 1, False, False),
        # A first try is never too late for a conversation that went on.
        (Lane.REPLY, "text", 0, True, False),
        (Lane.REPLY, "edit", 1, True, False),
        (Lane.CARE, "text", 1, True, False),
        (Lane.DANGER, "text", 1, True, False),
    ],
)
def test_a_repeat_that_the_chat_has_overtaken(
    lane: Lane, method: str, copies: int, heard: bool, lost: bool
) -> None:
    assert rules.overtaken(lane, method, copies, heard_since=heard) is lost


@pytest.mark.parametrize(
    ("state", "reason", "moved", "holds", "again"),
    [
        (ReminderState.SENT, None, False, True, False),
        (ReminderState.SENT, None, True, True, True),
        (ReminderState.CANCELLED, Reason.STOPPED, False, False, True),
        (ReminderState.SKIPPED, Reason.BOOKED, False, True, True),
        (ReminderState.SKIPPED, Reason.BOOKED, False, False, False),
        (ReminderState.SKIPPED, Reason.CAP, False, True, False),
        (ReminderState.EXPIRED, Reason.TOO_LATE, False, True, False),
        (ReminderState.UNDELIVERED, Reason.UNCONFIRMED, False, True, False),
    ],
)
def test_when_a_finished_step_may_come_again(
    state: ReminderState, reason: Reason | None, moved: bool, holds: bool, again: bool
) -> None:
    assert rules.reopens(state, reason, moved=moved, holds_again=holds) is again


@pytest.mark.parametrize(
    ("lane", "unasked", "sent", "sent_unasked", "blows"),
    [
        (Lane.REPLY, False, 59, 0, False),
        (Lane.REPLY, False, 60, 0, True),
        (Lane.REPLY, False, 61, 0, True),
        (Lane.CARE, True, 5, 5, False),
        (Lane.CARE, True, 6, 6, True),
        (Lane.CARE, True, 7, 7, True),
        # What a person asked for is not counted with what nobody did.
        (Lane.CARE, False, 7, 7, False),
        (Lane.COURTESY, True, 60, 0, True),
        (Lane.DANGER, True, 600, 600, False),
    ],
)
def test_how_much_is_too_much_within_an_hour(
    lane: Lane, unasked: bool, sent: int, sent_unasked: int, blows: bool
) -> None:
    blown = rules.fuse_blows(lane, unasked=unasked, sent=sent, sent_unasked=sent_unasked)
    assert blown is blows


@pytest.mark.parametrize(
    ("lane", "unasked", "sent", "sent_unasked", "blows"),
    [
        (Lane.REPLY, False, 59, 59, False),
        (Lane.REPLY, False, 60, 0, True),
        (Lane.CARE, True, 5, 5, False),
        (Lane.CARE, True, 6, 6, True),
        (Lane.CARE, True, 59, 0, False),
        # What the patient asked for is not counted against what nobody asked for.
        (Lane.REPLY, False, 6, 6, False),
        (Lane.DANGER, True, 500, 500, False),
    ],
)
def test_nobody_gets_more_than_so_many_in_an_hour_but_danger(
    lane: Lane, unasked: bool, sent: int, sent_unasked: int, blows: bool
) -> None:
    assert rules.fuse_blows(lane, unasked=unasked, sent=sent, sent_unasked=sent_unasked) is blows
    assert timedelta(hours=1) == rules.FUSE_WINDOW
