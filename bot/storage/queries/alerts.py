"""Alerts and reports: opened, acknowledged by the first person who taps, repeated, closed."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, or_, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from bot.domain.states import AlertState, Level, MessageState
from bot.storage.tables import Alert, AlertLog, Message, Report


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


async def close(
    session: AsyncSession, alert_id: int, practitioner_id: int, outcome: str, now: datetime
) -> bool:
    """End an alert with how it ended; false when it was closed before."""
    first = await session.exec(
        update(Alert)
        .where(col(Alert.id) == alert_id, col(Alert.state) != AlertState.CLOSED)
        .values(
            state=AlertState.CLOSED,
            closed_by=practitioner_id,
            closed_at=now,
            outcome=outcome,
            due_at=None,
        )
    )
    return first.rowcount == 1


async def is_open(session: AsyncSession, ref: str) -> bool:
    """Say whether the alert with that reference still waits for somebody."""
    found = await session.exec(
        select(Alert.id).where(Alert.ref == ref, Alert.state == AlertState.OPEN)
    )
    return found.first() is not None


async def open_of_clinic(session: AsyncSession, clinic_id: int) -> Sequence[Alert]:
    """Return the clinic's alerts that nobody has closed, oldest first."""
    found = await session.exec(
        select(Alert)
        .where(
            Alert.clinic_id == clinic_id,
            Alert.state != AlertState.CLOSED,
            col(Alert.is_drill).is_(False),
        )
        .order_by(col(Alert.opened_at))
    )
    return found.all()


async def latest_drill(session: AsyncSession, clinic_id: int) -> Alert | None:
    """Return the newest test of the clinic's chain."""
    found = await session.exec(
        select(Alert)
        .where(Alert.clinic_id == clinic_id, col(Alert.is_drill).is_(True))
        .order_by(col(Alert.id).desc())
        .limit(1)
    )
    return found.first()


async def open_of_patient(session: AsyncSession, patient_id: int) -> Sequence[Alert]:
    """Return the alerts about a patient that nobody has closed, oldest first."""
    found = await session.exec(
        select(Alert)
        .where(Alert.patient_id == patient_id, Alert.state != AlertState.CLOSED)
        .order_by(col(Alert.opened_at), col(Alert.id))
    )
    return found.all()


async def taken_by(session: AsyncSession, practitioner_id: int) -> Sequence[Alert]:
    """Return the alerts that a practitioner looks after and that nobody has closed."""
    found = await session.exec(
        select(Alert)
        .where(Alert.acked_by == practitioner_id, Alert.state == AlertState.ACKNOWLEDGED)
        .order_by(col(Alert.id))
    )
    return found.all()


async def latest_of_report(session: AsyncSession, report_id: int) -> Alert | None:
    """Return the newest alert that a report has raised, open or closed."""
    found = await session.exec(
        select(Alert).where(Alert.report_id == report_id).order_by(col(Alert.id).desc()).limit(1)
    )
    return found.first()


async def to_resume(session: AsyncSession, patient_id: int) -> Alert | None:
    """Return what was closed and after which nobody has let routine messages come again."""
    found = await session.exec(
        select(Alert)
        .where(
            Alert.patient_id == patient_id,
            Alert.state == AlertState.CLOSED,
            col(Alert.resumed_at).is_(None),
        )
        .order_by(col(Alert.id).desc())
        .limit(1)
    )
    return found.first()


async def resting(session: AsyncSession, patient_ids: Collection[int]) -> Sequence[Alert]:
    """Return the alerts for which messages to these patients may have to rest."""
    found = await session.exec(
        select(Alert).where(
            col(Alert.patient_id).in_(patient_ids),
            col(Alert.is_drill).is_(False),
            or_(
                col(Alert.resumed_at).is_(None),
                and_(col(Alert.level) == Level.TELL_CLINIC, col(Alert.state) == AlertState.OPEN),
                col(Alert.closed_at).is_not(None) & (col(Alert.resumed_at) > Alert.closed_at),
            ),
        )
    )
    return found.all()


