"""What the process says of itself, kept for the health page and the next start."""

from collections.abc import Collection
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, delete, text
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import AlertState, MessageState, ReminderState
from bot.storage.tables import Alert, Message, Reminder, Vital

# When the jobs were last looked at.
LAST_TICK = "last_tick_at"


async def get(session: AsyncSession, key: str) -> str | None:
    """Return a vital sign, or nothing when it was never written."""
    return (await session.exec(select(Vital.value).where(Vital.key == key))).first()


async def some(session: AsyncSession, keys: Collection[str]) -> dict[str, str]:
    """Return those of these vital signs that were ever written."""
    found = await session.exec(select(Vital.key, Vital.value).where(col(Vital.key).in_(keys)))
    return dict(found.all())


async def put(session: AsyncSession, key: str, value: str) -> None:
    """Write a vital sign."""
    await session.merge(Vital(key=key, value=value))


async def forget(session: AsyncSession, keys: Collection[str]) -> None:
    """Take vital signs back."""
    await session.exec(delete(Vital).where(col(Vital.key).in_(keys)))


async def get_instant(session: AsyncSession, key: str) -> datetime | None:
    """Return an instant that was written as a vital sign, aware UTC."""
    found = await get(session, key)
    return None if found is None else datetime.fromisoformat(found)


async def put_instant(session: AsyncSession, key: str, moment: datetime) -> None:
    """Write an instant as a vital sign, in the form of the views."""
    await put(session, key, as_text(moment))


def noted_within(key: str, after: datetime, until: datetime) -> ColumnElement[bool]:
    """Whether the instant that was written last lies after ``after`` and not after ``until``."""
    # The form of the views sorts as the instants do.
    value = col(Vital.value)
    noted = select(Vital.key).where(
        Vital.key == key, value > as_text(after), value <= as_text(until)
    )
    return noted.exists()


def any_under(prefix: str) -> ColumnElement[bool]:
    """Whether a vital sign has a key that begins so."""
    return select(Vital.key).where(col(Vital.key).startswith(prefix)).exists()


def as_text(moment: datetime) -> str:
    """Return an instant in the form of the views."""
    whole = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.")
    return f"{whole}{moment.microsecond // 1000:03d}Z"


async def reminder_states(session: AsyncSession) -> dict[str, int]:
    """Return the number of reminders in each state."""
    found = await session.exec(select(Reminder.state, func.count()).group_by(col(Reminder.state)))
    return {str(state): count for state, count in found.all()}


async def message_states(session: AsyncSession) -> dict[str, int]:
    """Return the number of messages in each state."""
    found = await session.exec(select(Message.state, func.count()).group_by(col(Message.state)))
    return {str(state): count for state, count in found.all()}


async def open_alerts(session: AsyncSession) -> int:
    """Return how many alerts nobody has acknowledged."""
    found = await session.exec(
        select(func.count()).select_from(Alert).where(Alert.state == AlertState.OPEN)
    )
    return found.one()


async def overdue(session: AsyncSession, now: datetime) -> int:
    """Return how many messages wait although they are due."""
    found = await session.exec(
        select(func.count())
        .select_from(Message)
        .where(
            # In the words of the index.
            text("message.state IN ('queued', 'sending')"),
            Message.state == MessageState.QUEUED,
            col(Message.due_at) <= now,
        )
    )
    return found.one()


async def unbalanced(session: AsyncSession) -> list[str]:
    """Return references of reminders whose state contradicts itself; none in a sound ledger."""
    final = col(Reminder.state) != ReminderState.PLANNED
    over = select(Message.id).where(
        col(Message.state).not_in([MessageState.QUEUED, MessageState.SENDING])
    )
    found = await session.exec(
        select(Reminder.ref).where(
            (final & col(Reminder.final_at).is_(None))
            | (~final & col(Reminder.final_at).is_not(None))
            | (final & (col(Reminder.state) != ReminderState.SENT) & col(Reminder.reason).is_(None))
            | ((col(Reminder.state) == ReminderState.SENT) & col(Reminder.message_id).is_(None))
            | (~final & col(Reminder.message_id).in_(over))
        )
    )
    return list(found.all())
