"""Alerts: who is told what a patient reported, what the patient reads, and how it ends."""

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import escalation, opening, triage
from bot.domain.escalation import To
from bot.domain.opening import Opening
from bot.domain.states import AlertState, Lane, Level, PatientState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import holding, limit_rows, phones, photo_requests, situation, team, words
from bot.services.deps import new_ref
from bot.services.enrolling import lead_or_practitioner
from bot.services.errors import StaleButton
from bot.services.holding import Why
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import alerts, people
from bot.storage.tables import Alert, Clinic, Patient, Practitioner, Report

log = logging.getLogger(__name__)

LOUD = frozenset({Level.URGENT, Level.EMERGENCY})
IN_HOSPITAL = "sent_to_hospital"
OUTCOMES = ("spoke_by_phone", "seen_in_clinic", IN_HOSPITAL, "no_contact", "false_alarm")
# After an alert is closed nothing routine comes for so long (conversations.md 6).
REST_AFTER = timedelta(days=1)
# So much of a patient's own words stands in an alert; the whole follows by itself.
_QUOTED = 1000
Reported = Sequence[tuple[str, str]]
"""What was reported, as sections and keys of the labels, in the order in which it was said."""


def hours_of(clinic: Clinic) -> Opening:
    """Return when the clinic is open; words that nobody can read mean that it is not known."""
    try:
        return opening.parse(clinic.opening_hours)
    except ValueError:
        return Opening()


async def is_closed(turn: Turn, patient: Patient) -> bool:
    """Say whether nobody of the clinic can be called now: closed, and nobody is on call."""
    if hours_of(turn.clinic).is_open(turn.now, turn.clinic_zone):
        return False
    return not (await team.tiers(turn.session, patient))[To.ON_CALL]


def is_told_later(turn: Turn) -> bool:
    """Say whether what is less than urgent reaches the clinic when it opens, and not now."""
    return not hours_of(turn.clinic).is_open(turn.now, turn.clinic_zone)


async def raise_alert(
    turn: Turn,
    patient: Patient,
    level: Level,
    reported: Reported,
    report: Report | None = None,
    *,
    drill: bool = False,
    to: Collection[To] = (),
    quoted: str = "",
) -> Alert:
    """Open an alert and tell whoever hears of it first (or ``to``); what follows is on its row.

    ``quoted`` are the patient's own words: whoever is called later reads them too.
    *Tell clinic* reaches them in clinic hours, anything higher at once (clinical.md 4).
    """
    hours = hours_of(turn.clinic)
    told_at = turn.now if level in LOUD else hours.opens_at(turn.now, turn.clinic_zone)
    promised = turn.now if level in LOUD else hours.reply_by(turn.now, turn.clinic_zone)
    alert = Alert(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        report_id=report.id if report else None,
        level=level,
        opened_at=turn.now,
        counts_from=promised,
        # A lower level lets nothing rest that somebody would have to take up again.
        resumed_at=None if level in LOUD else turn.now,
        is_drill=drill,
    )
    _arm(alert)
    kept: dict[str, Any] = {"reported": [list(each) for each in reported]}
    if quoted:
        kept["quoted"] = quoted[:_QUOTED]
    sealed.write(turn.session, alert, kept)
    turn.session.add(alert)
    await turn.session.flush()
    alerts.note(turn.session, alert, "opened", turn.now)
    first = {
        Level.EMERGENCY: (To.TREATING, To.ON_CALL, To.LEAD),
        Level.URGENT: (To.TREATING, To.ON_CALL),
    }.get(level, (To.TREATING,))
    await push(turn, alert, patient, to or first, due_at=told_at)
    return alert


async def waiting(turn: Turn, patient: Patient) -> Alert | None:
    """Return an urgent alert about the patient that is pushed already, as nobody has taken it.

    Whoever writes ten words of danger is one patient in danger: ten alerts would hold up others'.
    One whose pushes are over, or rest until a restored database is released, would tell nobody.
    """
    held = await holding.held(turn.session)
    since = held.since if held is not None and held.why is Why.RESTORED else None
    found = await alerts.open_of_patient(turn.session, patient.id or 0)
    urgent = [
        each
        for each in found
        if each.level in LOUD
        and each.state is AlertState.OPEN
        and each.due_at is not None
        and (since is None or each.opened_at >= since)
    ]
    return urgent[-1] if urgent else None


