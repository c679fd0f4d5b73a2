"""Whatever a patient says reaches a person: trouble, texts, photos, voice, anything else."""

import logging
from datetime import timedelta
from typing import Any

from bot.domain import typed
from bot.domain.states import Lane, Level, PatientState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.outgoing.catalogue import Catalogue
from bot.services import outbox, situation, team, words
from bot.services.deps import new_ref
from bot.services.enrolling import lead_or_practitioner
from bot.services.errors import CareError, StaleButton
from bot.services.outbox import Rows
from bot.services.turn import Turn
from bot.storage.queries import alerts, people
from bot.storage.tables import Alert, Patient, Practitioner

log = logging.getLogger(__name__)

_QUOTED = 3000
# The same report within this time is a second tap of the same finger.
SAME_TAP = timedelta(seconds=10)
ALBUM = "album"


def _patient(turn: Turn) -> Patient:
    if turn.patient is None:
        # Whoever looks for help here reads the phone numbers at least.
        raise CareError("no_invitation")
    return turn.patient


def _wrong_row() -> list[Button]:
    return [Button(label="something_wrong", data=buttons.pack("wrong"))]


async def something_wrong(turn: Turn) -> None:
    """Show the phone numbers at once and raise an urgent alert; works in every state.

    Also after STOP, in quiet hours, after the plan's end and before anybody confirmed the account.
    """
    patient = _patient(turn)
    await say_told(turn, patient, "patient/emergency_numbers", urgent=True)
    await turn.await_text("report")
    if not await _just_reported(turn, patient):
        await raise_alert(turn, patient, Level.URGENT, "something_wrong")


async def _just_reported(turn: Turn, patient: Patient) -> bool:
    return any(
        alert.patient_id == patient.id
        and alert.level is Level.URGENT
        and turn.now - alert.opened_at < SAME_TAP
        for alert in await alerts.open_of_clinic(turn.session, patient.clinic_id)
    )


async def raise_alert(
    turn: Turn, patient: Patient, level: Level, what: str, answer: str = ""
) -> Alert:
    """Open an alert and queue it to the treating practitioner and the lead, in the danger lane.

    ``what`` and ``answer`` are keys of labels: which question, and what was tapped.
    """
    alert = Alert(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        level=level,
        opened_at=turn.now,
    )
    turn.session.add(alert)
    await turn.session.flush()
    values = await _alert_values(turn, patient, level, what, answer)
    urgent = level in (Level.URGENT, Level.EMERGENCY)
    for practitioner in await team.responders(turn.session, patient, urgent=urgent):
        await turn.tell(
            practitioner,
            "alerts/report",
            values,
            [
                [Button(label="i_am_on_it", data=buttons.pack("ack", alert.ref))],
                [Button(label="open_card", data=buttons.pack("card", patient.ref))],
            ],
            patient=patient,
            lane=Lane.DANGER,
            report=alert.ref,
        )
    return alert


async def say_told(
    turn: Turn,
    patient: Patient,
    template: str,
    rows: Rows = (),
    *,
    urgent: bool = False,
) -> None:
    """Tell the patient that a person hears of it; when nobody can be reached, to call."""
    told = await team.responders(turn.session, patient, urgent=urgent)
    if told:
        lane = Lane.DANGER if urgent else Lane.REPLY
        # Whoever treats them may be out of reach: the name that is read is of somebody told.
        values = {"practitioner": words.name_of(turn.session, told[0])}
        await turn.tell_patient(patient, template, values, rows, lane=lane)
        return
    log.error(
        "a report reached nobody",
        extra={"action": "nobody_told", "patient": patient.ref, "update_id": turn.update_id},
    )
    await team.nobody(turn.session, patient, turn.now)


async def _alert_values(
    turn: Turn, patient: Patient, level: Level, what: str, answer: str
) -> dict[str, Any]:
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    whole = await situation.read(turn.session, patient.id or 0)
    done = [plan for plan in whole.courses if plan.latest is not None]
    treatment, day = None, None
    if done and done[-1].latest is not None and done[-1].latest.done_date is not None:
        treatment = catalogue.label(language, "treatments", done[-1].protocol.name)
        day = (turn.now.astimezone(whole.zone).date() - done[-1].latest.done_date).days
    return {
        "patient": words.name_of(turn.session, patient),
        **words.account_of(turn.session, patient),
        "level": level.value,
        "level_label": catalogue.label(language, "levels", level.value),
        "reported": catalogue.label(language, "reports", what),
        "answer": catalogue.label(language, "buttons", answer) if answer else None,
        "treatment": treatment,
        "day": day,
        "not_confirmed": patient.state is PatientState.OPENED and patient.confirmed_at is None,
        "is_test": patient.is_test,
    }


