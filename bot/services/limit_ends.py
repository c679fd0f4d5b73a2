"""What is said when a limit ends by itself, and the question whether kept limits may end.

A limit is told once: by the step that lifts it, else by one notice for all that ended together.
One that is kept on, as the skin is not calm, is never told by the clock: the patient is asked.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import limits
from bot.domain.limits import AtEnd, Look, Said, Say
from bot.domain.protocol import Kind
from bot.domain.states import Lane, PatientState, ReminderState
from bot.domain.times import out_of_quiet
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import enrolling, limit_rows, outbox, situation
from bot.services.apart import alone
from bot.services.deps import Deps, new_ref
from bot.services.errors import StaleButton
from bot.services.situation import CoursePlan, PlannedLimit, Situation
from bot.services.turn import Turn
from bot.storage.database import Priority
from bot.storage.queries import limit_ends
from bot.storage.tables import LimitEnd, Reminder

ANSWERS = ("yes_calm", "not_yet", "ask_clinic")
"""What may be answered when the patient is asked once more whether the skin is calm."""


async def tell(deps: Deps, now: datetime) -> int:
    """Say which limits are over, or ask about those kept on; return how many patients were due."""
    async with deps.database.read() as session:
        due = await limit_ends.due_patients(session, now)
    for patient_id in due:
        async with deps.database.write(Priority.PLAN) as session:
            await alone(session, "tell_limits", partial(_look, session, deps, patient_id, now))
    if due:
        deps.bells.outbox.set()
    return len(due)


async def _look(session: AsyncSession, deps: Deps, patient_id: int, now: datetime) -> int:
    whole = await situation.read(session, patient_id, lock=True)
    rows = [
        row
        for row in await limit_ends.of_patient(session, patient_id)
        if row.look_at is not None and row.look_at <= now
    ]
    if whole.patient.state is not PatientState.ACTIVE or whole.patient.paused_until is not None:
        # Whoever resumes is planned for anew, and looked at then.
        for row in rows:
            row.look_at = None
            session.add(row)
        return 0
    planned, kept, before = whole.planned_limits(), whole.kept(), whole.until_visits(now)
    quiet_ends = out_of_quiet(now, whole.zone, whole.quiet)
    rests = whole.rests(now, courtesy=False)
    over: list[LimitEnd] = []
    asked: dict[int, list[LimitEnd]] = defaultdict(list)
    for row in rows:
        session.add(row)
        limit = planned.get(row.name)
        if limit is None:
            row.look_at = None
        elif row.name in kept:
            if rests:
                row.look_at = _resumes_at(whole)
            else:
                asked[row.message_id or 0].append(row)
        elif row.name in before:
            # On until the visit: nothing is over before that.
            row.look_at = before[row.name]
        else:
            # To somebody whose skin is not calm nothing is said to be over.
            verdict = limits.at_end(
                _at_end(whole, row.name, limit), now, whole.zone, rests=rests or bool(kept)
            )
            match verdict:
                case Look(at=at):
                    row.look_at = at
                case Said(at=at):
                    row.told_at, row.look_at = at, None
                case Say():
                    over.append(row)
    if now < quiet_ends:
        # What ends during the night is one notice in the morning.
        for row in (*over, *(row for each in asked.values() for row in each)):
            row.look_at = quiet_ends
        return 0
    for message_id, some in asked.items():
        await _ask(session, deps, whole, some, message_id, now)
    if over:
        for row in over:
            row.told_at, row.look_at = now, None
        await _say(session, deps, whole, [row.name for row in over], now)
    return len(rows)


def _resumes_at(whole: Situation) -> datetime | None:
    """Return when routine messages come again after a report; nothing while nobody knows.

    Whoever closes the report, or resumes the plan, looks anew.
    """
    ends = [alert.resumed_at for alert in whole.alerts]
    known = [at for at in ends if at is not None]
    return max(known, default=None) if len(known) == len(ends) else None


def _at_end(whole: Situation, name: str, limit: PlannedLimit) -> AtEnd:
    """Return what became of the step that tells the end of a limit, of whichever course it is."""
    said_at: datetime | None = None
    comes_until: datetime | None = None
    given_up_at: datetime | None = None
    for row in (each for plan in limit.of for each in _telling(whole, plan, name)):
        ended_at, until = row.final_at or limit.ends_at, row.expires_at or limit.ends_at
        if row.state is ReminderState.SENT:
            # A check says when hours end, a lift that days are over: not one that came before.
            lifts = Kind.LIFT in whole.step_of(row).kinds
            if ended_at >= (limit.ends_at if lifts else limit.since):
                said_at = ended_at
        elif row.state is ReminderState.PLANNED:
            if row.message_id is not None or row.outlook is None:
                comes_until = until
        else:
            # Who was away finds it long after it was of use.
            gone_at = min(ended_at, until)
            given_up_at = max(given_up_at or gone_at, gone_at)
    return AtEnd(limit.ends_at, said_at, comes_until, given_up_at)


def _telling(whole: Situation, plan: CoursePlan, name: str) -> list[Reminder]:
    """Return the newest round of the step that tells the limit's end after the latest session."""
    step = plan.protocol.told_by(name)
    if step is None or plan.latest is None:
        return []
    rounds = [
        row for row in whole.reminders if row.visit_id == plan.latest.id and row.step == step.id
    ]
    return sorted(rounds, key=lambda row: row.round)[-1:]


def _labels(deps: Deps, whole: Situation, names: Sequence[str]) -> list[str]:
    return [deps.catalogue.label(whole.patient.language, "limits", name) for name in names]


async def _ask(
    session: AsyncSession,
    deps: Deps,
    whole: Situation,
    rows: Sequence[LimitEnd],
    message_id: int,
    now: datetime,
) -> None:
    """Ask once more whether the skin is calm; the answer is one to the step that asked first."""
    ref = new_ref()
    for row in rows:
        row.asked_at, row.look_at = now, None
    await outbox.to_patient(
        session,
        whole.patient,
        limit_rows.AGAIN,
        now,
        values={"kept": _labels(deps, whole, [row.name for row in rows])},
        rows=[[Button(label=key, data=buttons.pack("step", ref, key))] for key in ANSWERS],
        lane=Lane.CARE,
        ref=ref,
        follows_id=message_id or None,
        expires_at=limits.said_until(now, whole.zone),
        unasked=True,
    )


async def _say(
    session: AsyncSession, deps: Deps, whole: Situation, names: Sequence[str], now: datetime
) -> None:
    leaves_at = out_of_quiet(now, whole.zone, whole.quiet)
    await outbox.to_patient(
        session,
        whole.patient,
        limit_rows.OVER,
        now,
        values={"ended": _labels(deps, whole, names)},
        rows=[[Button(label="something_wrong", data=buttons.pack("wrong"))]],
        lane=Lane.CARE,
        expires_at=limits.said_until(leaves_at, whole.zone),
        unasked=True,
    )


async def end_kept(turn: Turn, ref: str) -> None:
    """End the limits that a patient keeps on, as a person of the clinic says so; tell the patient.

    Stale when there are none.
    """
    practitioner = enrolling.lead_or_practitioner(turn)
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0, lock=True)
    kept = whole.kept()
    if not kept:
        raise StaleButton
    over = await limit_rows.let_go(turn.session, whole, kept, turn.now, by=practitioner.id)
    if over and patient.state is PatientState.ACTIVE:
        await _say(turn.session, turn.deps, whole, over, turn.now)
