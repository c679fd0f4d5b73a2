"""Counts over reminders, messages and updates: what an operator and a lead are told of."""

from datetime import datetime

from sqlalchemy import or_, text
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, MessageState, Reason, ReminderState, UpdateState
from bot.storage.tables import Message, Reminder, Update

_ENDED = (MessageState.UNCONFIRMED, MessageState.FAILED)


async def expired(session: AsyncSession, since: datetime | None = None) -> int:
    """Return how many steps were too late to be sent (after ``since``); pauses are no trouble."""
    statement = (
        select(func.count())
        .select_from(Reminder)
        .where(
            Reminder.state == ReminderState.EXPIRED,
            Reminder.reason == Reason.TOO_LATE,
            # What was past when its visit was booked was never to be sent.
            col(Reminder.final_at) > col(Reminder.created_at),
        )
    )
    if since is not None:
        statement = statement.where(col(Reminder.final_at) >= since)
    return (await session.exec(statement)).one()


async def unsure_danger(session: AsyncSession, before: datetime) -> tuple[int, int]:
    """Return how many urgent messages to the team ended without being sent, and wait in doubt.

    In doubt is what was tried, had no answer, and was queued ``before``.
    """
    waits = col(Message.state).in_((MessageState.QUEUED, MessageState.SENDING))
    doubted = waits & (col(Message.maybe_copies) > 0) & (col(Message.queued_at) <= before)
    found = await session.exec(
        select(Message.state, func.count())
        .where(
            Message.lane == Lane.DANGER,
            col(Message.practitioner_id).is_not(None),
            or_(col(Message.state).in_(_ENDED), doubted),
        )
        .group_by(col(Message.state))
    )
    counts = {str(state): count for state, count in found.all()}
    ended = sum(counts.get(state, 0) for state in _ENDED)
    return ended, sum(counts.values()) - ended


async def repeats(session: AsyncSession) -> int:
    """Return how many sends had no answer, and so may have arrived and come twice."""
    found: int | None = (await session.exec(select(func.sum(Message.maybe_copies)))).one()
    return found or 0


async def quarantined(session: AsyncSession) -> int:
    """Return how many updates were given up."""
    found = await session.exec(
        select(func.count()).select_from(Update).where(Update.state == UpdateState.QUARANTINED)
    )
    return found.one()


async def size(session: AsyncSession, *, sqlite: bool) -> int:
    """Return how many bytes the database takes."""
    pages = select(text("page_count * page_size")).select_from(
        text("pragma_page_count(), pragma_page_size()")
    )
    statement = pages if sqlite else select(func.pg_database_size(func.current_database()))
    return int((await session.exec(statement)).one())