def _arm(alert: Alert) -> None:
    """Set when the next consequence is due; none is when all have happened."""
    coming = escalation.then(alert.level)
    wanted = range(alert.next_step, len(coming))
    if alert.state is not AlertState.OPEN:
        wanted = range(0)
        for at in range(alert.next_step, len(coming)):
            if coming[at].until_closed and alert.state is AlertState.ACKNOWLEDGED:
                alert.next_step, wanted = at, range(at, at + 1)
                break
    start = alert.counts_from or alert.opened_at
    alert.due_at = start + coming[wanted.start].after if wanted else None


def arm_next(alert: Alert) -> None:
    """Take the consequence that has happened off, and set when the next one is due."""
    alert.next_step += 1
    _arm(alert)


async def push(
    turn: Turn,
    alert: Alert,
    patient: Patient,
    to: Collection[To],
    *,
    due_at: datetime | None = None,
    again: bool = False,
    but: Collection[int | None] = (),
) -> int:
    """Queue the alert, loud, to these parts of the chain; return to how many people.

    Whoever has not got an earlier one yet gets no second one behind it. Nobody of ``but`` is told.
    """
    values = await values_of(turn, alert, patient)
    told = 0
    for practitioner in await team.chain(turn.session, patient, to):
        if practitioner.id in but:
            continue
        if again and await alerts.waits_for(turn.session, practitioner.id or 0, alert.ref):
            continue
        template = "alerts/again" if again else "alerts/report"
        await _show(turn, alert, patient, practitioner, template, values, due_at)
        told += 1
    if again:
        alert.rounds += 1
        turn.session.add(alert)
    return told


async def _show(
    turn: Turn,
    alert: Alert,
    patient: Patient,
    practitioner: Practitioner,
    template: str,
    values: Mapping[str, Any],
    due_at: datetime | None = None,
) -> None:
    """Queue the alert, loud, to one person, and put on record that they were told."""
    await turn.tell(
        practitioner,
        template,
        values,
        [
            [Button(label="i_am_on_it", data=buttons.pack("ack", alert.ref))],
            [Button(label="open_card", data=buttons.pack("card", patient.ref))],
        ],
        patient=patient,
        lane=Lane.DANGER,
        report=alert.ref,
        due_at=due_at,
    )
    alerts.note(turn.session, alert, "told", turn.now, practitioner.id)


async def values_of(turn: Turn, alert: Alert, patient: Patient) -> dict[str, Any]:
    """Return what a practitioner reads of an alert, in the clinic's language."""
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    whole = await situation.read(turn.session, patient.id or 0)
    waited = turn.now - alert.opened_at
    return {
        "patient": words.name_of(turn.session, patient),
        **words.account_of(turn.session, patient),
        "level": alert.level.value,
        "level_label": catalogue.label(language, "levels", alert.level.value),
        "reported": reported_words(turn, alert, language),
        "reported_at": dates.moment(alert.opened_at, turn.clinic_zone, language, turn.now),
        "sessions": [
            {
                "treatment": catalogue.label(language, "treatments", done.protocol.full_name),
                "day": whole.day_after(done, turn.now),
            }
            for done in whole.recent(turn.now)
        ],
        "patient_phone": words.phone_of(turn.session, patient),
        "waited_minutes": int(waited.total_seconds()) // 60,
        "quoted": sealed.read(turn.session, alert).get("quoted"),
        "closed": await is_closed(turn, patient),
        "not_confirmed": patient.state is PatientState.OPENED and patient.confirmed_at is None,
        "is_test": patient.is_test,
    }


def reported_words(turn: Turn, alert: Alert, language: str) -> list[str]:
    """Return what was reported, in words of that language."""
    kept: Mapping[str, Any] = sealed.read(turn.session, alert)
    return [
        turn.deps.catalogue.label(language, section, key)
        for section, key in kept.get("reported", [])
    ]