async def acknowledge(turn: Turn, ref: str) -> None:
    """Record who looks after an alert; the first tap owns it, the patient sees who has seen it."""
    practitioner = lead_or_practitioner(turn)
    alert = await alerts.by_ref(turn.session, practitioner.clinic_id, ref)
    if alert is None:
        raise StaleButton
    patient = await people.patient(turn.session, alert.patient_id)
    first = await alerts.acknowledge(turn.session, alert.id or 0, practitioner.id or 0, turn.now)
    owner = practitioner
    await turn.session.refresh(alert)
    if not first and alert.acked_by is not None:
        owner = await people.practitioner(turn.session, alert.acked_by)
    await turn.tell(
        practitioner,
        "alerts/acknowledged",
        {
            "patient": words.name_of(turn.session, patient),
            "owner": words.name_of(turn.session, owner),
            "yours": owner.id == practitioner.id,
            "is_test": patient.is_test,
        },
        [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
        patient=patient,
    )
    if first:
        await turn.tell_patient(
            patient,
            "patient/seen",
            {"practitioner": words.name_of(turn.session, practitioner)},
            lane=Lane.DANGER,
        )


async def pass_on(
    turn: Turn, kind: str, text: str = "", *, attached: bool = False, album: str = ""
) -> None:
    """Pass anything a patient sent to their practitioner, and answer with the phone numbers.

    ``kind`` is a key of the labels' ``sent_kinds``; a text is quoted, what it is ``attached`` to is
    copied, and of one ``album`` the first is announced and answered. A text with an emergency word
    raises an urgent alert too: words can raise a level, never lower it.
    """
    patient = _patient(turn)
    awaiting, notes = await turn.awaiting()
    if album and awaiting == ALBUM and notes.get(ALBUM) == album and not text:
        report = new_ref()
        for practitioner in await team.responders(turn.session, patient):
            await _copy(turn, practitioner, patient, None, report, lane=Lane.REPLY)
        return
    if album:
        await turn.await_text(ALBUM, album=album)
    elif awaiting:
        await turn.await_text("")
    urgent = bool(text) and has_emergency_word(turn, text)
    report = new_ref()
    if urgent:
        await say_told(turn, patient, "patient/emergency_numbers", urgent=True)
        report = (await raise_alert(turn, patient, Level.URGENT, "emergency_word")).ref
    # Only what belongs to an alert goes with the alerts: whoever writes much delays nobody else's.
    lane = Lane.DANGER if urgent else Lane.REPLY
    # A text longer than the quotation is copied whole.
    copied = turn.message_id is not None and (attached or not 0 < len(text) <= _QUOTED)
    for practitioner in await team.responders(turn.session, patient, urgent=urgent):
        heading = await turn.tell(
            practitioner,
            "alerts/passed_on",
            {
                "patient": words.name_of(turn.session, patient),
                "kind": turn.deps.catalogue.label(turn.clinic.language, "sent_kinds", kind),
                "quoted": text[:_QUOTED] or None,
                "copied": copied,
                "edited": kind == "edited",
                "is_test": patient.is_test,
            },
            [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
            patient=patient,
            lane=lane,
            report=report,
        )
        if copied and heading is not None:
            await _copy(turn, practitioner, patient, heading.id, report, lane=lane)
    if not urgent:
        shown = "text" if kind == "edited" else kind
        await say_told(turn, patient, f"patient/{shown}_passed", [_wrong_row()])


async def _copy(
    turn: Turn,
    practitioner: Practitioner,
    patient: Patient,
    follows_id: int | None,
    report: str,
    *,
    lane: Lane,
) -> None:
    if turn.message_id is not None:
        await outbox.relay(
            turn.session,
            practitioner,
            patient,
            turn.message_id,
            turn.now,
            language=turn.clinic.language,
            follows_id=follows_id,
            report=report,
            lane=lane,
        )


def has_emergency_word(turn: Turn, text: str) -> bool:
    """Say whether a text holds one of the words that raise it to urgent (clinical.md 4)."""
    return says_danger(turn.deps.catalogue, turn.language, text)


def says_danger(catalogue: Catalogue, language: str, text: str) -> bool:
    """The same of a text in a language, without the database."""
    said = typed.simplified(text)
    return any(word in said for word in catalogue.words(language, "emergency"))


async def ask_clinic(turn: Turn) -> None:
    """Invite the patient to write; whatever comes next is passed on (it would be anyway)."""
    patient = _patient(turn)
    await turn.await_text("question")
    await turn.tell_patient(patient, "patient/ask_open", rows=[_wrong_row()])


async def tell_practitioner(
    turn: Turn, patient: Patient, template: str, values: dict[str, Any] | None = None
) -> None:
    """Tell whoever treats the patient something about them that is no alert."""
    report = new_ref()
    for practitioner in await team.responders(turn.session, patient):
        await turn.tell(
            practitioner,
            template,
            {"patient": words.name_of(turn.session, patient), **(values or {})},
            [
                [Button(label="set_next_visit", data=buttons.pack("setvisit", patient.ref))],
                [Button(label="open_card", data=buttons.pack("card", patient.ref))],
            ],
            patient=patient,
            report=report,
        )
