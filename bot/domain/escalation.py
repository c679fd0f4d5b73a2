"""What a level sets in motion, and when: who is told, again, and what the patient hears meanwhile.

The table is clinical.md 4. Times count from the moment at which the alert was opened; those of
*tell clinic* from the moment for which the clinic promised an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from bot.domain.states import Level


class To(StrEnum):
    """Whom a consequence reaches."""

    PATIENT = "patient"
    TREATING = "treating"
    ON_CALL = "on_call"
    BACKUP = "backup"
    LEAD = "lead"


class Act(StrEnum):
    """What happens."""

    # At once, with the alert.
    LEVEL_TEXT = "level_text"
    NOTE_FOR_DOCTOR = "note_for_doctor"
    INBOX_ITEM = "inbox_item"
    PUSH = "push"
    PAUSE = "pause_routine_messages"
    HOLD_BACK = "hold_back_photo_booking_upkeep"
    LOG = "log"
    # As long as nobody has acknowledged it.
    PUSH_AGAIN = "push_again"
    SEEK_URGENT_CARE = "seek_urgent_care"
    PHONE_THE_CLINIC = "phone_the_clinic"
    UNREACHED = "mark_unreached"
    # As long as nobody has closed it.
    ASK_REACHED_HELP = "ask_reached_help"


_UNTIL_CLOSED = frozenset({Act.ASK_REACHED_HELP})


@dataclass(frozen=True, slots=True)
class Consequence:
    """One act, so long after the alert was opened."""

    after: timedelta
    to: tuple[To, ...]
    act: Act

    @property
    def until_closed(self) -> bool:
        """Whether it happens although somebody has acknowledged the alert."""
        return self.act in _UNTIL_CLOSED


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


_AT_ONCE = timedelta()
_FIRST = (To.TREATING, To.ON_CALL)
_EVERYBODY = (To.TREATING, To.ON_CALL, To.BACKUP, To.LEAD)
# The last try is made two hours after the patient was told what to do without us.
_GO_ON_FOR = 120


def _urgent() -> list[Consequence]:
    found = [
        Consequence(_AT_ONCE, (To.PATIENT,), Act.LEVEL_TEXT),
        Consequence(_AT_ONCE, (To.PATIENT,), Act.NOTE_FOR_DOCTOR),
        Consequence(_AT_ONCE, (To.PATIENT,), Act.PAUSE),
        Consequence(_AT_ONCE, _FIRST, Act.PUSH),
        Consequence(_minutes(5), _FIRST, Act.PUSH_AGAIN),
        Consequence(_minutes(10), _EVERYBODY, Act.PUSH_AGAIN),
        Consequence(_minutes(15), _EVERYBODY, Act.PUSH_AGAIN),
        Consequence(_minutes(15), (To.PATIENT,), Act.SEEK_URGENT_CARE),
    ]
    again = range(30, 15 + _GO_ON_FOR + 1, 15)
    found += [Consequence(_minutes(at), _EVERYBODY, Act.PUSH_AGAIN) for at in again]
    return [*found, Consequence(_minutes(15 + _GO_ON_FOR), (), Act.UNREACHED)]


def _emergency() -> list[Consequence]:
    told = (To.TREATING, To.ON_CALL, To.LEAD)
    found = [
        Consequence(_AT_ONCE, (To.PATIENT,), Act.LEVEL_TEXT),
        Consequence(_AT_ONCE, (To.PATIENT,), Act.NOTE_FOR_DOCTOR),
        Consequence(_AT_ONCE, (To.PATIENT,), Act.PAUSE),
        Consequence(_AT_ONCE, told, Act.PUSH),
    ]
    found += [Consequence(_minutes(at), told, Act.PUSH_AGAIN) for at in (2, 4, 6, 8)]
    found += [
        Consequence(_minutes(10), _EVERYBODY, Act.PUSH_AGAIN),
        Consequence(_minutes(10), (To.PATIENT,), Act.ASK_REACHED_HELP),
    ]
    again = range(20, 10 + _GO_ON_FOR + 1, 10)
    found += [Consequence(_minutes(at), _EVERYBODY, Act.PUSH_AGAIN) for at in again]
    return [*found, Consequence(_minutes(10 + _GO_ON_FOR), (), Act.UNREACHED)]


_THEN = {
    Level.EXPECTED: (
        Consequence(_AT_ONCE, (To.PATIENT,), Act.LEVEL_TEXT),
        Consequence(_AT_ONCE, (), Act.LOG),
    ),
    Level.TELL_CLINIC: (
        Consequence(_AT_ONCE, (To.PATIENT,), Act.LEVEL_TEXT),
        Consequence(_AT_ONCE, (To.PATIENT,), Act.HOLD_BACK),
        Consequence(_AT_ONCE, (To.TREATING,), Act.INBOX_ITEM),
    ),
    Level.URGENT: tuple(_urgent()),
    Level.EMERGENCY: tuple(_emergency()),
}
_AFTER_THE_PROMISE = (
    Consequence(_AT_ONCE, (To.PATIENT,), Act.PHONE_THE_CLINIC),
    Consequence(_AT_ONCE, (To.LEAD,), Act.PUSH_AGAIN),
)


def at_once(level: Level) -> Sequence[Consequence]:
    """Return what a level sets in motion in the moment in which it is reached."""
    return [each for each in _THEN[level] if each.after == _AT_ONCE]


def then(level: Level) -> Sequence[Consequence]:
    """Return what follows an alert of that level, in the order of time.

    Those of *tell clinic* count from the moment of the promised answer.
    """
    if level is Level.TELL_CLINIC:
        return _AFTER_THE_PROMISE
    return [each for each in _THEN[level] if each.after > _AT_ONCE]
