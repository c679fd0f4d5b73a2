"""A safety check without an answer: asked once more, then somebody phones; never read as fine."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.protocol import Step
from bot.domain.states import CourseState, Lane, PatientState
from bot.domain.times import out_of_quiet
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import enrolling, outbox, reports, situation
from bot.services.apart import alone
from bot.services.deps import Deps
from bot.services.errors import StaleButton
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.database import Priority
from bot.storage.queries import alerts, unanswered
from bot.storage.queries import outbox as messages
from bot.storage.tables import Reminder

# Silent patients stay on the list this long.
LOOK_BACK = timedelta(days=14)


async def look(deps: Deps, now: datetime) -> int:
    """Ask once more, or list, whoever has not answered in time; return how many were looked at."""
    async with deps.database.read() as session:
        due = await unanswered.due(session, now)
    for reminder_id in due:
        async with deps.database.write(Priority.PLAN) as session:
            await alone(
                session, "look_for_answers", partial(_look, session, deps, reminder_id, now)
            )
    if due:
        deps.bells.outbox.set()
    return len(due)


async def _look(session: AsyncSession, deps: Deps, reminder_id: int, now: datetime) -> int:
    row = await session.get_one(Reminder, reminder_id, populate_existing=True)
    whole = await situation.read(session, row.patient_id, lock=True)
    row = next(each for each in whole.reminders if each.id == reminder_id)
    if row.look_at is None or row.look_at > now:
        # Another of the same message was looked at just before.
        return 0
    session.add(row)
    sent_at, message_id = row.final_at or now, row.message_id or 0
    heard = await unanswered.answered(session, message_id)
    if (
        heard
        or whole.patient.is_test
        or await alerts.reported_since(session, row.patient_id, sent_at)
    ):
        row.look_at = None
        return 0
    step = whole.step_of(row)
    # A message may ask for several treatments at once: it is one question, asked again once.
    asked = [each for each in whole.reminders_of(row.message_id) if each.safety]
    waits_until = (row.nudged_at or sent_at) + step.nudge_after
    again_at = out_of_quiet(now, whole.zone, whole.quiet)
    if now < waits_until:
        _set(session, asked, look_at=waits_until)
    elif row.nudged_at is None and _reachable(whole, row) and _of_use(row, again_at):
        if now < again_at:
            _set(session, asked, look_at=again_at)
        else:
            await _nudge(session, whole, row, step, now)
            _set(session, asked, nudged_at=now, look_at=now + step.nudge_after)
    else:
        _set(session, asked, unanswered_at=now, look_at=None)
        if _same_day(whole, row, now):
            turn = Turn.by_the_clock(session, deps, whole.clinic, whole.patient, now)
            await reports.tell_practitioner(
                turn,
                whole.patient,
                "practitioner/no_answer",
                {"asked_twice": row.nudged_at is not None},
                _phoned(whole.patient.ref),
            )
    return 1


def _set(session: AsyncSession, rows: Sequence[Reminder], **values: datetime | None) -> None:
    for row in rows:
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


def _of_use(row: Reminder, at: datetime) -> bool:
    """Say whether the question still makes sense then; the next check may be about to come."""
    return row.expires_at is None or at < row.expires_at


def _reachable(whole: Situation, row: Reminder) -> bool:
    course = whole.plan_of(row.visit_id).course
    return whole.patient.state is PatientState.ACTIVE and course.state is CourseState.ACTIVE


async def _nudge(
    session: AsyncSession, whole: Situation, row: Reminder, step: Step, now: datetime
) -> None:
    first = await messages.message(session, row.message_id or 0)
    if first is None:
        return
    await outbox.to_patient(
        session,
        whole.patient,
        "patient/nudge",
        now,
        rows=[
            [Button(label=key, data=buttons.pack("step", first.ref, key))] for key in step.buttons
        ],
        also=[step.template],
        lane=Lane.CARE,
        visit_id=row.visit_id,
        follows_id=first.id,
        expires_at=now + step.nudge_after,
    )


def _same_day(whole: Situation, row: Reminder, now: datetime) -> bool:
    """Say whether somebody phones today: in critical days, and after a first session."""
    plan = whole.plan_of(row.visit_id)
    done = whole.visit(row.visit_id).done_date
    day = (now.astimezone(whole.zone).date() - done).days if done else 0
    first_time = len(whole.courses) == 1 and not plan.earlier
    return first_time or day <= plan.protocol.triage.critical_until


def _phoned(ref: str) -> list[list[Button]]:
    return [[Button(label="i_phoned", data=buttons.pack("phoned", ref))]]


async def phoned(turn: Turn, ref: str) -> None:
    """Take a patient off the list of those who gave no answer: somebody has spoken to them."""
    patient = await enrolling.own_patient(turn, ref)
    if not await unanswered.tick_off(turn.session, patient.id or 0, turn.now):
        raise StaleButton
    turn.toast = "done"
