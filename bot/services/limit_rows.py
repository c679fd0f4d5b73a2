"""The ends of a patient's limits on record: in step with the plan, kept on, let go."""

from collections.abc import Collection
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.limits import kept_until
from bot.domain.rules import Drop, Go, Verdict, Wait
from bot.domain.states import PatientState, Reason
from bot.domain.times import out_of_quiet
from bot.services import words
from bot.services.situation import PlannedLimit, Situation
from bot.storage.queries import limit_ends
from bot.storage.tables import LimitEnd, Message, Reminder

OVER, AGAIN = "patient/limits_over", "patient/calm_again"
"""The notice that limits have ended, and the question whether those kept on may end."""


async def follow_plan(session: AsyncSession, whole: Situation, now: datetime) -> None:
    """Bring the rows in line with the plan; nothing is to come for who is not in care.

    A limit that is over before anybody has spoken of it gets no row: nothing is said of it.
    """
    patient = whole.patient
    if patient.is_test:
        return
    planned = whole.planned_limits() if patient.state is PatientState.ACTIVE else {}
    rows = await _rows(session, whole)
    for name, limit in planned.items():
        row = rows.pop(name, None)
        if row is None:
            if limit.ends_at <= now:
                continue
            row = _new(whole, name, limit)
        row.ends_at = limit.ends_at
        row.look_at = _look_at(whole, row, limit)
        session.add(row)
    for row in rows.values():
        row.look_at = None
        session.add(row)
    await session.flush()


async def _rows(session: AsyncSession, whole: Situation) -> dict[str, LimitEnd]:
    return {row.name: row for row in await limit_ends.of_patient(session, whole.patient.id or 0)}


def _new(whole: Situation, name: str, limit: PlannedLimit) -> LimitEnd:
    patient = whole.patient
    return LimitEnd(
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        name=name,
        ends_at=limit.ends_at,
    )


def _look_at(whole: Situation, row: LimitEnd, limit: PlannedLimit) -> datetime | None:
    """Return when something is to follow for a limit, as far as the plan tells."""
    if row.kept_at is not None and row.kept_at >= limit.since:
        # Asked once for each time that it was said.
        first = kept_until(row.kept_at, limit.ends_at, row.kept_at, whole.zone)
        return first if row.asked_at is None else None
    resumed_at = whole.patient.resumed_at
    told = row.told_at is not None and row.told_at >= limit.since
    # What ended while the reminders were stopped is not told afterwards.
    stopped = resumed_at is not None and limit.ends_at <= resumed_at
    return None if told or stopped else limit.ends_at


def lifted(whole: Situation, row: Reminder) -> list[str]:
    """Return the limits that the message of that reminder lifts, by the plan alone."""
    ends = {limit: each.ends_at for limit, each in whole.planned_limits().items()}
    names = {
        limit
        for each in whole.reminders_of(row.message_id) or [row]
        for limit in words.lifted_by(whole, each, ends)
    }
    return [limit for limit in ends if limit in names]


async def keep_on(
    session: AsyncSession, whole: Situation, row: Reminder, now: datetime
) -> datetime | None:
    """Keep on what the message of that reminder lifts; return when the patient is asked again.

    Nobody is asked whose reminders rest, and where it lifts nothing (any more), as after a newer
    session.
    """
    if whole.patient.is_test:
        return None
    planned, rows = whole.planned_limits(), await _rows(session, whole)
    again: list[datetime] = []
    for name in lifted(whole, row):
        kept = rows.get(name) or _new(whole, name, planned[name])
        kept.kept_at, kept.message_id = now, row.message_id
        kept.asked_at = kept.ended_by = None
        kept.look_at = _look_at(whole, kept, planned[name])
        again += [kept.look_at] if kept.look_at is not None else []
        session.add(kept)
    await session.flush()
    asks = whole.patient.state is PatientState.ACTIVE and whole.patient.paused_until is None
    return out_of_quiet(min(again), whole.zone, whole.quiet) if asks and again else None


async def let_go(
    session: AsyncSession,
    whole: Situation,
    names: Collection[str],
    now: datetime,
    *,
    by: int | None = None,
) -> list[str]:
    """End what was kept on of these limits; return those that are over, which count as told.

    What a message before a visit has asked for is on until then, whoever says that the skin is
    calm. ``by`` is the person of the clinic who says so; else it is the patient's own word.
    """
    over: list[str] = []
    planned, kept, before = whole.planned_limits(), whole.kept(), whole.until_visits(now)
    for name, row in kept.items():
        if name not in names:
            continue
        row.kept_at, row.ended_by = None, by
        if name in before:
            row.look_at = before[name]
        elif planned[name].ends_at <= now:
            row.told_at, row.look_at = now, None
            over.append(name)
        else:
            row.look_at = planned[name].ends_at
        session.add(row)
    await session.flush()
    return over


async def may_say(session: AsyncSession, row: Message, whole: Situation, now: datetime) -> Verdict:
    """Return whether a notice or a question on limits that waited may still leave.

    It is not to follow a report of danger, a pause, another "Not yet" or a message before a visit
    that came meanwhile. A notice waits until a report is closed, as nothing else says what a person
    of the clinic ended. What is dropped counts as never said, and is looked at anew.
    """
    kept, before = whole.kept(), whole.until_visits(now)
    paused = whole.patient.paused_until is not None
    if row.template == AGAIN:
        asked = [each for each in kept.values() if each.asked_at == row.queued_at]
        if asked and not paused and not whole.rests(now, courtesy=False):
            return Go()
        for each in asked:
            each.asked_at, each.look_at = None, now
            session.add(each)
    else:
        rows = (await _rows(session, whole)).values()
        said = [each for each in rows if each.told_at == row.queued_at]
        if not kept and not any(each.name in before for each in said):
            return Wait() if paused or whole.reported else Go()
        for each in said:
            each.told_at = None
            each.look_at = each.look_at if each.name in kept else now
            session.add(each)
    await session.flush()
    return Drop(Reason.REPLACED)