def keep_reported(session: AsyncSession, alert: Alert, reported: Reported) -> None:
    """Keep what an alert is about, after the patient said more."""
    kept = sealed.read(session, alert)
    sealed.write(session, alert, {**kept, "reported": [list(each) for each in reported]})
    session.add(alert)


async def also_reported(turn: Turn, alert: Alert, patient: Patient, reported: Reported) -> None:
    """Add to an open alert what the patient said after it was raised; whoever has it reads it."""
    keep_reported(turn.session, alert, reported)
    await push(turn, alert, patient, (To.TREATING, To.ON_CALL))


async def also_written(
    turn: Turn, alert: Alert, patient: Patient, reported: Reported, text: str, *, anew: bool
) -> None:
    """Add words of danger to an alert that nobody has taken yet.

    The first of them, and those that end a list opened ``anew``, reach whoever is on call at once,
    and the patient as a new note for the doctor; what follows comes with the next push. Whoever
    gets what the patient sends reads it there, and not twice.
    """
    kept = sealed.read(turn.session, alert)
    known = [(section, key) for section, key in kept["reported"]]
    said = str(kept.get("quoted", ""))
    both = [*known, *(each for each in reported if each not in known)]
    quoted = "\n".join(each for each in (said, text) if each)[-_QUOTED:]
    more = {"reported": [list(each) for each in both], "quoted": quoted}
    sealed.write(turn.session, alert, {**kept, **more})
    turn.session.add(alert)
    if anew or not said:
        hear = {each.id for each in await team.responders(turn.session, patient, urgent=True)}
        await push(turn, alert, patient, (To.ON_CALL,), but=hear)
        whole = await situation.read(turn.session, patient.id or 0)
        await send_note(turn, patient, alert, whole)


async def say_level(
    turn: Turn, patient: Patient, level: Level, alert: Alert, whole: Situation
) -> None:
    """Tell the patient at once what to do; a higher level comes with a note to show."""
    told = await team.chain(turn.session, patient, (To.TREATING, To.ON_CALL))
    if not told:
        log.error(
            "a report reached nobody",
            extra={"action": "nobody_told", "patient": patient.ref, "update_id": turn.update_id},
        )
        await team.nobody(turn.session, patient, turn.now)
        if level is Level.EMERGENCY:
            alone = {**(await session_values(turn, whole)), "nobody": True}
            await turn.tell_patient(patient, "patient/emergency", alone, lane=Lane.DANGER)
        if level in LOUD:
            await send_note(turn, patient, alert, whole)
        return
    everybody = await team.chain(turn.session, patient, tuple(To))
    values: dict[str, Any] = {
        "practitioner": words.name_of(turn.session, told[0]),
        "alone": len(everybody) == 1,
        # Whoever asks for the number again, after it was closed, is told of nobody.
        "nobody": alert.state is AlertState.CLOSED,
        "photos_asked": turn.clinic.photos_on,
        "told_later": is_told_later(turn),
        "closed": await is_closed(turn, patient),
    }
    template, keys = {
        Level.EMERGENCY: ("patient/emergency", ("i_have_called", "need_the_number")),
        Level.URGENT: ("patient/urgent", ("called_the_clinic", "no_one_answers", "it_got_worse")),
    }.get(level, ("patient/told_clinic", ("send_photo_now", "it_got_worse")))
    if not turn.clinic.photos_on:
        keys = tuple(key for key in keys if key != "send_photo_now")
    if level is Level.URGENT and values["closed"]:
        template, keys = "patient/urgent_closed", ("getting_help", "it_got_worse")
    values |= await session_values(turn, whole)
    if alert.counts_from is not None and level is Level.TELL_CLINIC:
        at = dates.moment(alert.counts_from, turn.clinic_zone, patient.language, turn.now)
        values |= {"reply_by": at, "clinic_city": words.clinic_city(turn.clinic, patient)}
    lane = Lane.DANGER if level in LOUD else Lane.REPLY
    rows = [[Button(label=key, data=buttons.pack("said", alert.ref, key))] for key in keys]
    said = await turn.tell_patient(patient, template, values, rows, lane=lane)
    if level in LOUD:
        await send_note(turn, patient, alert, whole)
    if level is Level.URGENT:
        # Not in an emergency: whoever must call for help now is asked for nothing.
        await phones.ask(turn, patient, phones.URGENT, said)


