"""Safety checks delivered and not answered: when to look at them, and which are listed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from bot.domain.states import PatientState
from bot.storage.tables import Answer, Patient, Reminder


def anything_due(now: datetime) -> ColumnElement[bool]:
    """Whether the answer to a check is to be looked for now."""
    return select(Reminder.id).where(col(Reminder.look_at) <= now).exists()


def next_look(after: datetime) -> SelectOfScalar[datetime | None]:
    """When an answer is next looked for, after ``after``."""
    return select(func.min(Reminder.look_at)).where(col(Reminder.look_at) > after)


async def due(session: AsyncSession, now: datetime) -> Sequence[int]:
    """Return the checks whose answer is to be looked for now, longest waiting first."""
    found = await session.exec(
        select(Reminder.id)
        .where(col(Reminder.look_at) <= now)
        .order_by(col(Reminder.look_at), col(Reminder.id))
    )
    return [reminder_id or 0 for reminder_id in found.all()]


async def answered(session: AsyncSession, message_id: int) -> bool:
    """Say whether a check that came with that message was answered.

    A card told with it late has buttons of its own there: they answer no question.
    """
    own = select(Reminder.id).where(
        Reminder.message_id == message_id, col(Reminder.safety).is_(True)
    )
    found = await session.exec(select(Answer.id).where(col(Answer.reminder_id).in_(own)).limit(1))
    return found.first() is not None


async def patients(session: AsyncSession, clinic_id: int, since: datetime) -> Sequence[Patient]:
    """Return whoever did not answer a safety check after ``since``, and whom nobody phoned."""
    silent = select(Reminder.patient_id).where(
        Reminder.clinic_id == clinic_id,
        col(Reminder.unanswered_at) >= since,
        col(Reminder.unanswered_done_at).is_(None),
    )
    found = await session.exec(
        select(Patient)
        .where(
            col(Patient.id).in_(silent),
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(col(Patient.id))
    )
    return found.all()


async def is_listed(session: AsyncSession, patient_id: int) -> bool:
    """Say whether somebody is to phone the patient, who did not answer a safety check."""
    found = await session.exec(
        select(Reminder.id)
        .where(
            col(Reminder.patient_id) == patient_id,
            col(Reminder.unanswered_at).is_not(None),
            col(Reminder.unanswered_done_at).is_(None),
        )
        .limit(1)
    )
    return found.first() is not None


async def tick_off(session: AsyncSession, patient_id: int, now: datetime) -> int:
    """Take a patient off the list; return how many checks that were."""
    done = await session.exec(
        update(Reminder)
        .where(
            col(Reminder.patient_id) == patient_id,
            col(Reminder.unanswered_at).is_not(None),
            col(Reminder.unanswered_done_at).is_(None),
        )
        .values(unanswered_done_at=now)
    )
    return done.rowcount
