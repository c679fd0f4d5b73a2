"""Counts over reminders, messages and updates: what an operator and a lead are told of."""

from datetime import datetime

from sqlalchemy import text
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, Reason, UpdateState
from bot.storage.tables import Message, Reminder, Update

# In the very words of their indexes: these are counted again and again.
_DANGER_ENDED = text("message.lane = 'danger' AND message.state IN ('unconfirmed', 'failed')")
_OPEN = text("message.state IN ('queued', 'sending')")
_EXPIRED = text("reminder.state = 'expired'")


async def expired(session: AsyncSession, since: datetime | None = None) -> int:
    """Return how many steps were too late to be sent (after ``since``); pauses are no trouble."""
    statement = (
        select(func.count())
        .select_from(Reminder)
        .where(
            _EXPIRED,
            Reminder.reason == Reason.TOO_LATE,
            # What was past when its visit was booked was never to be sent.
            col(Reminder.final_at) > col(Reminder.created_at),
        )
    )
    if since is not None:
        statement = statement.where(col(Reminder.final_at) >= since)
    return (await session.exec(statement)).one()


async def unsure_danger(session: AsyncSession, before: datetime, *, above: int) -> tuple[int, int]:
    """Return how many urgent messages to the team ended without being sent, and wait in doubt.

    In doubt is what was tried, had no answer, was queued ``before`` and has an id ``above``.
    """
    to_team = (Message.lane == Lane.DANGER, col(Message.practitioner_id).is_not(None))
    ended = await session.exec(
        select(func.count()).select_from(Message).where(_DANGER_ENDED, *to_team)
    )
    doubted = await session.exec(
        select(func.count())
        .select_from(Message)
        .where(
            _OPEN,
            *to_team,
            col(Message.maybe_copies) > 0,
            col(Message.queued_at) <= before,
            col(Message.id) > above,
        )
    )
    return ended.one(), doubted.one()


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
