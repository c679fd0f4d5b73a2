"""Steps that were not sent: which go on the practitioner's list, and what it shows."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, text, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PatientState, Reason, ReminderState
from bot.storage.tables import Patient, Practitioner, Reminder

# In the very words of the index ``reminder_unlisted``.
_UNLISTED = text("reminder.state IN ('expired', 'undelivered') AND reminder.listed_at IS NULL")
_FOR_THE_LIST = and_(
    col(Reminder.reason).in_([Reason.TOO_LATE, Reason.UNCONFIRMED]),
    # What was past when its visit was booked was never to be sent.
    col(Reminder.final_at) > col(Reminder.created_at),
)


def anything_unlisted() -> ColumnElement[bool]:
    """Whether a step that was not sent has not been handed over yet."""
    return select(Reminder.id).where(_UNLISTED).exists()


async def list_unseen(session: AsyncSession, now: datetime) -> None:
    """Mark what needs no list as listed: of tests, of the erased, or what was told in another way.

    A pause is somebody's wish; a patient whom Telegram does not reach was reported at once.
    """
    nobody = select(Patient.id).where(
        or_(col(Patient.is_test).is_(True), col(Patient.state) == PatientState.ERASED)
    )
    await session.exec(
        update(Reminder)
        .where(_UNLISTED, or_(~_FOR_THE_LIST, col(Reminder.patient_id).in_(nobody)))
        .values(listed_at=now)
        .execution_options(synchronize_session=False)
    )


async def practitioners_to_hand_over_to(session: AsyncSession) -> Sequence[Practitioner]:
    """Return who treats the patients with steps that were not sent and not handed over."""
    treated = (
        select(Patient.practitioner_id)
        .join(Reminder, col(Reminder.patient_id) == col(Patient.id))
        .where(_UNLISTED)
    )
    found = await session.exec(
        select(Practitioner).where(col(Practitioner.id).in_(treated)).order_by(col(Practitioner.id))
    )
    return found.all()


async def hand_over(
    session: AsyncSession, practitioner_id: int, now: datetime, *, first: int
) -> tuple[int, int, Sequence[Reminder]]:
    """Mark as listed what was not sent to this practitioner's patients.

    Returns how many steps, of how many patients, and the ``first`` of them: safety, then by time.
    """
    own = select(Patient.id).where(col(Patient.practitioner_id) == practitioner_id)
    theirs = (_UNLISTED, col(Reminder.patient_id).in_(own))
    counted = await session.exec(
        select(func.count(), func.count(func.distinct(Reminder.patient_id))).where(*theirs)
    )
    steps, patients = counted.one()
    found = await session.exec(
        select(Reminder)
        .where(*theirs)
        .order_by(col(Reminder.safety).desc(), col(Reminder.due_at), col(Reminder.id))
        .limit(first)
    )
    rows = found.all()
    await session.exec(
        update(Reminder)
        .where(*theirs)
        .values(listed_at=now)
        .execution_options(synchronize_session=False)
    )
    return steps, patients, rows


def _unsent(clinic_id: int, since: datetime) -> ColumnElement[bool]:
    return and_(
        col(Reminder.clinic_id) == clinic_id,
        col(Reminder.state).in_([ReminderState.EXPIRED, ReminderState.UNDELIVERED]),
        _FOR_THE_LIST,
        col(Reminder.final_at) >= since,
        col(Patient.is_test).is_(False),
        col(Patient.state) != PatientState.ERASED,
    )


async def unsent(
    session: AsyncSession, clinic_id: int, since: datetime, *, limit: int, offset: int
) -> Sequence[Reminder]:
    """Return the clinic's steps that were not sent since then: newest first, checks before all."""
    found = await session.exec(
        select(Reminder)
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(_unsent(clinic_id, since))
        .order_by(
            col(Reminder.final_at).desc(), col(Reminder.safety).desc(), col(Reminder.id).desc()
        )
        .limit(limit)
        .offset(offset)
    )
    return found.all()


async def count_unsent(session: AsyncSession, clinic_id: int, since: datetime) -> int:
    """Return how many they are."""
    found = await session.exec(
        select(func.count(col(Reminder.id)))
        .join(Patient, col(Patient.id) == col(Reminder.patient_id))
        .where(_unsent(clinic_id, since))
    )
    return found.one()
