"""What chats were told: how often, when last, and what followed what."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import case, or_
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, MessageState
from bot.storage.tables import Message


async def reached_since(
    session: AsyncSession, patient_ids: Collection[int], since: datetime, until: datetime
) -> dict[int, tuple[int, int]]:
    """Return how many messages, danger aside, left for each patient, and how many of them unasked.

    What may have come twice counts twice.
    """
    copies = 1 + func.coalesce(Message.maybe_copies, 0)
    found = await session.exec(
        select(
            Message.patient_id,
            func.sum(copies),
            func.sum(case((col(Message.unasked).is_(True), copies), else_=0)),
        )
        .where(
            col(Message.patient_id).in_(patient_ids),
            col(Message.practitioner_id).is_(None),
            col(Message.lane) != Lane.DANGER,
            col(Message.sent_at) > since,
            # What was sent by a clock that was ahead is no matter of the last hour.
            col(Message.sent_at) <= until,
        )
        .group_by(col(Message.patient_id))
    )
    return {patient_id or 0: (int(all_), int(unasked)) for patient_id, all_, unasked in found}


async def stranger_answered(session: AsyncSession, chat_id: int, since: datetime) -> bool:
    """Say whether a chat that is nobody's was answered after ``since``, or is about to be."""
    found = await session.exec(
        select(Message.id)
        .where(
            Message.chat_id == chat_id,
            col(Message.patient_id).is_(None),
            col(Message.practitioner_id).is_(None),
            or_(
                col(Message.queued_at) > since,
                col(Message.state).in_([MessageState.QUEUED, MessageState.SENDING]),
            ),
        )
        .limit(1)
    )
    return found.first() is not None


async def count_said(session: AsyncSession, chat_id: int, template: str, since: datetime) -> int:
    """Count how often a chat was told the same after ``since``."""
    found = await session.exec(
        select(func.count())
        .select_from(Message)
        .where(
            Message.chat_id == chat_id,
            Message.template == template,
            col(Message.queued_at) > since,
        )
    )
    return found.one()


async def said_between(
    session: AsyncSession, chat_id: int, template: str, since: datetime, until: datetime
) -> bool:
    """Say whether a message of this template left for the chat after ``since``, by ``until``."""
    found = await session.exec(
        select(Message.id)
        .where(
            Message.chat_id == chat_id,
            Message.template == template,
            col(Message.sent_at) > since,
            col(Message.sent_at) <= until,
        )
        .limit(1)
    )
    return found.first() is not None


async def about_to_be_said(
    session: AsyncSession, chat_id: int, template: str, lanes: Collection[Lane]
) -> bool:
    """Say whether a message of this template, in one of these lanes, is on its way to the chat."""
    found = await session.exec(
        select(Message.id)
        .where(
            Message.chat_id == chat_id,
            Message.template == template,
            col(Message.lane).in_(lanes),
            col(Message.state).in_([MessageState.QUEUED, MessageState.SENDING]),
        )
        .limit(1)
    )
    return found.first() is not None


async def refused_since(session: AsyncSession, chat_id: int, since: datetime) -> set[datetime]:
    """Return when the chat was told, after ``since``, that something cannot be done."""
    found = await session.exec(
        select(Message.queued_at).where(
            Message.chat_id == chat_id,
            col(Message.template).startswith("errors/"),
            col(Message.queued_at) > since,
        )
    )
    return set(found.all())


async def latest_sent(
    session: AsyncSession, visit_id: int, templates: Collection[str]
) -> Message | None:
    """Return the newest of these messages on a visit that is on the patient's phone for sure."""
    found = await session.exec(
        select(Message)
        .where(
            Message.visit_id == visit_id,
            col(Message.template).in_(templates),
            Message.state == MessageState.SENT,
        )
        .order_by(col(Message.id).desc())
        .limit(1)
    )
    return found.first()


async def unasked_since(session: AsyncSession, patient_id: int, since: datetime) -> int:
    """Count what reached (or may have reached) the patient unasked since ``since``."""
    found = await session.exec(
        select(func.count())
        .select_from(Message)
        .where(
            Message.patient_id == patient_id,
            col(Message.unasked).is_(True),
            col(Message.state).in_(
                [MessageState.SENT, MessageState.SENDING, MessageState.UNCONFIRMED]
            ),
            col(Message.sent_at) >= since,
        )
    )
    return found.one()


async def sent_to_patient(
    session: AsyncSession, patient_id: int, *, limit: int, before: int | None = None
) -> Sequence[Message]:
    """Return the newest messages to the patient (of those before that id), newest first."""
    statement = select(Message).where(
        Message.patient_id == patient_id, col(Message.practitioner_id).is_(None)
    )
    if before is not None:
        statement = statement.where(col(Message.id) < before)
    return (await session.exec(statement.order_by(col(Message.id).desc()).limit(limit))).all()


async def sent_to_patient_after(
    session: AsyncSession, patient_id: int, after: int, *, limit: int
) -> Sequence[Message]:
    """Return the messages to the patient that follow that id, oldest first."""
    found = await session.exec(
        select(Message)
        .where(
            Message.patient_id == patient_id,
            col(Message.practitioner_id).is_(None),
            col(Message.id) > after,
        )
        .order_by(col(Message.id))
        .limit(limit)
    )
    return found.all()
