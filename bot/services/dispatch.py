"""From due reminders to messages: judged, merged per patient, handed to the outbox."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import grouping, rules, schedule
from bot.domain.protocol import Kind, Step
from bot.domain.rules import Drop, Go, Standing, Wait
from bot.domain.states import (
    CourseState,
    Lane,
    MessageState,
    PatientState,
    Reason,
    ReminderState,
)
from bot.domain.times import QuietHours, is_quiet, out_of_quiet
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import later, limit_rows, outbox, planning, situation, team
from bot.services.apart import alone
from bot.services.deps import Deps, new_ref
from bot.services.planning import bring_in_line, replan
from bot.services.situation import Situation
from bot.storage.database import Priority
from bot.storage.queries import alerts, falling_due, people
from bot.storage.queries import outbox as queries
from bot.storage.tables import Message, Patient, Reminder

log = logging.getLogger(__name__)

BATCH = 20
_JOB = "dispatch_due"
_ALERT, _AGAIN = "alerts/report", "alerts/again"
_LOOK_AGAIN = timedelta(seconds=60)
_COURTESY = frozenset({Kind.PHOTO, Kind.BOOK, Kind.MAINT})
_BOOKING = frozenset({Kind.BOOK})


def waits(now: datetime) -> ColumnElement[bool]:
    """Whether a reminder is due or over, a pause has ended, or late messages have piled up."""
    return falling_due.anything_to_do(now, now - schedule.LATE)


async def dispatch_due(deps: Deps, now: datetime) -> int:
    """Expire what is too late and queue what is due; return how many messages were queued."""
    async with deps.database.write(Priority.PLAN) as session:
        for patient in await people.pause_ended(session, now):
            await alone(session, _JOB, partial(_end_pause, session, patient, now))
        await falling_due.expire_reminders(session, now)
        due = await falling_due.patients_with_due_reminders(session, now)
        # Their messages waited for Telegram, and would come one after the other.
        piled = await falling_due.patients_piled_up(session, now - schedule.LATE)
        due += [patient_id for patient_id in piled if patient_id not in set(due)]
    queued = 0
    for start in range(0, len(due), BATCH):
        queued += await _dispatch_batch(deps, due[start : start + BATCH], now)
        deps.bells.outbox.set()
    return queued


async def _dispatch_batch(deps: Deps, patient_ids: Sequence[int], now: datetime) -> int:
    """Dispatch for these patients in one transaction, or each alone when one of them fails."""
    try:
        async with deps.database.write(Priority.PLAN) as session:
            return await dispatch(session, patient_ids, now)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.info("patients are judged one by one", extra={"action": "dispatch_alone"})
    queued = 0
    async with deps.database.write(Priority.PLAN) as session:
        for patient_id in patient_ids:
            queued += await alone(session, _JOB, partial(dispatch, session, [patient_id], now))
    return queued


async def _end_pause(session: AsyncSession, patient: Patient, now: datetime) -> int:
    patient.paused_until = None
    session.add(patient)
    await replan(session, patient.id or 0, now)
    return 0


async def dispatch(session: AsyncSession, patient_ids: Sequence[int], now: datetime) -> int:
    """Queue what is due for these patients, in their order; return how many messages that made.

    After an outage a plan is made anew first: what is late goes as one message, the most important
    first, under the caps and outside quiet hours.
    """
    situations = await situation.read_all(session, patient_ids, lock=True)
    going: list[_Group] = []
    for patient_id in patient_ids:
        whole = situations[patient_id]
        if _is_behind(whole, now):
            whole = await bring_in_line(session, whole, now)
        groups: dict[str, list[Reminder]] = defaultdict(list)
        for row in _due(whole, now):
            verdict = judge(whole, row, now)
            if isinstance(verdict, Drop):
                row.state, row.reason = rules.ending(verdict.reason, maybe_sent=row.maybe_sent)
                row.final_at = now
                session.add(row)
            elif isinstance(verdict, Go):
                groups[row.group_key or row.ref].append(row)
        going += [_Group(whole, tuple(in_order(whole, rows))) for rows in groups.values()]
    await _queue(session, going, now)
    return len(going)


def _due(whole: Situation, now: datetime) -> list[Reminder]:
    """Return the patient's reminders that are due, not handed over and still of use."""
    return [
        row
        for row in whole.reminders
        if row.state is ReminderState.PLANNED
        and row.message_id is None
        and row.due_at is not None
        and row.expires_at is not None
        and row.due_at <= now < row.expires_at
    ]


