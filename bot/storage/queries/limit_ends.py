"""The ends of limits: of a patient, kept on, due to be looked at."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from bot.storage.tables import LimitEnd, Reminder


async def of_patient(session: AsyncSession, patient_id: int) -> Sequence[LimitEnd]:
    """Return what is on record of the patient's limits, the first to end first."""
    found = await session.exec(
        select(LimitEnd)
        .where(LimitEnd.patient_id == patient_id)
        .order_by(col(LimitEnd.ends_at), col(LimitEnd.id))
        .execution_options(populate_existing=True)
    )
    return found.all()


async def kept(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[LimitEnd]:
    """Return the limits that these patients said they keep, as the skin was not calm."""
    found = await session.exec(
        select(LimitEnd)
        .where(col(LimitEnd.patient_id).in_(patient_ids), col(LimitEnd.kept_at).is_not(None))
        .order_by(col(LimitEnd.ends_at), col(LimitEnd.id))
        .execution_options(populate_existing=True)
    )
    return found.all()


def anything_due(now: datetime) -> ColumnElement[bool]:
    """Whether a limit is to be looked at now."""
    return select(LimitEnd.id).where(col(LimitEnd.look_at) <= now).exists()


def next_look(after: datetime) -> SelectOfScalar[datetime | None]:
    """When a limit is next looked at, after ``after``."""
    return select(func.min(LimitEnd.look_at)).where(col(LimitEnd.look_at) > after)


async def due_patients(session: AsyncSession, now: datetime) -> list[int]:
    """Return the patients of whom a limit is to be looked at now, longest waiting first."""
    found = await session.exec(
        select(LimitEnd.patient_id, func.min(LimitEnd.look_at))
        .where(col(LimitEnd.look_at) <= now)
        .group_by(col(LimitEnd.patient_id))
        .order_by(func.min(LimitEnd.look_at), col(LimitEnd.patient_id))
    )
    return [patient_id for patient_id, _ in found.all()]


async def look_now(session: AsyncSession, message_ids: Collection[int], now: datetime) -> None:
    """Look at once at the limits of whoever did not get these messages; a step may have told one.

    What has not come to its end, and what nothing is to follow for, stays as it is.
    """
    whose = select(Reminder.patient_id).where(col(Reminder.message_id).in_(message_ids))
    await session.exec(
        update(LimitEnd)
        .where(
            col(LimitEnd.patient_id).in_(whose),
            col(LimitEnd.look_at) > now,
            col(LimitEnd.ends_at) <= now,
            col(LimitEnd.kept_at).is_(None),
        )
        .values(look_at=now)
        .execution_options(synchronize_session=False)
    )
