"""Protocol versions, courses, visits, reminders and answers."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, and_, case, literal, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import (
    CourseState,
    PatientState,
    Reason,
    ReminderState,
    VisitState,
)
from bot.storage.tables import (
    Action,
    Answer,
    Course,
    Patient,
    ProtocolVersion,
    Reminder,
    Visit,
)
from bot.storage.types import UtcDateTime


async def course(session: AsyncSession, course_id: int) -> Course:
    """Return the course with that id."""
    return (await session.exec(select(Course).where(Course.id == course_id))).one()


async def courses(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Course]:
    """Return these patients' courses, oldest first."""
    found = await session.exec(
        select(Course).where(col(Course.patient_id).in_(patient_ids)).order_by(col(Course.id))
    )
    return found.all()


async def visits(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Visit]:
    """Return these patients' visits, in the order in which they were entered."""
    found = await session.exec(
        select(Visit)
        .where(col(Visit.patient_id).in_(patient_ids))
        .order_by(col(Visit.id))
        .execution_options(populate_existing=True)
    )
    return found.all()


async def visit(session: AsyncSession, visit_id: int) -> Visit:
    """Return the visit with that id."""
    found = await session.exec(
        select(Visit).where(Visit.id == visit_id).execution_options(populate_existing=True)
    )
    return found.one()


async def visit_by_ref(session: AsyncSession, clinic_id: int, ref: str) -> Visit | None:
    """Return the clinic's visit with that reference."""
    found = await session.exec(select(Visit).where(Visit.clinic_id == clinic_id, Visit.ref == ref))
    return found.first()


