"""Reminders as the clock sees them: due, overdue, piled up, left behind, missed."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, or_, text, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from bot.domain.states import MessageState, PatientState, Reason, ReminderState
from bot.storage.tables import Message, Patient, Reminder, Visit


async def expire_reminders(session: AsyncSession, now: datetime) -> int:
    """End every reminder whose time of use is over and that no message carries; return how many."""
    waiting = (
        col(Reminder.state) == ReminderState.PLANNED,
        col(Reminder.message_id).is_(None),
        col(Reminder.expires_at) <= now,
    )
    # Whoever is being planned for has other dates in a moment: judge by those.
    await session.exec(
        select(Patient.id)
        .where(col(Patient.id).in_(select(Reminder.patient_id).where(*waiting)))
        .order_by(col(Patient.id))
        .with_for_update(key_share=True)
    )
    doubted = await session.exec(
        update(Reminder)
        .where(*waiting, col(Reminder.maybe_sent).is_(True))
        .values(state=ReminderState.UNDELIVERED, reason=Reason.UNCONFIRMED, final_at=now)
    )
    paused = select(Patient.id).where(col(Patient.paused_until).is_not(None))
    skipped = await session.exec(
        update(Reminder)
        .where(*waiting, col(Reminder.outlook).is_not(None))
        .values(state=ReminderState.SKIPPED, reason=Reminder.outlook, final_at=now)
    )
    held = await session.exec(
        update(Reminder)
        .where(*waiting, col(Reminder.patient_id).in_(paused))
        .values(state=ReminderState.EXPIRED, reason=Reason.PAUSED, final_at=now)
    )
    late = await session.exec(
        update(Reminder)
        .where(*waiting)
        .values(state=ReminderState.EXPIRED, reason=Reason.TOO_LATE, final_at=now)
    )
    return doubted.rowcount + skipped.rowcount + held.rowcount + late.rowcount


async def fell_due(session: AsyncSession, until: datetime) -> Sequence[Reminder]:
    """Return the unfinished reminders that were due by ``until`` and that no message carries."""
    found = await session.exec(
        select(Reminder)
        .where(
            Reminder.state == ReminderState.PLANNED,
            col(Reminder.message_id).is_(None),
            col(Reminder.due_at) <= until,
        )
        .order_by(col(Reminder.due_at), col(Reminder.id))
    )
    return found.all()


async def patients_with_due_reminders(session: AsyncSession, now: datetime) -> list[int]:
    """Return patients for whom something is due now and may be judged, longest due first."""
    found = await session.exec(
        select(Reminder.patient_id, func.min(Reminder.due_at))
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(
            Reminder.state == ReminderState.PLANNED,
            col(Reminder.message_id).is_(None),
            col(Reminder.due_at) <= now,
            Patient.state == PatientState.ACTIVE,
            or_(col(Patient.paused_until).is_(None), col(Reminder.safety).is_(True)),
        )
        .group_by(col(Reminder.patient_id))
        .order_by(func.min(Reminder.due_at), col(Reminder.patient_id))
    )
    return [patient_id for patient_id, _ in found.all()]


def anything_to_do(now: datetime, late: datetime) -> ColumnElement[bool]:
    """Whether a reminder is due or over, a pause has ended, messages due by ``late`` piled up."""
    due = select(Reminder.id).where(
        Reminder.state == ReminderState.PLANNED,
        col(Reminder.message_id).is_(None),
        or_(col(Reminder.due_at) <= now, col(Reminder.expires_at) <= now),
    )
    rested = select(Patient.id).where(col(Patient.paused_until) <= now)
    return or_(due.exists(), rested.exists(), _piled_up(late).exists())


def next_due(after: datetime) -> SelectOfScalar[datetime | None]:
    """When the next reminder after ``after`` falls due, for a patient who receives them."""
    return (
        select(func.min(Reminder.due_at))
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(
            Reminder.state == ReminderState.PLANNED,
            col(Reminder.message_id).is_(None),
            col(Reminder.due_at) > after,
            col(Reminder.outlook).is_(None),
            Patient.state == PatientState.ACTIVE,
            or_(col(Patient.paused_until).is_(None), col(Reminder.safety).is_(True)),
        )
    )


def _piled_up(before: datetime) -> SelectOfScalar[int] | SelectOfScalar[None]:
    return (
        select(Message.patient_id)
        .join(Reminder, col(Reminder.message_id) == col(Message.id))
        .join(Patient, col(Patient.id) == col(Message.patient_id))
        .where(
            # In the very words of the index: see the queries of the outbox.
            text("message.state IN ('queued', 'sending')"),
            col(Message.state) == MessageState.QUEUED,
            col(Message.maybe_copies) == 0,
            col(Message.due_at) <= before,
            col(Reminder.due_at) <= before,
            col(Reminder.state) == ReminderState.PLANNED,
            col(Patient.is_test).is_(False),
        )
        .group_by(col(Message.patient_id))
        .having(func.count(col(Message.id).distinct()) > 1)
    )


async def patients_piled_up(session: AsyncSession, before: datetime) -> Sequence[int]:
    """Return patients for whom several unsent messages wait whose steps were due by ``before``."""
    found = await session.exec(_piled_up(before).order_by(col(Message.patient_id)))
    return [patient_id for patient_id in found if patient_id is not None]


async def patients_left_behind(
    session: AsyncSession, message_ids: Collection[int]
) -> Sequence[int]:
    """Return the patients to whom these messages brought a round that its visit has left."""
    found = await session.exec(
        select(Reminder.patient_id)
        .join(Visit, col(Visit.id) == col(Reminder.visit_id))
        .where(col(Reminder.message_id).in_(message_ids), col(Reminder.round) < col(Visit.round))
        .distinct()
        .order_by(col(Reminder.patient_id))
    )
    return found.all()


async def missed_checks(
    session: AsyncSession, clinic_id: int, since: datetime
) -> Sequence[Patient]:
    """Return patients to whom a safety check since ``since`` came too late or not at all."""
    missed = select(Reminder.patient_id).where(
        Reminder.clinic_id == clinic_id,
        col(Reminder.safety).is_(True),
        col(Reminder.state).in_([ReminderState.EXPIRED, ReminderState.UNDELIVERED]),
        col(Reminder.final_at) >= since,
    )
    found = await session.exec(
        select(Patient)
        .where(
            col(Patient.id).in_(missed),
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(col(Patient.id))
    )
    return found.all()
