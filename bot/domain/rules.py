"""May this message go, now? Asked when it is dispatched and again right before it is sent."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.states import CourseState, Lane, PatientState, Reason, ReminderState

# An unanswered send is looked at again after this long (promises.md 2.2, rule 4).
COOL_DOWN = timedelta(seconds=60)
# What may come twice without harm is repeated at once, then with growing pauses.
_PAUSES_S = (0, 2, 5, 15, 30, 60)
# A message that was in the air at so many kills may be what kills us; it is not tried for ever.
_MOST_KILLS = 5
UNDO_WINDOW = timedelta(minutes=10)
# No plan and no talk brings a patient more than this in an hour: beyond it something is wrong.
MOST_AN_HOUR = 60
MOST_UNASKED_AN_HOUR = 6
FUSE_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """What is true of a message to a patient at the moment of asking."""

    lane: Lane
    unasked: bool
    safety: bool
    expires_at: datetime | None
    patient: PatientState
    course: CourseState | None
    paused: bool
    quiet: bool
    condition: Reason | None = None


@dataclass(frozen=True, slots=True)
class Go:
    """It may go now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now; ask again on the next round."""


@dataclass(frozen=True, slots=True)
class Drop:
    """It will not go, and why."""

    reason: Reason


Verdict = Go | Wait | Drop

_STATE_REASONS = {
    PatientState.STOPPED: Reason.STOPPED,
    PatientState.UNREACHABLE: Reason.BLOCKED,
    PatientState.ERASED: Reason.ERASED,
}


def may_go(standing: Standing, now: datetime) -> Verdict:
    """Return whether the message goes, waits or is dropped; ``now`` is aware UTC.

    Answers to a person's own action go in every state but *erased*: STOP ends reminders, never
    help (promises.md C5).
    """
    if standing.expires_at is not None and now >= standing.expires_at:
        return Drop(Reason.TOO_LATE)
    if standing.patient is PatientState.ERASED:
        return Drop(Reason.ERASED)
    if standing.lane in (Lane.DANGER, Lane.REPLY):
        return Go()
    if standing.patient is not PatientState.ACTIVE:
        return Drop(_STATE_REASONS.get(standing.patient, Reason.NOT_ACTIVE))
    if standing.course is not None and standing.course is not CourseState.ACTIVE:
        return Drop(Reason.COURSE_STOPPED)
    if standing.condition is not None:
        return Drop(standing.condition)
    if standing.paused and not standing.safety:
        return Wait()
    if standing.quiet and standing.unasked:
        return Wait()
    return Go()


def fuse_blows(lane: Lane, *, unasked: bool, sent: int, sent_unasked: int) -> bool:
    """Say whether a patient who got so many messages within the window gets no further one now.

    ``sent`` counts all of them, danger aside; danger always goes.
    """
    if lane is Lane.DANGER:
        return False
    return sent >= MOST_AN_HOUR or (unasked and sent_unasked >= MOST_UNASKED_AN_HOUR)


_SKIPPED = {
    Reason.BOOKED,
    Reason.CONFIRMED,
    Reason.GAP_SHORT,
    Reason.NEXT_VISIT_NEAR,
    Reason.NOT_LATEST,
    Reason.DECLINED,
    Reason.CAP,
    Reason.QUIET_HOURS,
    Reason.JOINED_LATE,
    Reason.FOLDED,
}
CONDITIONS = frozenset(
    {
        Reason.BOOKED,
        Reason.CONFIRMED,
        Reason.GAP_SHORT,
        Reason.NEXT_VISIT_NEAR,
        Reason.NOT_LATEST,
    }
)


def state_for(reason: Reason) -> ReminderState:
    """Return the final state of a reminder that ends for ``reason`` before it was sent."""
    if reason in _SKIPPED:
        return ReminderState.SKIPPED
    if reason in (Reason.TOO_LATE, Reason.PAUSED):
        return ReminderState.EXPIRED
    return ReminderState.CANCELLED


def ending(reason: Reason, *, maybe_sent: bool) -> tuple[ReminderState, Reason]:
    """Return the final state and reason of a reminder that is not sent (again) for ``reason``.

    One that may have been sent before, by a database that is gone, is not said to be unsent.
    """
    if maybe_sent:
        return ReminderState.UNDELIVERED, Reason.UNCONFIRMED
    return state_for(reason), reason


@dataclass(frozen=True, slots=True)
class Repeat:
    """The message is queued once more, to go after so long."""

    after: timedelta


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The message stays unconfirmed: nobody knows, and it is not said again."""


def after_unknown(
    lane: Lane,
    method: str,
    maybe_copies: int,
    *,
    heard_since: bool,
    killed: bool = False,
    report: bool = False,
    own_words: bool = False,
) -> Repeat | GiveUp:
    """Return what follows a send whose result nobody knows (promises.md 2.2; design.md 9).

    ``maybe_copies`` counts the sends of this message with an unknown result, this one included;
    ``heard_since`` says that the chat spoke after it was tried. A process that was ``killed``
    asked nobody, so its sends do not use up the one repeat. A ``report`` brings what a patient
    sent: it is repeated until it surely arrived, whatever its lane and whoever spoke since.
    A person's ``own_words`` are repeated once like a step, whoever spoke since.
    """
    if method == "edit" or lane is Lane.DANGER or report:
        return Repeat(timedelta(seconds=_PAUSES_S[min(maybe_copies, len(_PAUSES_S)) - 1]))
    if lane is Lane.COURTESY or maybe_copies > (_MOST_KILLS if killed else 1):
        return GiveUp()
    if lane is Lane.REPLY and heard_since and not own_words:
        return GiveUp()
    return Repeat(COOL_DOWN)


def overtaken(
    lane: Lane,
    method: str,
    maybe_copies: int,
    *,
    heard_since: bool,
    report: bool = False,
    own_words: bool = False,
) -> bool:
    """Say whether a repeat that waited has lost its point: the chat has gone on meanwhile.

    A ``report`` never has: that the practitioner spoke does not mean that they read the patient.
    Neither have a person's ``own_words``: that the patient spoke does not mean that they read them.
    """
    if method == "edit" or report or own_words:
        return False
    return maybe_copies > 0 and lane is Lane.REPLY and heard_since


def reopens(state: ReminderState, reason: Reason | None, *, moved: bool, holds_again: bool) -> bool:
    """Say whether a finished step may come again as a new round.

    It may after its visit moved to another date, after a cancelled plan was taken up again, and
    when a condition that failed holds again (design.md 9, Planner).
    """
    if moved:
        return True
    if state is ReminderState.CANCELLED:
        return True
    return state is ReminderState.SKIPPED and reason in CONDITIONS and holds_again
