"""Clinics to measure with: made once, filled in bulk, copied for every run."""

import shutil
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import SecretStr
from pydantic_settings import SettingsConfigDict
from sqlalchemy import update
from sqlmodel import col, func, insert, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot import founding, parts, rehearsal
from bot.clock import SystemClock
from bot.demo.telegram import FIRST_PERSON, LOCAL_BOT
from bot.domain import schedule
from bot.domain.facts import Planned, VisitFacts
from bot.domain.protocol import Kind, Protocol
from bot.domain.states import PatientState, ReminderState, VisitState
from bot.domain.times import QuietHours
from bot.outgoing.sender import Outgoing
from bot.services import compose, dispatch, situation
from bot.services.deps import Deps, new_ref
from bot.settings import Settings
from bot.storage.database import Priority
from bot.storage.queries import falling_due, people, versions
from bot.storage.tables import Course, Message, Patient, Practitioner, Reminder, Visit

PROTOCOL = "mesotherapy-face"
# Far from the people whom the simulator knows: those who only wait are never written to.
FIRST_WAITING = FIRST_PERSON + 1_000_000
# So high that the bot's own pace (28 messages a second for Telegram's sake) is not what we measure.
NO_PACE = 1e6
_DAY = timedelta(days=1)


class _OwnSettings(Settings):
    """Settings that no ``.env`` of the operator reaches."""

    model_config = SettingsConfigDict(env_file=None, extra="ignore")


def settings(folder: Path, base_url: str = "http://127.0.0.1") -> Settings:
    """Return settings of a bot that keeps its data in ``folder`` and knows no pace."""
    return _OwnSettings(
        telegram_bot_token=SecretStr(LOCAL_BOT),
        telegram_api_url=base_url,
        database_url="",
        data_dir=folder,
        messages_dir=None,
        key_file=None,
        webhook_url="",
        log_level="WARNING",
        send_rate=NO_PACE,
    )


def midday_zone(now: datetime) -> str:
    """Return a zone in which it is between twelve and one, so that no quiet hours hold us up."""
    # The signs of these names are the wrong way round: Etc/GMT-3 is three hours ahead.
    return f"Etc/GMT{now.hour - 12:+d}"


def yesterday(now: datetime) -> datetime:
    """Return a session's time whose day-1 check has fallen due hours ago."""
    return now - _DAY


def just_now(now: datetime) -> datetime:
    """Return a session's time of whose steps the card alone has been due."""
    return now - timedelta(minutes=30)


async def make(folder: Path, base_url: str) -> None:
    """Create a clinic with its database, where it is midday now, and one practitioner."""
    clock = SystemClock()
    options = settings(folder, base_url)
    zone = midday_zone(clock.now())
    await founding.init(options, rehearsal.demo_clinic(timezone=zone), clock)
    deps = parts.open_deps(options, clock)
    try:
        async with deps.database.write() as session:
            clinic = await people.the_clinic(session)
            assert clinic is not None
            row = Practitioner(ref=new_ref(), clinic_id=clinic.id or 0, created_at=clock.now())
            row.sealed = deps.database.vault.seal(
                {"name": "Nour"}, table="practitioner", ref=row.ref
            )
            session.add(row)
    finally:
        await deps.database.close()


def copy(base: Path, folder: Path) -> Path:
    """Copy a clinic, so that what is done to the copy leaves the original as it is."""
    return Path(shutil.copytree(base, folder))


async def fill(
    folder: Path, count: int, done_at: datetime, first_chat: int, *, on_time: bool = False
) -> int:
    """Add active patients with one session each and its whole plan; return how many steps wait.

    With ``on_time`` what is due has fallen due this moment; else it waits since its hour, as
    after an outage.
    """
    deps = parts.open_deps(settings(folder), SystemClock())
    try:
        async with deps.database.write() as session:
            planned = await _fill(session, deps, count, done_at, first_chat)
            if on_time:
                now = deps.clock.now()
                await session.exec(
                    update(Reminder)
                    .where(
                        col(Reminder.state) == ReminderState.PLANNED, col(Reminder.due_at) <= now
                    )
                    .values(due_at=now)
                )
    finally:
        await deps.database.close()
    return planned


