"""Alerts: opened, acknowledged by the first person who taps, counted."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import AlertState
from bot.storage.tables import Alert


async def by_ref(session: AsyncSession, clinic_id: int, ref: str) -> Alert | None:
    """Return the clinic's alert with that reference."""
    found = await session.exec(select(Alert).where(Alert.clinic_id == clinic_id, Alert.ref == ref))
    return found.first()


async def acknowledge(
    session: AsyncSession, alert_id: int, practitioner_id: int, now: datetime
) -> bool:
    """Give the alert to whoever tapped first; false when somebody has it already."""
    first = await session.exec(
        update(Alert)
        .where(col(Alert.id) == alert_id, col(Alert.state) == AlertState.OPEN)
        .values(state=AlertState.ACKNOWLEDGED, acked_by=practitioner_id, acked_at=now)
    )
    return first.rowcount == 1


async def any_open(session: AsyncSession, patient_id: int) -> bool:
    """Say whether an alert about the patient still waits for somebody."""
    found = await session.exec(
        select(Alert.id)
        .where(Alert.patient_id == patient_id, Alert.state == AlertState.OPEN)
        .limit(1)
    )
    return found.first() is not None


async def open_of_clinic(session: AsyncSession, clinic_id: int) -> Sequence[Alert]:
    """Return the clinic's alerts that nobody has acknowledged, oldest first."""
    found = await session.exec(
        select(Alert)
        .where(Alert.clinic_id == clinic_id, Alert.state == AlertState.OPEN)
        .order_by(col(Alert.opened_at))
    )
    return found.all()