def _is_behind(whole: Situation, now: datetime) -> bool:
    """Say whether something is late that nobody was there to send, or late messages pile up."""
    late = now - schedule.LATE
    if any(row.due_at is not None and row.due_at <= late for row in _due(whole, now)):
        return True
    return len(_late_messages(whole, now)) > 1


def _late_messages(whole: Situation, now: datetime) -> set[int | None]:
    late = now - schedule.LATE
    return {
        row.message_id
        for row in whole.reminders
        if row.state is ReminderState.PLANNED
        and row.message_id is not None
        and row.due_at is not None
        and row.due_at <= late
    }


def _catches_up(whole: Situation, row: Message, now: datetime) -> bool:
    """Say whether a late message waits for one look, so that what else is late goes with it."""
    late = now - schedule.LATE
    if whole.patient.is_test or row.maybe_copies or row.lease_until or row.due_at > late:
        return False
    return len(_late_messages(whole, now)) > 1 or any(
        each.due_at is not None and each.due_at <= late and isinstance(judge(whole, each, now), Go)
        for each in _due(whole, now)
    )


def in_order(whole: Situation, rows: Sequence[Reminder]) -> list[Reminder]:
    """Return the reminders of one message, the most important first.

    Of two alike the one leads whose treatment is watched longer: it names more signs of danger.
    """
    return sorted(
        rows,
        key=lambda row: (
            grouping.importance(whole.step_of(row)),
            -whole.plan_of(row.visit_id).protocol.watched_for,
        ),
    )


def judge(whole: Situation, row: Reminder, now: datetime) -> rules.Verdict:
    """Return whether a due reminder may go now, by today's facts."""
    if row.outlook is Reason.CAP:
        return Drop(Reason.CAP)
    verdict = rules.may_go(standing(whole, [row], now), now)
    # While it waits, the message that it is told with may lapse: then it is planned anew.
    folded = row.outlook is Reason.FOLDED and isinstance(verdict, Go)
    return Drop(Reason.FOLDED) if folded else verdict


def standing(whole: Situation, rows: Sequence[Reminder], now: datetime) -> Standing:
    """Return what is true of reminders that go together; the first decides the visit."""
    row = rows[0]
    plan = whole.plan_of(row.visit_id)
    facts = whole.facts(row.visit_id)
    steps = [whole.step_of(each) for each in rows]
    failed = [
        schedule.condition_fails(
            whole.step_of(each),
            whole.facts(each.visit_id),
            now,
            whole.zone,
        )
        for each in rows
    ]
    if whole.patient.is_test:
        # A test shows every message once, whatever would keep it back.
        failed = [None]
    if any(planning.outdated(whole, each) for each in rows):
        failed = [Reason.VISIT_MOVED]
    superseded = plan.course.state is CourseState.ACTIVE and facts.later_session
    condition = next((reason for reason in failed if reason is not None), None)
    if not whole.patient.booking_requests and any(_BOOKING.issuperset(s.kinds) for s in steps):
        condition = Reason.DECLINED
    return Standing(
        lane=lane_of(steps),
        unasked=not _may_disturb(whole, rows, now),
        # The card of a session during a pause is no reminder: its limits hold from now on.
        safety=any(each.safety for each in rows) or any(Kind.CARD in step.kinds for step in steps),
        expires_at=min(
            (each.expires_at for each in rows if each.expires_at is not None), default=None
        ),
        patient=whole.patient.state,
        course=plan.course.state,
        paused=whole.patient.paused_until is not None
        or whole.rests(now, courtesy=lane_of(steps) is Lane.COURTESY),
        quiet=schedule.is_quiet(now, whole.zone, whole.quiet),
        condition=Reason.NEW_SESSION if superseded else condition,
    )


