"""What the planner is told, and what it answers: plain values, all times aware UTC."""

from dataclasses import dataclass
from datetime import date, datetime

from bot.domain.protocol import Protocol, Step
from bot.domain.states import Reason


@dataclass(frozen=True, slots=True)
class VisitFacts:
    """What the planner knows of one visit of one patient.

    A planned visit (``done_at`` is None) owns its NV steps, a done one all the others.
    """

    visit: str
    protocol: Protocol
    # T0, and D as stored with the visit; D is never recomputed.
    done_at: datetime | None
    done_date: date | None
    # The visit's own booked time while it is planned, and its date in the clinic's zone.
    planned_at: datetime | None
    planned_date: date | None
    # For booking the next session while none is booked.
    target_date: date | None
    # The course's next booked visit after this one, its date in the clinic's zone.
    next_visit_at: datetime | None
    next_visit_date: date | None
    # D of the session before a planned visit.
    previous_done_date: date | None
    # A later session of the same course is recorded.
    later_session: bool
    # The patient confirmed the planned visit.
    confirmed: bool
    # Whose session cap the steps count to: the session before, for a planned visit.
    session: str
    # When the plan of this visit starts to run (joining, or recording); nothing is due before.
    since: datetime


@dataclass(frozen=True, slots=True)
class Delivered:
    """A reminder that is delivered or handed over, so its step is not planned again.

    Steps that went in one message share a ``group`` and count once; without one each counts.
    """

    visit: str
    step: str
    session: str
    day: date
    unasked: bool
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """One step of one visit, when it goes, with whom, or why it does not.

    ``nominal_at`` is what the protocol says; ``due_at`` is that after joining, ``now`` and quiet
    hours, and None once the step is settled. Steps of one ``group`` go as one message at
    ``group_due_at``. ``reason`` says why the step would not go if nothing changed; ``final`` that
    this is settled now, while conditions and caps are judged again when the step is due. What is
    ``asked`` answers the person's own action: quiet hours and caps do not apply to it. What is
    ``late`` was to go a while ago; it goes with everything else that is late.
    """

    visit: str
    step: Step
    nominal_at: datetime | None
    due_at: datetime | None
    expires_at: datetime | None
    group: str | None = None
    group_due_at: datetime | None = None
    group_expires_at: datetime | None = None
    reason: Reason | None = None
    final: bool = False
    asked: bool = False
    late: bool = False
