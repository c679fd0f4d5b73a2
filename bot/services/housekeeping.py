"""Small things that only time brings about."""

from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import VisitState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import joining, outbox, team, words
from bot.services.apart import alone
from bot.services.deps import Deps, new_ref
from bot.services.planning import replan
from bot.services.turn import Turn
from bot.storage.database import Priority
from bot.storage.queries import people, plans
from bot.storage.tables import Patient, Visit

# Nobody goes without a care card because a question about the clock was left open.
ZONE_WAIT = timedelta(minutes=10)


# A visit that nobody recorded is asked about the day after, and no longer counts as booked.
UNRECORDED = timedelta(hours=24)


def visit_waits(now: datetime) -> ColumnElement[bool]:
    """Whether a booked visit was not recorded for a day."""
    return plans.any_visit_overdue(now - UNRECORDED)


async def mark_missed(deps: Deps, now: datetime) -> int:
    """Take booked visits that nobody recorded for a day as missed, and ask the practitioner.

    Booking and late checks then come back. Returns how many there were.
    """
    async with deps.database.write(Priority.PLAN) as session:
        missed = 0
        for visit in await plans.overdue_visits(session, now - UNRECORDED):
            missed += await alone(session, "mark_missed", partial(_miss, session, visit, now))
    deps.bells.outbox.set()
    return missed


async def _miss(session: AsyncSession, visit: Visit, now: datetime) -> int:
    patient = await people.patient(session, visit.patient_id)
    clinic = await people.clinic(session, visit.clinic_id)
    visit.state = VisitState.MISSED
    session.add(visit)
    await replan(session, visit.patient_id, now)
    at = visit.planned_at or now
    course = await plans.course(session, visit.course_id)
    done_at = buttons.pack("sessionat", patient.ref, course.ref)
    # One that a send finds not to be reached hands the question on: see team.not_told.
    report = new_ref()
    for practitioner in await team.responders(session, patient):
        await outbox.to_practitioner(
            session,
            practitioner,
            "practitioner/visit_unrecorded",
            now,
            language=clinic.language,
            values={
                "patient": words.name_of(session, patient),
                "visit_at": dates.moment(at, ZoneInfo(clinic.timezone), clinic.language, now),
            },
            rows=[
                [Button(label="session_done_at", data=done_at)],
                [Button(label="open_card", data=buttons.pack("card", patient.ref))],
            ],
            patient=patient,
            report=report,
        )
    return 1


def zone_waits(now: datetime) -> ColumnElement[bool]:
    """Whether anybody agreed and was confirmed but did not tell a time zone."""
    return people.anybody_without_zone(now - ZONE_WAIT)


async def join_without_zone(deps: Deps, now: datetime) -> int:
    """Begin the plans of those who agreed and were confirmed but did not tell their time zone.

    They get the clinic's zone, which is where they just were. Returns how many began.
    """
    began = 0
    async with deps.database.write(Priority.PLAN) as session:
        for patient in await people.waiting_for_zone(session, now - ZONE_WAIT):
            work = partial(_join, session, deps, patient, now)
            began += await alone(session, "join_without_zone", work)
    deps.bells.outbox.set()
    return began


async def _join(session: AsyncSession, deps: Deps, patient: Patient, now: datetime) -> int:
    clinic = await people.clinic(session, patient.clinic_id)
    turn = Turn.by_the_clock(session, deps, clinic, patient, now)
    patient.timezone = clinic.timezone
    session.add(patient)
    return int(await joining.join_if_ready(turn, patient))
