"""Keeping a patient's reminders in step with the facts: the unsent moves, the sent stays."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import rules, schedule
from bot.domain.facts import Delivered, Planned
from bot.domain.grouping import is_late
from bot.domain.protocol import Anchor, Kind, Step
from bot.domain.states import (
    CourseState,
    PatientState,
    Reason,
    ReminderState,
    VisitState,
)
from bot.services import limit_rows
from bot.services import situation as situations
from bot.services.deps import new_ref
from bot.services.situation import Situation
from bot.storage.queries import falling_due, outbox, plans
from bot.storage.tables import Reminder, Visit


async def replan(session: AsyncSession, patient_id: int, now: datetime) -> Situation:
    """Bring the patient's unsent reminders in line with the facts, in the caller's transaction."""
    await session.flush()
    return await bring_in_line(session, await situations.read(session, patient_id, lock=True), now)


async def bring_in_line(session: AsyncSession, situation: Situation, now: datetime) -> Situation:
    """Do the same where the situation has just been read, and locked; return it as it is then.

    1. Messages that wait in the outbox unsent are taken back.
    2. The planner dates every step that was not delivered.
    3. Rows follow: new, moved, or final with a reason. A final row is never changed.
    4. So do the ends of limits, and what is to be said of them.
    """
    if situation.patient.is_test:
        # A test course is laid out once, by hand; see enrolling.test_course.
        return situation
    await _take_back(session, situation)
    active = situation.patient.state is PatientState.ACTIVE
    facts = situation.planned_facts() if active else []
    planned = schedule.plan(
        facts,
        zone=situation.zone,
        quiet=situation.quiet,
        delivered=_settled(situation),
        now=now,
        behind=_behind(situation, now),
    )
    wanted = {(step.visit, step.step.id): _asked_not_to(situation, step) for step in planned}
    unfinished: set[tuple[str, str]] = set()
    for row in situation.reminders:
        key = (situation.visit(row.visit_id).ref, row.step)
        if row.state is not ReminderState.PLANNED or row.message_id is not None:
            continue
        unfinished.add(key)
        step = wanted.get(key)
        if step is None or (step.due_at is None and step.reason is None):
            _finish(row, _why_unwanted(situation, row), now)
        elif step.due_at is None and step.reason is not None:
            _finish(row, step.reason, now)
        else:
            # Dated anew after a move, it is of the new round: it does not come twice for one date.
            row.round = max(row.round, situation.visit(row.visit_id).round)
            _follow(row, step, now)
        session.add(row)
    # A round is closed before the next one opens: the database allows one unfinished row a step.
    await session.flush()
    visits = {visit.ref: visit for visit in situation.visits}
    rounds = _rounds(situation)
    for key, step in wanted.items():
        visit = visits[step.visit]
        if key in unfinished or not _opens(situation, visit, step):
            continue
        row = _new_row(situation, visit, step, rounds[key], now)
        _follow(row, step, now)
        session.add(row)
    await session.flush()
    await limit_rows.follow_plan(session, situation, now)
    return replace(situation, reminders=await plans.reminders(session, [situation.patient.id or 0]))


def _behind(situation: Situation, now: datetime) -> set[tuple[str, str]]:
    """Return visit and step of what was to go a while ago and is still here, or was late before."""
    return {
        (situation.visit(row.visit_id).ref, row.step)
        for row in situation.reminders
        if row.state is ReminderState.PLANNED
        and row.message_id is None
        and (is_late(row.group_key) or (row.due_at and row.due_at <= now - schedule.LATE))
    }


def _asked_not_to(situation: Situation, step: Planned) -> Planned:
    """Return the step as it is, or as declined when it asks to book and the patient said no."""
    declined = not situation.patient.booking_requests and Kind.BOOK in step.step.kinds
    return replace(step, reason=step.reason or Reason.DECLINED) if declined else step


async def _take_back(session: AsyncSession, situation: Situation) -> None:
    """Take back what waits in the outbox and was never tried.

    What may have arrived once stays as it is: its buttons are on a phone, its repeat is marked.
    """
    carried = {row.message_id for row in situation.reminders if row.state is ReminderState.PLANNED}
    waiting = await outbox.queued_for_patient(session, situation.patient.id or 0)
    dropped: set[int | None] = set()
    for message in waiting:
        untried = message.id in carried and message.maybe_copies == 0
        if untried and await outbox.drop_queued(session, message.id or 0, Reason.REPLACED):
            dropped.add(message.id)
    for message in waiting:
        # A second bubble goes only with its first: one that is in the air keeps its warning card.
        if message.follows_id in dropped:
            await outbox.drop_queued(session, message.id or 0, Reason.REPLACED)
    for row in situation.reminders:
        if row.message_id in dropped and row.state is ReminderState.PLANNED:
            row.message_id = None
            session.add(row)
    await session.flush()


async def catch_up(session: AsyncSession, message_ids: Collection[int], now: datetime) -> None:
    """Plan anew where a message that was in the air during a change of its date has landed."""
    for patient_id in await falling_due.patients_left_behind(session, message_ids):
        await replan(session, patient_id, now)


async def new_round(session: AsyncSession, visit: Visit) -> None:
    """Begin a new round of the visit's steps: delivered ones may then come again."""
    rounds = [
        row.round
        for row in await plans.reminders(session, [visit.patient_id])
        if row.visit_id == visit.id
    ]
    visit.round = max(rounds, default=0) + 1
    session.add(visit)