def anything_due(now: datetime) -> ColumnElement[bool]:
    """Whether something is to happen now to an alert or to a report that stopped half-way."""
    alert = select(Alert.id).where(col(Alert.due_at) <= now)
    report = select(Report.id).where(col(Report.due_at) <= now)
    return or_(alert.exists(), report.exists())


def next_due(after: datetime) -> Sequence[SelectOfScalar[datetime | None]]:
    """When something next happens by itself to an alert, and to a report, after ``after``."""
    return (
        select(func.min(Alert.due_at)).where(col(Alert.due_at) > after),
        select(func.min(Report.due_at)).where(col(Report.due_at) > after),
    )


async def due(session: AsyncSession, now: datetime, *, since: datetime | None) -> Sequence[int]:
    """Return the alerts to which something is to happen now, of those opened after ``since``."""
    statement = select(Alert.id).where(col(Alert.due_at) <= now)
    if since is not None:
        statement = statement.where(col(Alert.opened_at) >= since)
    found = await session.exec(statement.order_by(col(Alert.due_at), col(Alert.id)))
    return [alert_id or 0 for alert_id in found.all()]


async def locked(session: AsyncSession, alert_id: int) -> Alert:
    """Return an alert that nobody else changes until this transaction ends."""
    found = await session.exec(
        select(Alert)
        .where(Alert.id == alert_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one()


async def waits_for(session: AsyncSession, practitioner_id: int, ref: str) -> bool:
    """Say whether a message of that alert to the practitioner has not left yet."""
    found = await session.exec(
        select(Message.id)
        .where(
            Message.practitioner_id == practitioner_id,
            Message.report == ref,
            col(Message.state).in_([MessageState.QUEUED, MessageState.SENDING]),
        )
        .limit(1)
    )
    return found.first() is not None


def note(
    session: AsyncSession, alert: Alert, act: str, now: datetime, practitioner_id: int | None = None
) -> None:
    """Put on record what happened to an alert, and by whom."""
    session.add(AlertLog(alert_id=alert.id or 0, at=now, act=act, practitioner_id=practitioner_id))


async def log_of(session: AsyncSession, alert_id: int) -> Sequence[AlertLog]:
    """Return what happened to an alert, in order."""
    found = await session.exec(
        select(AlertLog).where(AlertLog.alert_id == alert_id).order_by(col(AlertLog.id))
    )
    return found.all()


async def was_told(session: AsyncSession, alert_id: int, practitioner_id: int) -> bool:
    """Say whether the alert was ever queued to that practitioner."""
    found = await session.exec(
        select(AlertLog.id)
        .where(
            AlertLog.alert_id == alert_id,
            AlertLog.practitioner_id == practitioner_id,
            AlertLog.act == "told",
        )
        .limit(1)
    )
    return found.first() is not None


async def report_by_ref(session: AsyncSession, ref: str) -> Report | None:
    """Return the report with that reference, locked until this transaction ends."""
    found = await session.exec(
        select(Report)
        .where(Report.ref == ref)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.first()


async def open_report(session: AsyncSession, patient_id: int) -> Report | None:
    """Return the patient's report that is not finished, the newest if there are several."""
    found = await session.exec(
        select(Report)
        .where(Report.patient_id == patient_id, col(Report.ended_at).is_(None))
        .order_by(col(Report.id).desc())
        .limit(1)
    )
    return found.first()


async def reported_since(session: AsyncSession, patient_id: int, since: datetime) -> bool:
    """Say whether the patient has reported anything after ``since``; a slip is nothing."""
    found = await session.exec(
        select(Report.id)
        .where(
            Report.patient_id == patient_id,
            col(Report.opened_at) > since,
            or_(col(Report.level).is_not(None), col(Report.ended_at).is_(None)),
        )
        .limit(1)
    )
    return found.first() is not None


async def reports_due(
    session: AsyncSession, now: datetime, *, since: datetime | None
) -> Sequence[str]:
    """Return the references of reports that stopped half-way, of those opened after ``since``."""
    statement = select(Report.ref).where(col(Report.due_at) <= now)
    if since is not None:
        statement = statement.where(col(Report.opened_at) >= since)
    return (await session.exec(statement.order_by(col(Report.due_at), col(Report.id)))).all()
