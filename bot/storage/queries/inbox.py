"""The inbox: raw updates in, one at a time out."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import UpdateState
from bot.storage import sealed
from bot.storage.tables import Update


async def known(session: AsyncSession, update_ids: Sequence[int]) -> set[int]:
    """Return those of the ids that are stored already."""
    found = await session.exec(
        select(Update.update_id).where(col(Update.update_id).in_(update_ids))
    )
    return set(found.all())


async def heard_since(session: AsyncSession, chat_id: int, since: datetime) -> bool:
    """Say whether the chat has spoken after ``since``."""
    found = await session.exec(
        select(Update.update_id)
        .where(Update.chat_id == chat_id, col(Update.received_at) > since)
        .limit(1)
    )
    return found.first() is not None


def add(
    session: AsyncSession,
    update_id: int,
    chat_id: int | None,
    raw: dict[str, Any],
    now: datetime,
) -> None:
    """Store one raw update, sealed."""
    row = Update(update_id=update_id, chat_id=chat_id, received_at=now)
    sealed.write(session, row, raw)
    session.add(row)


async def waiting(
    session: AsyncSession,
    *,
    limit: int,
    busy: Collection[int | None] = (),
    aside: Collection[int] = (),
) -> list[tuple[int, int | None]]:
    """Return ``(update_id, chat_id)`` of updates not handled yet, in Telegram's order.

    Chats in ``busy`` are left out, so that one that never stops talking hides nobody else; and so
    are the updates ``aside``.
    """
    chats = {chat for chat in busy if chat is not None}
    statement = (
        select(Update.update_id, Update.chat_id)
        .where(
            Update.state == UpdateState.RECEIVED,
            or_(col(Update.chat_id).is_(None), col(Update.chat_id).not_in(chats)),
        )
        .order_by(col(Update.update_id))
        .limit(limit)
    )
    if aside:
        statement = statement.where(col(Update.update_id).not_in(aside))
    if None in busy:
        statement = statement.where(col(Update.chat_id).is_not(None))
    found = await session.exec(statement)
    return [(update_id, chat_id) for update_id, chat_id in found.all()]


async def received(session: AsyncSession) -> list[int]:
    """Return the numbers of all updates that are not handled yet."""
    found = await session.exec(select(Update.update_id).where(Update.state == UpdateState.RECEIVED))
    return list(found.all())


async def take(session: AsyncSession, update_id: int) -> Update | None:
    """Return the update if it still waits to be handled."""
    found = await session.exec(
        select(Update).where(Update.update_id == update_id, Update.state == UpdateState.RECEIVED)
    )
    return found.first()


async def last_handled(session: AsyncSession, chat_id: int, since: datetime) -> Update | None:
    """Return the chat's newest update that was handled after ``since``."""
    found = await session.exec(
        select(Update)
        .where(
            Update.chat_id == chat_id,
            Update.state == UpdateState.HANDLED,
            col(Update.handled_at) > since,
        )
        .order_by(col(Update.handled_at).desc(), col(Update.update_id).desc())
        .limit(1)
    )
    return found.first()


async def count_attempt(session: AsyncSession, update_id: int) -> int:
    """Add one failed attempt and return how many there were."""
    counted = await session.exec(
        update(Update)
        .where(col(Update.update_id) == update_id)
        .values(attempts=Update.attempts + 1)
        .returning(col(Update.attempts))
    )
    return int(counted.scalar_one())


async def settle(session: AsyncSession, update_id: int, state: UpdateState, now: datetime) -> None:
    """Give the update its final state."""
    await session.exec(
        update(Update).where(col(Update.update_id) == update_id).values(state=state, handled_at=now)
    )
