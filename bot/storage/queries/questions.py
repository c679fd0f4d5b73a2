"""What patients asked: what is open, what is past its promise, and who was told of it."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from bot.domain.states import PatientState
from bot.storage.tables import Message, Patient, Practitioner, Question

_OPEN = (col(Question.answered_at).is_(None),)
_TELL = ("alerts/passed_on", "practitioner/question_waits")
_TO_FOLLOW = (*_OPEN, col(Question.overdue_at).is_(None))


async def latest(session: AsyncSession, patient_id: int) -> Question | None:
    """Return the patient's newest question, an open one before any other, for this transaction.

    An older one is open again when its answer did not arrive.
    """
    found = await session.exec(
        select(Question)
        .where(Question.patient_id == patient_id)
        .order_by(col(Question.answered_at).is_not(None), col(Question.id).desc())
        .limit(1)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.first()


async def answered_by_others(
    session: AsyncSession, patient_id: int, writer_id: int, since: datetime
) -> Question | None:
    """Return the question of the patient that somebody else has answered last, not before then."""
    found = await session.exec(
        select(Question)
        .where(
            Question.patient_id == patient_id,
            col(Question.answered_at) >= since,
            Question.answered_by != writer_id,
        )
        .order_by(col(Question.answered_at).desc(), col(Question.id).desc())
        .limit(1)
    )
    return found.first()


async def locked(session: AsyncSession, question_id: int) -> Question:
    """Return a question that nobody else changes until this transaction ends."""
    return await session.get_one(
        Question, question_id, with_for_update=True, populate_existing=True
    )


def anything_due(now: datetime) -> ColumnElement[bool]:
    """Whether the promise of an open question has passed, and nobody was reminded of it."""
    return select(Question.id).where(*_TO_FOLLOW, Question.reply_by <= now).exists()


def next_due(after: datetime) -> SelectOfScalar[datetime]:
    """When the next promise ends, after ``after``."""
    return select(func.min(Question.reply_by)).where(*_TO_FOLLOW, Question.reply_by > after)


async def due(session: AsyncSession, now: datetime) -> Sequence[int]:
    """Return the open questions whose promise has passed and whom nobody was reminded of."""
    found = await session.exec(
        select(Question.id)
        .where(*_TO_FOLLOW, Question.reply_by <= now)
        .order_by(col(Question.reply_by), col(Question.id))
    )
    return [question_id or 0 for question_id in found.all()]


async def waiting(session: AsyncSession, clinic_id: int) -> Sequence[tuple[Question, Patient]]:
    """Return the clinic's open questions with who asked; the earliest promise comes first."""
    found = await session.exec(
        select(Question, Patient)
        .join(Patient, col(Patient.id) == col(Question.patient_id))
        .where(
            *_OPEN,
            Question.clinic_id == clinic_id,
            Patient.state != PatientState.ERASED,
            col(Patient.is_test).is_(False),
        )
        .order_by(col(Question.reply_by), col(Question.id))
    )
    return found.all()


async def told(session: AsyncSession, question: Question) -> Sequence[Practitioner]:
    """Return who of the team was sent something of the question, or is writing an answer."""
    sent = select(Message.practitioner_id).where(
        Message.patient_id == question.patient_id,
        col(Message.template).in_(_TELL),
        Message.queued_at >= question.asked_at,
    )
    found = await session.exec(
        select(Practitioner)
        .where(
            col(Practitioner.id).in_(sent) | (col(Practitioner.id) == question.writing_by),
            col(Practitioner.removed_at).is_(None),
        )
        .order_by(col(Practitioner.id))
    )
    return found.all()
