"""What there is to do now, and when there will be: asked of all tables in one statement."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from bot.storage.queries import alerts, falling_due, limit_ends, questions, unanswered


async def true(session: AsyncSession, conditions: Sequence[ColumnElement[bool]]) -> Sequence[bool]:
    """Return which of the conditions hold, in their order."""
    row = (await (await session.connection()).execute(select(*conditions))).one()
    return [bool(each) for each in row]


async def next_at(session: AsyncSession, after: datetime) -> datetime | None:
    """Return when a job next has something to do after ``after``, as far as rows say."""
    moments: Sequence[SelectOfScalar[Any]] = (
        falling_due.next_due(after),
        *alerts.next_due(after),
        unanswered.next_look(after),
        questions.next_due(after),
        limit_ends.next_look(after),
    )
    columns = [each.scalar_subquery() for each in moments]
    row = (await (await session.connection()).execute(select(*columns))).one()
    return min((at for at in row if at is not None), default=None)