async def session_values(turn: Turn, whole: Situation) -> dict[str, Any]:
    """Return treatments and times of the recent sessions, as the patient would say them.

    None before somebody has confirmed that the account is the patient's (design.md 8, decision 3).
    """
    catalogue, language = turn.deps.catalogue, whole.patient.language
    if whole.patient.confirmed_at is None:
        return {"had": []}
    return {
        "had": [
            {
                "treatment": catalogue.label(language, "treatments", done.protocol.full_name),
                "done_at": dates.moment(done.at, whole.clinic_zone, language, turn.now),
                **words.session_details(turn.session, done.visit),
            }
            for done in whole.recent(turn.now)
        ],
    }


async def send_note(turn: Turn, patient: Patient, alert: Alert, whole: Situation) -> None:
    """Send the note to show to whoever helps: all that they need, in one message."""
    language = patient.language
    await turn.tell_patient(
        patient,
        "patient/note_for_doctor",
        {
            **(await session_values(turn, whole)),
            "reported": reported_words(turn, alert, language),
            "reported_at": dates.moment(alert.opened_at, whole.zone, language, turn.now),
            "quoted": sealed.read(turn.session, alert).get("quoted"),
        },
        lane=Lane.DANGER,
    )


async def acknowledge(turn: Turn, ref: str) -> Alert:
    """Record who looks after an alert; the first tap owns it, the patient sees who has seen it."""
    practitioner = lead_or_practitioner(turn)
    alert = await _alert(turn, ref)
    # Locked first: two who take two alerts of one patient would wait for each other.
    patient = await people.locked_patient(turn.session, alert.patient_id)
    await turn.forget_text_about_others(patient)
    first = await alerts.acknowledge(turn.session, alert.id or 0, practitioner.id or 0, turn.now)
    await turn.session.refresh(alert)
    if first:
        _arm(alert)
        turn.session.add(alert)
        await _take_the_rest(turn, alert, patient, practitioner)
    alerts.note(turn.session, alert, "acknowledged", turn.now, practitioner.id)
    owner = practitioner
    if not first and alert.acked_by is not None:
        owner = await people.practitioner(turn.session, alert.acked_by)
    write = [Button(label="write_to_patient", data=buttons.pack("write", patient.ref))]
    await turn.tell(
        practitioner,
        "alerts/acknowledged",
        {
            "patient": words.name_of(turn.session, patient),
            "owner": words.name_of(turn.session, owner),
            "yours": owner.id == practitioner.id,
            "is_test": patient.is_test,
        },
        [
            # Nobody would read it in a drill.
            *([] if alert.is_drill else [write]),
            [Button(label="close_report", data=buttons.pack("close", alert.ref))],
            *(await photo_requests.row(turn, patient)),
            [Button(label="open_card", data=buttons.pack("card", patient.ref))],
        ],
        patient=patient,
    )
    if first:
        await turn.tell_patient(
            patient,
            "patient/seen",
            {
                "practitioner": words.name_of(turn.session, practitioner),
                "closed": await is_closed(turn, patient),
            },
            lane=Lane.DANGER,
        )
    return alert


async def _take_the_rest(
    turn: Turn, alert: Alert, patient: Patient, practitioner: Practitioner
) -> None:
    """Take what else is urgent about the patient and is no worse: it is one patient to look after.

    Or the patient would read that somebody has seen the report, and then that nobody has. Whoever
    was not told of it yet reads it now. What is less than urgent has a promise of its own, and
    waits for whoever it was promised of.
    """
    for other in await alerts.open_of_patient(turn.session, alert.patient_id):
        worse = triage.highest([other.level, alert.level]) is not alert.level
        if other.level not in LOUD or worse or other.is_drill is not alert.is_drill:
            continue
        if other.state is not AlertState.OPEN:
            continue
        if await alerts.acknowledge(turn.session, other.id or 0, practitioner.id or 0, turn.now):
            await turn.session.refresh(other)
            _arm(other)
            turn.session.add(other)
            if not await alerts.was_told(turn.session, other.id or 0, practitioner.id or 0):
                values = await values_of(turn, other, patient)
                await _show(turn, other, patient, practitioner, "alerts/report", values)
            alerts.note(turn.session, other, "acknowledged", turn.now, practitioner.id)