def _may_disturb(whole: Situation, rows: Sequence[Reminder], now: datetime) -> bool:
    """Say whether quiet hours do not apply: somebody just asked, or waiting would lose a check."""
    free = [each.asked or whole.step_of(each).quiet_exempt for each in rows]
    fresh = all(each.due_at is None or not schedule.is_stale(each.due_at, now) for each in rows)
    ends = min((each.expires_at for each in rows if each.expires_at is not None), default=None)
    lost = ends is not None and out_of_quiet(now, whole.zone, whole.quiet) >= ends
    return (all(free) and fresh) or (any(free) and lost)


def lane_of(steps: Sequence[Step]) -> Lane:
    """Return the lane of steps that go together: courtesy only when every one of them is."""
    courtesy = all(_COURTESY.issuperset(step.kinds) for step in steps)
    return Lane.COURTESY if courtesy else Lane.CARE


@dataclass(frozen=True, slots=True)
class _Group:
    """Reminders of one patient that go together."""

    whole: Situation
    rows: tuple[Reminder, ...]

    @property
    def steps(self) -> list[Step]:
        return [self.whole.step_of(row) for row in self.rows]

    @property
    def warning(self) -> str | None:
        """The leading card's: the longer watch names the signs of the shorter one too."""
        return next((s.warning_template for s in self.steps if s.warning_template), None)


async def _queue(session: AsyncSession, going: Sequence[_Group], now: datetime) -> None:
    """Queue one message for each group, and behind a card its silent second bubble."""
    messages = [await _message(session, group, now) for group in going]
    # Messages get their ids together; one statement for all of them.
    await session.flush()
    for group, message in zip(going, messages, strict=True):
        for row in group.rows:
            row.message_id = message.id
            session.add(row)
        if group.warning is not None:
            await outbox.to_patient(
                session,
                group.whole.patient,
                group.warning,
                now,
                flush=False,
                lane=message.lane,
                visit_id=message.visit_id,
                expires_at=message.expires_at,
                silent=True,
                follows_id=message.id,
                rows=[[Button(label="something_wrong", data=buttons.pack("wrong"))]],
            )
    await session.flush()


async def _message(session: AsyncSession, group: _Group, now: datetime) -> Message:
    rows, steps = group.rows, group.steps
    # One set of buttons: a safety check asks first (clinical.md 2, merging). Only what is late
    # together asks different things; then the others' buttons stand below.
    lead, ref = steps[0], new_ref()
    asking = steps if grouping.is_late(rows[0].group_key) else [lead]
    keys = dict.fromkeys(key for step in asking for key in step.buttons)
    if not (group.whole.clinic.photos_on and group.whole.patient.photo_requests):
        keys.pop("send_photo", None)
    message = await outbox.to_patient(
        session,
        group.whole.patient,
        lead.template,
        now,
        flush=False,
        ref=ref,
        rows=[
            *([Button(label=key, data=buttons.pack("step", ref, key))] for key in keys),
            *later.row_for(steps, ref),
        ],
        # Steps that go together but say different things stand one below the other.
        also=list(dict.fromkeys(s.template for s in steps if s.template != lead.template)),
        lane=lane_of(steps),
        visit_id=rows[0].visit_id,
        expires_at=min(row.expires_at for row in rows if row.expires_at is not None),
        unasked=not all(row.asked for row in rows),
        silent=all(step.silent for step in steps),
    )
    if any(row.maybe_sent for row in rows):
        # Sent before the database was restored, perhaps: this is its one repeat, and says so.
        message.maybe_copies = 1
    return message