async def _fill(
    session: AsyncSession, deps: Deps, count: int, done_at: datetime, first_chat: int
) -> int:
    clinic = await people.the_clinic(session)
    practitioner = (await session.exec(select(Practitioner))).one()
    approved = await versions.approved_protocols(session, 1)
    version = next(row for row in approved if row.name == PROTOCOL)
    newest = (await session.exec(select(func.max(col(Patient.id))))).one() or 0
    assert clinic is not None
    zone = ZoneInfo(clinic.timezone)
    steps = [
        step
        for step in plan(facts(deps.catalogue.protocols[PROTOCOL], done_at, zone), zone)
        if step.nominal_at is not None
    ]
    clinic_id = clinic.id or 0
    patient = Patient(
        ref="",
        clinic_id=clinic_id,
        created_at=done_at,
        practitioner_id=practitioner.id or 0,
        state=PatientState.ACTIVE,
        timezone=clinic.timezone,
        opened_at=done_at,
        consented_at=done_at,
        confirmed_at=done_at,
        joined_at=done_at,
    ).model_dump()
    course = Course(
        ref="",
        clinic_id=clinic_id,
        created_at=done_at,
        patient_id=0,
        protocol_version_id=version.id or 0,
    ).model_dump()
    visit = Visit(
        ref="",
        clinic_id=clinic_id,
        created_at=done_at,
        patient_id=0,
        course_id=0,
        state=VisitState.DONE,
        done_at=done_at,
        done_date=done_at.astimezone(zone).date(),
        recorded_at=done_at,
    ).model_dump()
    reminders = [_reminder(step, done_at, clinic_id) for step in steps]
    rows: dict[type[Patient | Course | Visit | Reminder], list[dict[str, Any]]]
    rows = {Patient: [], Course: [], Visit: [], Reminder: []}
    for at in range(count):
        number, ref = newest + 1 + at, new_ref()
        of = {"patient_id": number}
        name = deps.database.vault.seal({"name": "Ana"}, table="patient", ref=ref)
        rows[Patient].append(
            patient | {"id": number, "ref": ref, "telegram_id": first_chat + at, "sealed": name}
        )
        rows[Course].append(course | of | {"id": number, "ref": new_ref()})
        rows[Visit].append(visit | of | {"id": number, "ref": new_ref(), "course_id": number})
        rows[Reminder] += [
            each | of | {"ref": new_ref(), "visit_id": number, "session_id": number}
            for each in reminders
        ]
    for table, each in rows.items():
        await session.exec(insert(table), params=each)
    return count * sum(row["state"] is ReminderState.PLANNED for row in reminders)


def _reminder(step: Planned, done_at: datetime, clinic_id: int) -> dict[str, Any]:
    row = Reminder(
        ref="",
        clinic_id=clinic_id,
        created_at=done_at,
        patient_id=0,
        visit_id=0,
        session_id=0,
        step=step.step.id,
        due_at=step.group_due_at or step.due_at,
        expires_at=step.group_expires_at or step.expires_at,
        group_key=step.group,
        outlook=step.reason,
        safety=step.step.safety,
        asked=step.asked,
    )
    if Kind.CARD in step.step.kinds:
        row.state, row.final_at = ReminderState.SENT, done_at
    return row.model_dump(exclude={"id"})


def facts(protocol: Protocol, done_at: datetime, zone: ZoneInfo) -> VisitFacts:
    """Return what the planner knows of a patient who joined during the session."""
    return VisitFacts(
        visit="v1",
        protocol=protocol,
        done_at=done_at,
        done_date=done_at.astimezone(zone).date(),
        planned_at=None,
        planned_date=None,
        target_date=None,
        next_visit_at=None,
        next_visit_date=None,
        previous_done_date=None,
        later_session=False,
        confirmed=False,
        session="v1",
        since=done_at,
    )


def plan(visit: VisitFacts, zone: ZoneInfo) -> Sequence[Planned]:
    """Return the plan of one visit as it was made when the patient joined."""
    return schedule.plan([visit], zone=zone, quiet=QuietHours(), delivered=[], now=visit.since)


async def sample(folder: Path) -> Outgoing:
    """Return the first due reminder as it is handed to Telegram; the database stays as it is."""
    deps = parts.open_deps(settings(folder), SystemClock())
    now = deps.clock.now()
    try:
        async with deps.database.write(Priority.PLAN) as session:
            patient_id = (await falling_due.patients_with_due_reminders(session, now))[0]
            await dispatch.dispatch(session, [patient_id], now)
            message = (await session.exec(select(Message))).one()
            whole = await situation.read(session, patient_id)
            composed = await compose.compose(session, deps, message, whole, now)
            await session.rollback()
    finally:
        await deps.database.close()
    return composed.outgoing