async def ask_outcome(turn: Turn, ref: str) -> None:
    """Ask how it ended; closing needs an outcome."""
    lead_or_practitioner(turn)
    alert = await _alert(turn, ref)
    if alert.state is AlertState.CLOSED:
        raise StaleButton
    patient = await people.patient(turn.session, alert.patient_id)
    await turn.forget_text_about_others(patient)
    await turn.screen(
        "alerts/outcome",
        {"patient": words.name_of(turn.session, patient), "is_test": patient.is_test},
        [[Button(label=key, data=buttons.pack("outcome", alert.ref, key))] for key in OUTCOMES],
        patient=patient,
    )


async def close(turn: Turn, ref: str, outcome: str) -> None:
    """End an alert; after an urgent one routine messages come again after a day.

    After an emergency they rest until a person says otherwise (clinical.md 4), and so they do for
    whoever was sent to a hospital.
    """
    practitioner = lead_or_practitioner(turn)
    alert = await _alert(turn, ref)
    if outcome not in OUTCOMES:
        raise StaleButton
    patient = await people.locked_patient(turn.session, alert.patient_id)
    done = await alerts.close(turn.session, alert.id or 0, practitioner.id or 0, outcome, turn.now)
    if not done:
        raise StaleButton
    await turn.session.refresh(alert)
    rests = alert.level is Level.EMERGENCY or outcome == IN_HOSPITAL
    if rests:
        alert.resumed_at = None
    elif alert.level in LOUD:
        alert.resumed_at = turn.now + REST_AFTER
    turn.session.add(alert)
    alerts.note(turn.session, alert, f"closed_{outcome}", turn.now, practitioner.id)
    await turn.forget_text_about_others(patient)
    rows = [[Button(label="open_card", data=buttons.pack("card", patient.ref))]]
    if rests:
        rows.insert(0, [Button(label="resume_plan", data=buttons.pack("resumeafter", alert.ref))])
    whole = await situation.read(turn.session, patient.id or 0)
    await limit_rows.follow_plan(turn.session, whole, turn.now)
    left = [
        each
        for each in await alerts.open_of_patient(turn.session, patient.id or 0)
        if each.is_drill is alert.is_drill
    ]
    if left:
        # Each has an outcome of its own.
        rows.insert(0, [Button(label="close_report", data=buttons.pack("close", left[0].ref))])
    kept = whole.kept()
    if kept:
        rows.insert(0, [Button(label="end_limits", data=buttons.pack("endlimits", patient.ref))])
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    await turn.screen(
        "alerts/closed",
        {
            "patient": words.name_of(turn.session, patient),
            "outcome": catalogue.label(language, "outcomes", outcome),
            "rests": rests,
            "left": [each for one in left for each in reported_words(turn, one, language)],
            "kept": [catalogue.label(language, "limits", limit) for limit in kept],
            "is_test": patient.is_test,
        },
        rows,
        patient=patient,
    )


async def resume(turn: Turn, ref: str) -> None:
    """Let routine messages come again, after a day, as a person says so."""
    practitioner = lead_or_practitioner(turn)
    alert = await _alert(turn, ref)
    if alert.state is not AlertState.CLOSED or alert.resumed_at is not None:
        raise StaleButton
    alert.resumed_at = turn.now + REST_AFTER
    turn.session.add(alert)
    alerts.note(turn.session, alert, "resumed", turn.now, practitioner.id)
    patient = await people.patient(turn.session, alert.patient_id)
    await turn.forget_text_about_others(patient)
    whole = await situation.read(turn.session, patient.id or 0)
    await limit_rows.follow_plan(turn.session, whole, turn.now)
    await turn.screen(
        "alerts/resumed", {"patient": words.name_of(turn.session, patient)}, patient=patient
    )


async def _alert(turn: Turn, ref: str) -> Alert:
    alert = await alerts.by_ref(turn.session, turn.clinic.id or 0, ref)
    if alert is None:
        raise StaleButton
    return alert
