"""The outbox: adding, claiming, settling; Core statements, as they run for every message."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import and_, case, or_, update
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, MessageState, Reason
from bot.storage.tables import Message

FINAL = (
    MessageState.SENT,
    MessageState.FAILED,
    MessageState.DROPPED,
    MessageState.UNCONFIRMED,
)
_URGENCY = case(
    {Lane.DANGER: 0, Lane.REPLY: 1, Lane.CARE: 2, Lane.COURTESY: 3},
    value=Message.lane,
    else_=4,
)


async def claimable(
    session: AsyncSession,
    now: datetime,
    *,
    limit: int,
    busy_chats: Collection[int],
    for_update: bool,
) -> Sequence[Message]:
    """Return queued messages that are due, most urgent lane first, then in order.

    The second of a pair waits for the first to be final, and a chat in ``busy_chats`` waits too.
    """
    first = aliased(Message)
    waits = (
        select(first.id)
        .where(col(first.id) == col(Message.follows_id), col(first.state).not_in(FINAL))
        .exists()
    )
    statement = (
        select(Message)
        .where(
            Message.state == MessageState.QUEUED,
            col(Message.due_at) <= now,
            or_(col(Message.lease_until).is_(None), col(Message.lease_until) <= now),
            ~waits,
        )
        .order_by(_URGENCY, col(Message.due_at), col(Message.id))
        .limit(limit)
    )
    if busy_chats:
        statement = statement.where(col(Message.chat_id).not_in(busy_chats))
    if for_update:
        statement = statement.with_for_update(skip_locked=True, of=Message)
    return (await session.exec(statement)).all()


async def next_due_at(session: AsyncSession, after: datetime) -> datetime | None:
    """Return when the next queued message after ``after`` falls due."""
    found = await session.exec(
        select(func.min(Message.due_at)).where(
            Message.state == MessageState.QUEUED, col(Message.due_at) > after
        )
    )
    return found.one()


async def anything_due(session: AsyncSession, now: datetime) -> bool:
    """Say whether a message waits to be sent now or is being sent."""
    found = await session.exec(
        select(Message.id)
        .where(
            or_(
                and_(
                    col(Message.state) == MessageState.QUEUED,
                    col(Message.due_at) <= now,
                    or_(col(Message.lease_until).is_(None), col(Message.lease_until) <= now),
                ),
                col(Message.state) == MessageState.SENDING,
            )
        )
        .limit(1)
    )
    return found.first() is not None


async def message(session: AsyncSession, message_id: int) -> Message | None:
    """Return the message with that id."""
    return (await session.exec(select(Message).where(Message.id == message_id))).first()


async def message_by_ref(session: AsyncSession, ref: str) -> Message | None:
    """Return the message with that reference."""
    return (await session.exec(select(Message).where(Message.ref == ref))).first()


async def message_in_chat(
    session: AsyncSession, chat_id: int, telegram_message_id: int
) -> Message | None:
    """Return the newest row that Telegram shows under that number in that chat."""
    found = await session.exec(
        select(Message)
        .where(Message.chat_id == chat_id, Message.telegram_message_id == telegram_message_id)
        .order_by(col(Message.id).desc())
        .limit(1)
    )
    return found.first()


async def left_sending(session: AsyncSession) -> Sequence[Message]:
    """Return the messages that were in a sender's hands when the process ended."""
    found = await session.exec(
        select(Message).where(Message.state == MessageState.SENDING).order_by(col(Message.id))
    )
    return found.all()


async def drop_queued(session: AsyncSession, message_id: int, reason: Reason) -> bool:
    """Drop a message that no sender holds; false when it was already on its way."""
    dropped = await session.exec(
        update(Message)
        .where(col(Message.id) == message_id, col(Message.state) == MessageState.QUEUED)
        .values(state=MessageState.DROPPED, reason=reason)
    )
    return dropped.rowcount == 1


async def queued_for_patient(session: AsyncSession, patient_id: int) -> Sequence[Message]:
    """Return the patient's reminders-in-waiting: queued messages that nobody asked for."""
    found = await session.exec(
        select(Message).where(
            Message.patient_id == patient_id,
            Message.state == MessageState.QUEUED,
            col(Message.lane).in_([Lane.CARE, Lane.COURTESY]),
        )
    )
    return found.all()


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
    session: AsyncSession, patient_id: int, *, limit: int
) -> Sequence[Message]:
    """Return the newest messages to the patient that have left, newest first."""
    found = await session.exec(
        select(Message)
        .where(Message.patient_id == patient_id, col(Message.practitioner_id).is_(None))
        .order_by(col(Message.id).desc())
        .limit(limit)
    )
    return found.all()


async def put_back(
    session: AsyncSession, message: Message, *, now: datetime, wait: timedelta
) -> None:
    """Queue a message again that surely was not sent, not before ``wait`` is over."""
    message.state = MessageState.QUEUED
    message.worker = None
    message.lease_until = None
    message.due_at = now + wait
    session.add(message)