def _settled(situation: Situation) -> list[Delivered]:
    """Return the steps that the planner leaves alone, and what else counts under the caps."""
    settled: list[Delivered] = []
    sessions = {visit.id: visit.ref for visit in situation.visits}
    newest = _rounds(situation)
    for row in situation.reminders:
        visit = situation.visit(row.visit_id)
        handed_over = row.state is ReminderState.PLANNED and row.message_id is not None
        may_come_again = not handed_over and (
            row.state is ReminderState.PLANNED
            or rules.reopens(
                row.state,
                row.reason,
                moved=_moved(situation, visit, row),
                holds_again=True,
            )
        )
        at = row.final_at or row.due_at
        reached = handed_over or row.state is ReminderState.SENT
        # After a move was taken back, what was delivered for the first date holds again.
        current = row.round == newest[visit.ref, row.step] or (reached and row.round == visit.round)
        past = may_come_again or not current
        if at is None or (past and not reached):
            continue
        settled.append(
            Delivered(
                # A round that is over keeps no step from coming again, but what reached the
                # patient counts under the caps.
                visit=f"{visit.ref} {row.round}" if past else visit.ref,
                step=row.step,
                session=sessions[row.session_id],
                day=schedule.local_date(at, situation.zone),
                unasked=not row.asked and reached,
                group=None if row.message_id is None else str(row.message_id),
            )
        )
    return settled


def outdated(situation: Situation, row: Reminder) -> bool:
    """Say whether a row was dated for a time that its visit no longer has."""
    return _moved(situation, situation.visit(row.visit_id), row)


def _moved(situation: Situation, visit: Visit, row: Reminder) -> bool:
    if row.round >= visit.round:
        return False
    if visit.state is VisitState.PLANNED:
        return True
    # A corrected session time brings one corrected card; the other delivered steps stay final.
    step = situation.plan_of(row.visit_id).protocol.step(row.step)
    return Kind.CARD in step.kinds


def _rounds(situation: Situation) -> dict[tuple[str, str], int]:
    rounds: dict[tuple[str, str], int] = defaultdict(int)
    refs = {visit.id: visit.ref for visit in situation.visits}
    for row in situation.reminders:
        key = (refs[row.visit_id], row.step)
        rounds[key] = max(rounds[key], row.round)
    return rounds


def _opens(situation: Situation, visit: Visit, step: Planned) -> bool:
    """Say whether a step without an unfinished row gets one: its first, or a new round."""
    if step.nominal_at is None:
        return False
    rows = [r for r in situation.reminders if r.visit_id == visit.id and r.step == step.step.id]
    if not rows:
        return True
    if step.final or step.due_at is None:
        return False
    newest = max(rows, key=lambda row: row.round)
    if newest.state is ReminderState.PLANNED:
        return False
    return rules.reopens(
        newest.state,
        newest.reason,
        moved=_moved(situation, visit, newest),
        holds_again=step.reason is None,
    )


def _new_row(
    situation: Situation, visit: Visit, step: Planned, last_round: int, now: datetime
) -> Reminder:
    plan = situation.plan_of(visit.id or 0)
    counts_to = (
        plan.latest if visit.state is VisitState.PLANNED and plan.latest is not None else visit
    )
    return Reminder(
        ref=new_ref(),
        clinic_id=visit.clinic_id,
        patient_id=visit.patient_id,
        visit_id=visit.id or 0,
        session_id=counts_to.id or 0,
        step=step.step.id,
        round=max(last_round + 1, visit.round),
        safety=step.step.safety,
        created_at=now,
    )


def _follow(row: Reminder, step: Planned, now: datetime) -> None:
    row.due_at = step.group_due_at or step.due_at or step.nominal_at
    row.expires_at = step.group_expires_at or step.expires_at
    row.group_key = step.group
    row.outlook = step.reason
    row.asked = step.asked
    if step.final and step.reason is not None:
        _finish(row, step.reason, now)


def _finish(row: Reminder, reason: Reason, now: datetime) -> None:
    row.state, row.reason = rules.ending(reason, maybe_sent=row.maybe_sent)
    row.final_at = now


_NOT_ACTIVE = {
    PatientState.STOPPED: Reason.STOPPED,
    PatientState.UNREACHABLE: Reason.BLOCKED,
    PatientState.ERASED: Reason.ERASED,
}


def _why_unwanted(situation: Situation, row: Reminder) -> Reason:
    """Return why a step that was planned is no longer wanted."""
    patient = situation.patient
    if patient.state is not PatientState.ACTIVE:
        return _NOT_ACTIVE.get(patient.state, Reason.NOT_ACTIVE)
    visit = situation.visit(row.visit_id)
    plan = situation.plan_of(row.visit_id)
    if plan.course.state is CourseState.STOPPED:
        return Reason.COURSE_STOPPED
    if visit.state is VisitState.CANCELLED:
        return Reason.VISIT_CANCELLED
    if visit in plan.earlier:
        return Reason.NEW_SESSION
    if row.step in _visit_steps(plan.protocol.steps):
        done = visit.state is VisitState.DONE
        return Reason.VISIT_DONE if done else Reason.VISIT_MOVED
    return Reason.CORRECTED


def _visit_steps(steps: tuple[Step, ...]) -> set[str]:
    return {step.id for step in steps if step.when.anchor is Anchor.NV}