async def visits_between(
    session: AsyncSession, clinic_id: int, start: datetime, end: datetime
) -> Sequence[Visit]:
    """Return the clinic's planned and done visits with a time in ``[start, end)``, by time."""
    moment = func.coalesce(Visit.done_at, Visit.planned_at)
    found = await session.exec(
        select(Visit)
        .join(Patient, col(Patient.id) == col(Visit.patient_id))
        .where(
            Visit.clinic_id == clinic_id,
            col(Visit.state).in_([VisitState.PLANNED, VisitState.DONE]),
            moment >= start,
            moment < end,
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(moment)
    )
    return found.all()


async def patients_to_book(
    session: AsyncSession, clinic_id: int, start: datetime, day: date, single: Collection[str]
) -> Sequence[Patient]:
    """Return the patients in care with a course that leads nowhere, newest first.

    Nothing is booked from ``start`` on, and no date from ``day`` on is planned to book for. A
    course on a protocol of ``single`` sessions leads nowhere by nature, and is not meant.
    """
    latest, later, booked = aliased(Visit), aliased(Visit), aliased(Visit)
    planned_for = (
        select(latest.id)
        .where(
            latest.course_id == Course.id,
            latest.state == VisitState.DONE,
            col(latest.target_date) >= day,
            ~select(later.id)
            .where(
                later.course_id == Course.id,
                later.state == VisitState.DONE,
                col(later.done_at) > col(latest.done_at),
            )
            .exists(),
        )
        .exists()
    )
    ahead = (
        select(booked.id)
        .where(
            booked.course_id == Course.id,
            booked.state == VisitState.PLANNED,
            col(booked.planned_at) >= start,
        )
        .exists()
    )
    leads_nowhere = (
        select(Course.id)
        .where(
            Course.patient_id == Patient.id,
            Course.state == CourseState.ACTIVE,
            ~planned_for,
            ~ahead,
            col(Course.protocol_version_id).not_in(
                select(ProtocolVersion.id).where(col(ProtocolVersion.name).in_(single))
            ),
        )
        .exists()
    )
    found = await session.exec(
        select(Patient)
        .where(
            Patient.clinic_id == clinic_id,
            Patient.state == PatientState.ACTIVE,
            col(Patient.is_test).is_(False),
            col(Patient.booking_requests).is_(True),
            leads_nowhere,
        )
        .order_by(col(Patient.id).desc())
    )
    return found.all()


async def reminders(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Reminder]:
    """Return every reminder of these patients, by time."""
    found = await session.exec(
        select(Reminder)
        .where(col(Reminder.patient_id).in_(patient_ids))
        .order_by(col(Reminder.due_at), col(Reminder.id))
        .execution_options(populate_existing=True)
    )
    return found.all()


async def reminders_of_message(session: AsyncSession, message_id: int) -> Sequence[Reminder]:
    """Return the reminders that go with that message, by step time."""
    found = await session.exec(
        select(Reminder)
        .where(Reminder.message_id == message_id)
        .order_by(col(Reminder.due_at), col(Reminder.id))
    )
    return found.all()


async def test_running(session: AsyncSession, telegram_id: int) -> bool:
    """Say whether a test course of that account still has messages to come."""
    found = await session.exec(
        select(Reminder.id)
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(
            Patient.telegram_id == telegram_id,
            col(Patient.is_test).is_(True),
            Reminder.state == ReminderState.PLANNED,
        )
        .limit(1)
    )
    return found.first() is not None


async def next_visit_at(session: AsyncSession, after: datetime) -> datetime | None:
    """Return the time of the first booked visit after ``after``."""
    found = await session.exec(
        select(func.min(Visit.planned_at))
        .join(Patient, col(Patient.id) == col(Visit.patient_id))
        .where(
            Visit.state == VisitState.PLANNED,
            col(Visit.planned_at) > after,
            col(Patient.is_test).is_(False),
        )
    )
    return found.one()


def _unrecorded(before: datetime) -> Sequence[ColumnElement[bool]]:
    return (
        col(Visit.state) == VisitState.PLANNED,
        col(Visit.planned_at) <= before,
        col(Patient.is_test).is_(False),
    )


def any_visit_overdue(before: datetime) -> ColumnElement[bool]:
    """Whether a booked visit's time lies before ``before`` and nobody recorded it."""
    visits = select(Visit.id).join(Patient, col(Patient.id) == col(Visit.patient_id))
    return visits.where(*_unrecorded(before)).exists()


async def overdue_visits(session: AsyncSession, before: datetime) -> Sequence[Visit]:
    """Return booked visits whose time lies before ``before`` and that nobody recorded.

    Those of a patient just handled by somebody else are left to the next look.
    """
    found = await session.exec(
        select(Visit)
        .join(Patient, col(Patient.id) == col(Visit.patient_id))
        .where(*_unrecorded(before))
        .order_by(col(Visit.id))
        .with_for_update(key_share=True, skip_locked=True, of=[Visit, Patient])
    )
    return found.all()


async def finish_reminders(
    session: AsyncSession,
    message_ids: Collection[int],
    state: ReminderState,
    reason: Reason | None,
    now: datetime,
) -> None:
    """Put the final state of messages on the reminders that they carried."""
    await session.exec(
        update(Reminder)
        .where(
            col(Reminder.message_id).in_(message_ids),
            col(Reminder.state) == ReminderState.PLANNED,
        )
        .values(state=state, reason=reason, final_at=now, look_at=_look_at(state, now))
    )


def _look_at(state: ReminderState, now: datetime) -> ColumnElement[datetime | None]:
    """An answer to a safety check is looked for from its delivery on."""
    asked = col(Reminder.safety).is_(True) & literal(state is ReminderState.SENT)
    return case((asked, literal(now, UtcDateTime)), else_=col(Reminder.look_at))


async def prove_reminders(session: AsyncSession, message_id: int, now: datetime) -> None:
    """Take the reminders of a message that did arrive as sent, also if that was given up."""
    doubted = and_(
        col(Reminder.state) == ReminderState.UNDELIVERED,
        col(Reminder.reason) == Reason.UNCONFIRMED,
    )
    await session.exec(
        update(Reminder)
        .where(
            col(Reminder.message_id) == message_id,
            or_(col(Reminder.state) == ReminderState.PLANNED, doubted),
        )
        .values(
            state=ReminderState.SENT,
            reason=None,
            final_at=now,
            look_at=_look_at(ReminderState.SENT, now),
        )
    )


async def latest_answer(session: AsyncSession, reminder_id: int) -> Answer | None:
    """Return the newest answer to a reminder."""
    found = await session.exec(
        select(Answer)
        .where(Answer.reminder_id == reminder_id)
        .order_by(col(Answer.id).desc())
        .limit(1)
    )
    return found.first()


async def answered(session: AsyncSession, reminder_ids: Collection[int]) -> bool:
    """Say whether one of these reminders was answered."""
    found = await session.exec(
        select(Answer.id).where(col(Answer.reminder_id).in_(reminder_ids)).limit(1)
    )
    return found.first() is not None


async def action_by_ref(session: AsyncSession, clinic_id: int, ref: str) -> Action | None:
    """Return the clinic's recorded action with that reference."""
    found = await session.exec(
        select(Action).where(Action.clinic_id == clinic_id, Action.ref == ref)
    )
    return found.first()


async def latest_action(session: AsyncSession, patient_id: int) -> Action | None:
    """Return the newest action on a patient that was not undone."""
    found = await session.exec(
        select(Action)
        .where(Action.patient_id == patient_id, col(Action.undone_at).is_(None))
        .order_by(col(Action.id).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found.first()


async def latest_pause(session: AsyncSession, patient_id: int) -> Action | None:
    """Return what the clinic did last to the patient's pause, unless that was undone."""
    found = await session.exec(
        select(Action)
        .where(
            Action.patient_id == patient_id,
            col(Action.kind).in_(("paused", "resumed")),
            col(Action.undone_at).is_(None),
        )
        .order_by(col(Action.id).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found.first()


async def active_courses(session: AsyncSession, patient_id: int) -> Sequence[Course]:
    """Return the patient's courses that were not stopped."""
    found = await session.exec(
        select(Course)
        .where(Course.patient_id == patient_id, Course.state == CourseState.ACTIVE)
        .order_by(col(Course.id))
    )
    return found.all()


async def latest_action_by(session: AsyncSession, practitioner_id: int) -> Action | None:
    """Return the practitioner's newest action that was not undone."""
    found = await session.exec(
        select(Action)
        .where(Action.practitioner_id == practitioner_id, col(Action.undone_at).is_(None))
        .order_by(col(Action.id).desc())
        .limit(1)
    )
    return found.first()


async def reminder_by_ref(session: AsyncSession, ref: str) -> Reminder | None:
    """Return the reminder with that reference."""
    return (await session.exec(select(Reminder).where(Reminder.ref == ref))).first()