async def may_leave(
    session: AsyncSession, row: Message, whole: Situation | None, now: datetime
) -> rules.Verdict:
    """Return whether a queued message may leave now: asked again right before it is sent.

    ``whole`` is the situation of the patient it is for; only what belongs to a visit needs it.
    What tells of limits belongs to no visit, and reads its own.
    """
    if row.method == "edit" and await queries.newer_edit(session, row):
        return Drop(Reason.REPLACED)
    if row.patient_id is None or row.practitioner_id is not None:
        return await _may_reach_practitioner(session, row, now)
    patient = whole.patient if whole else await people.patient(session, row.patient_id)
    if patient.telegram_id not in (None, row.chat_id):
        # The patient has another account by now; this one hears nothing more.
        return Drop(Reason.NOT_ACTIVE)
    if row.follows_id is not None:
        first = await queries.message(session, row.follows_id)
        if first is not None and first.state in (MessageState.DROPPED, MessageState.FAILED):
            return Drop(first.reason or Reason.REPLACED)
        if whole is not None and later.is_repeat(row, first):
            # What holds of the steps that it asks about again decides.
            asked = in_order(whole, whole.reminders_of(row.follows_id))
            return rules.may_go(
                replace(standing(whole, asked, now), expires_at=row.expires_at), now
            )
    if whole is not None and (reminders := whole.reminders_of(row.id)):
        verdict = rules.may_go(standing(whole, in_order(whole, reminders), now), now)
        if isinstance(verdict, Go) and _catches_up(whole, row, now):
            return Wait()
        if row.maybe_copies == 0 and isinstance(verdict, Drop) and _part(whole, reminders, now):
            for each in reminders:
                each.message_id = None
                session.add(each)
            await session.flush()
            return Drop(Reason.REPLACED)
        return verdict
    zone, quiet = await _clock_of(session, patient)
    verdict = rules.may_go(
        Standing(
            lane=row.lane,
            unasked=row.unasked,
            safety=False,
            expires_at=row.expires_at,
            patient=patient.state,
            course=None,
            paused=False,
            quiet=is_quiet(now, zone, quiet),
        ),
        now,
    )
    if isinstance(verdict, Go) and row.template in (limit_rows.OVER, limit_rows.AGAIN):
        whole = await situation.read(session, row.patient_id)
        return await limit_rows.may_say(session, row, whole, now)
    return verdict


def _part(whole: Situation, rows: Sequence[Reminder], now: datetime) -> bool:
    """Say whether some steps of a message may not go while others may: these are queued anew."""
    dropped = [isinstance(rules.may_go(standing(whole, [r], now), now), Drop) for r in rows]
    return any(dropped) and not all(dropped)


async def _may_reach_practitioner(
    session: AsyncSession, row: Message, now: datetime
) -> rules.Verdict:
    """The same for practitioners and for accounts that are nobody's.

    A nudge goes only while somebody waits, a repeated alert only while it is open.
    """
    if row.expires_at is not None and now >= row.expires_at:
        return Drop(Reason.TOO_LATE)
    if row.practitioner_id is None:
        return Go()
    about = await people.patient(session, row.patient_id) if row.patient_id is not None else None
    if about is not None and about.state is PatientState.ERASED:
        return Drop(Reason.ERASED)
    person = await people.practitioner(session, row.practitioner_id)
    if person.removed_at is not None:
        return Drop(Reason.NOT_ACTIVE)
    wanted = True
    if row.template == _AGAIN or (row.template == _ALERT and row.maybe_copies > 0):
        wanted = await alerts.is_open(session, row.report or "")
    if row.template == team.NUDGE and row.patient_id is not None:
        patient = await people.patient(session, row.patient_id)
        waits = patient.state is PatientState.OPENED and patient.confirmed_at is None
        # The link may meanwhile have been opened anew, by another account; an heir is asked later.
        wanted = waits and patient.opened_at is not None and row.queued_at >= patient.opened_at
    return Go() if wanted else Drop(Reason.REPLACED)


async def look_again_at(session: AsyncSession, row: Message, now: datetime) -> datetime:
    """Return when a message that may not leave now is judged again: after its quiet hours."""
    soon = now + _LOOK_AGAIN
    if row.patient_id is None:
        return soon
    zone, quiet = await _clock_of(session, await people.patient(session, row.patient_id))
    return max(soon, out_of_quiet(now, zone, quiet))


async def _clock_of(session: AsyncSession, patient: Patient) -> tuple[ZoneInfo, QuietHours]:
    clinic = await people.clinic(session, patient.clinic_id)
    zone = ZoneInfo(patient.timezone or clinic.timezone)
    return zone, QuietHours(patient.quiet_start, patient.quiet_end)
