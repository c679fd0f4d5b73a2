"""What follows an alert while nobody has taken it, and what the patient says in the meantime."""

import logging
from collections.abc import Sequence
from datetime import datetime
from functools import partial

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import escalation
from bot.domain.escalation import Act, Consequence, To
from bot.domain.states import AlertState, Lane, Level, PatientState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import alerting, holding, photos, reporting, situation
from bot.services.apart import alone
from bot.services.deps import Deps
from bot.services.errors import StaleButton
from bot.services.holding import Why
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import alerts, people
from bot.storage.tables import Alert, Patient

log = logging.getLogger(__name__)


async def follow(deps: Deps, now: datetime) -> int:
    """Do what is due on alerts and on reports that stopped half-way; return how much that was.

    It goes on while sending is held; of a restored database only with what came in since.
    """
    async with deps.database.read() as session:
        held = await holding.held(session)
        since = held.since if held is not None and held.why is Why.RESTORED else None
        due = await alerts.due(session, now, since=since)
    done = await reporting.finish_half_way(deps, now, since)
    for alert_id in due:
        async with deps.database.write(Priority.TURN) as session:
            work = partial(_follow, session, deps, alert_id, now)
            done += await alone(session, "follow_alerts", work)
    if done:
        deps.bells.outbox.set()
    return done


async def _follow(session: AsyncSession, deps: Deps, alert_id: int, now: datetime) -> int:
    alert = await alerts.locked(session, alert_id)
    overdue = _take_overdue(alert, now)
    session.add(alert)
    if not overdue:
        return 0
    patient = await people.patient(session, alert.patient_id)
    if patient.state is PatientState.ERASED:
        alert.due_at = None
        return 0
    clinic = await people.clinic(session, alert.clinic_id)
    turn = Turn.by_the_clock(session, deps, clinic, patient, now)
    for each in overdue:
        await _do(turn, alert, patient, each)
    return len(overdue)


def _take_overdue(alert: Alert, now: datetime) -> list[Consequence]:
    """Take off what is due by now: of several pushes only the last, which reaches the most."""
    coming = escalation.then(alert.level)
    overdue: list[Consequence] = []
    while alert.due_at is not None and alert.due_at <= now:
        overdue.append(coming[alert.next_step])
        alerting.arm_next(alert)
    pushes = [each for each in overdue if each.act is Act.PUSH_AGAIN]
    return [each for each in overdue if each not in pushes[:-1]]


async def _do(turn: Turn, alert: Alert, patient: Patient, each: Consequence) -> None:
    match each.act:
        case Act.PUSH_AGAIN:
            await alerting.push(turn, alert, patient, each.to, again=True)
        case Act.SEEK_URGENT_CARE:
            await _seek_care(turn, alert, patient)
        case Act.PHONE_THE_CLINIC:
            rows = _said(alert, "i_called", "it_got_worse")
            closed = {"closed": await alerting.is_closed(turn, patient)}
            await turn.tell_patient(patient, "patient/no_reply_yet", closed, rows, lane=Lane.DANGER)
        case Act.ASK_REACHED_HELP:
            rows = _said(alert, "reached_yes", "reached_no")
            await turn.tell_patient(patient, "patient/reached_help", rows=rows, lane=Lane.DANGER)
        case Act.UNREACHED:
            alert.unreached_at = turn.now
            turn.session.add(alert)
            log.error("an alert reached nobody", extra={"action": "unreached", "alert": alert.ref})
    alerts.note(turn.session, alert, each.act.value, turn.now)


def _said(alert: Alert, *keys: str) -> Sequence[Sequence[Button]]:
    return [[Button(label=key, data=buttons.pack("said", alert.ref, key))] for key in keys]


async def _seek_care(turn: Turn, alert: Alert, patient: Patient) -> None:
    rows = _said(alert, "getting_help", "it_got_worse")
    taken = alert.state is not AlertState.OPEN
    await turn.tell_patient(patient, "patient/seek_care", {"taken": taken}, rows, lane=Lane.DANGER)


async def patient_says(turn: Turn, ref: str, key: str) -> None:
    """Take what the patient says under an alert's texts; each is on record with its time.

    Nothing of it lowers anything: the alert waits for a person of the clinic all the same.
    """
    patient = turn.patient
    alert = await alerts.by_ref(turn.session, turn.clinic.id or 0, ref)
    if key == "it_got_worse" and patient is not None:
        await reporting.begin(turn, patient, reporting.WRONG)
        return
    if patient is None or alert is None or alert.patient_id != patient.id:
        raise StaleButton
    if key in _NOT_HELPED and alert.state is AlertState.CLOSED:
        # Whoever closed it hears nothing of it any more: this is a report of its own.
        await reporting.begin(turn, patient, reporting.WRONG)
        return
    if key in ("reached_no", "need_the_number") and alert.level is Level.EMERGENCY:
        whole = await situation.read(turn.session, patient.id or 0)
        await alerting.say_level(turn, patient, alert.level, alert, whole)
        if key == "reached_no":
            await _tell_still(turn, alert, patient, key)
    elif key == "no_one_answers":
        await _seek_care(turn, alert, patient)
        await _tell_still(turn, alert, patient, key)
    elif key == "send_photo_now":
        await photos.coach(turn)
    elif key in _NOTED:
        rows = [reporting.wrong_row()]
        await turn.tell_patient(patient, "patient/noted_help", rows=rows)
    else:
        raise StaleButton
    alerts.note(turn.session, alert, f"patient_{key}", turn.now)


async def _tell_still(turn: Turn, alert: Alert, patient: Patient, key: str) -> None:
    """Let everybody know that the patient has no help yet, also whoever has taken the alert."""
    kept = [(section, name) for section, name in sealed.read(turn.session, alert)["reported"]]
    known = ("reports", key) in kept
    if not known:
        alerting.keep_reported(turn.session, alert, [*kept, ("reports", key)])
    if alert.state is AlertState.OPEN:
        await alerting.push(turn, alert, patient, tuple(To), again=True)
    elif not known:
        await alerting.push(turn, alert, patient, tuple(To))


_NOT_HELPED = ("reached_no", "no_one_answers")
_NOTED = ("i_have_called", "called_the_clinic", "getting_help", "i_called", "reached_yes")
