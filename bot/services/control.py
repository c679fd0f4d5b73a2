"""What a patient steers: stop, pause, resume; what they may look at: plan, limits, visits."""

from collections.abc import Mapping
from typing import Any

from bot.domain.states import Lane, PatientState, ReminderState, VisitState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import joining, menus, pausing, situation, words
from bot.services.errors import CareError, StaleButton
from bot.services.planning import replan
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.queries import outbox
from bot.storage.tables import LimitEnd, Patient

_SHOWN = 12


def _patient(turn: Turn) -> Patient:
    if turn.patient is None:
        raise CareError("not_a_patient")
    return turn.patient


async def _not_joined(turn: Turn, patient: Patient) -> bool:
    """Say whether joining is not complete; nothing of the plan is shown then, joining goes on."""
    if patient.joined_at is not None:
        return False
    if patient.state is PatientState.OPENED:
        await joining.go_on(turn)
    else:
        await turn.tell_patient(
            patient, "patient/plan_empty", {"plan_ended": False}, [_wrong_row()]
        )
    return True


def _wrong_row() -> list[Button]:
    return [Button(label="something_wrong", data=buttons.pack("wrong"))]


async def show_plan(turn: Turn) -> None:
    """Show what is still to come and which limits hold."""
    patient = _patient(turn)
    if await _not_joined(turn, patient):
        return
    whole = await situation.read(turn.session, patient.id or 0)
    coming = [
        row
        for row in whole.reminders
        if row.state is ReminderState.PLANNED
        and row.outlook is None
        and row.due_at is not None
        and row.due_at > turn.now
        and (row.safety or row.due_at >= (patient.paused_until or turn.now))
    ]
    limits = _limits(turn, whole)
    visit = _next_visit(turn, whole)
    stopped = patient.state is not PatientState.ACTIVE
    ended = bool(whole.courses) and not whole.running()
    paused = patient.paused_until is not None
    own_pause = not stopped and await pausing.may_end(turn, patient)
    if not (coming or limits or visit or stopped or paused):
        await turn.tell_patient(
            patient, "patient/plan_empty", {"plan_ended": ended}, [_wrong_row()]
        )
        return
    steps = [
        {
            "when": dates.moment(row.due_at, whole.zone, patient.language, turn.now),
            "what": turn.deps.catalogue.label(
                patient.language, "kinds", _kind(whole, row.visit_id, row.step)
            ),
        }
        for row in coming[:_SHOWN]
        if row.due_at is not None
    ]
    await turn.tell_patient(
        patient,
        "patient/plan",
        {
            "steps": steps,
            "limits": limits,
            "visit": visit,
            "clinic_city": words.clinic_city(turn.clinic, patient),
            "plan_ended": ended,
            "stopped": stopped,
            "paused": paused,
            "paused_until": pausing.last_day(whole, patient.language, turn.now),
        },
        [*([pausing.end_row()] if own_pause else []), _wrong_row()],
    )


def _kind(whole: Situation, visit_id: int, step: str) -> str:
    return whole.plan_of(visit_id).protocol.step(step).kinds[0].value


def _next_visit(turn: Turn, whole: Situation) -> str | None:
    booked = [
        plan.booked.planned_at
        for plan in whole.courses
        if plan.booked is not None
        and plan.booked.planned_at is not None
        and plan.booked.planned_at > turn.now
    ]
    if not booked:
        return None
    return dates.moment(min(booked), whole.clinic_zone, whole.patient.language, turn.now)


async def show_limits(turn: Turn) -> None:
    """Show every limit that still holds, with its exact end and the time left."""
    patient = _patient(turn)
    if await _not_joined(turn, patient):
        return
    whole = await situation.read(turn.session, patient.id or 0)
    limits, rows = _limits(turn, whole), await _calm_rows(turn, whole.kept())
    await turn.tell_patient(patient, "patient/limits", {"limits": limits}, [*rows, _wrong_row()])


def _limits(turn: Turn, whole: Situation) -> list[dict[str, Any]]:
    """Return the limits that still hold, as the patient reads them."""
    catalogue, language, now = turn.deps.catalogue, whole.patient.language, turn.now
    ends, kept = whole.limits(now), whole.kept()
    return words.limit_groups(catalogue, language, whole.zone, ends, now, now, kept=kept)


async def _calm_rows(turn: Turn, kept: Mapping[str, LimitEnd]) -> list[list[Button]]:
    """Return the button that ends what is kept on, of the first to end if there are several."""
    for row in kept.values():
        asked = await outbox.message(turn.session, row.message_id or 0)
        if asked is not None:
            return [[Button(label="yes_calm", data=buttons.pack("step", asked.ref, "yes_calm"))]]
    return []


async def show_visits(turn: Turn) -> None:
    """Show the patient's visits, on the clinic's clock."""
    patient = _patient(turn)
    if await _not_joined(turn, patient):
        return
    whole = await situation.read(turn.session, patient.id or 0)
    shown = []
    for visit in whole.visits:
        at = visit.done_at or visit.planned_at
        if at is None:
            continue
        said_yes = visit.state is VisitState.PLANNED and visit.confirmed_at is not None
        state = "confirmed" if said_yes else visit.state.value
        label = turn.deps.catalogue.label(patient.language, "visit_states", state)
        when = dates.moment(at, whole.clinic_zone, patient.language, turn.now)
        shown.append((at, {"when": when, "state_label": label}))
    values = {
        "visits": [line for _, line in sorted(shown, key=lambda each: each[0])][-_SHOWN:],
        "clinic_city": words.clinic_city(turn.clinic, patient),
    }
    await turn.tell_patient(patient, "patient/visits", values, [_wrong_row()])


async def answer_limits(turn: Turn, limits: list[str]) -> None:
    """Answer a question about limits with their exact end and the hours left."""
    patient = _patient(turn)
    whole = await situation.read(turn.session, patient.id or 0)
    ends, kept = whole.limits(turn.now), whole.kept()
    catalogue, language = turn.deps.catalogue, patient.language
    on = sorted((ends[limit], limit) for limit in limits if ends.get(limit, turn.now) > turn.now)
    over = [
        {
            "what": catalogue.label(language, "limits", limit),
            "ended_at": dates.moment(ends[limit], whole.zone, language, turn.now),
        }
        for limit in sorted(limits, key=lambda each: ends.get(each, turn.now))
        if limit in ends and ends[limit] <= turn.now
    ]
    if on:
        named = [
            {
                "what": catalogue.label(language, "limits", limit),
                "ends": dates.moment(end, whole.zone, language, turn.now),
                "kept": limit in kept,
                **words.time_left(end, turn.now),
            }
            for end, limit in reversed(on)
        ]
        beside = words.allowed(catalogue, language, (limit for _, limit in reversed(on)))
        values = {"on": named, "over": over, "allowed": beside}
        rows = await _calm_rows(turn, {each: kept[each] for _, each in on if each in kept})
        await turn.tell_patient(patient, "patient/limit_until", values, [*rows, _wrong_row()])
    elif over:
        await turn.tell_patient(patient, "patient/limit_over", {"over": over}, [_wrong_row()])
    else:
        what = catalogue.label(language, "limits", limits[0])
        await turn.tell_patient(patient, "patient/limit_none", {"what": what}, [_wrong_row()])


async def ask_stop(turn: Turn) -> None:
    """Ask whether to stop, pause or keep the reminders."""
    patient = _patient(turn)
    if patient.state is PatientState.STOPPED:
        await turn.tell_patient(patient, "patient/stopped", rows=[_wrong_row()])
        return
    await turn.tell_patient(
        patient,
        "patient/stop_ask",
        rows=[
            [Button(label="stop_reminders", data=buttons.pack("stop", "stop"))],
            [Button(label="pause_7_days", data=buttons.pack("stop", "pause"))],
            [Button(label="keep_them", data=buttons.pack("stop", "keep"))],
        ],
    )


async def stop(turn: Turn) -> None:
    """Stop the reminders; what is queued is taken back in the same commit."""
    patient = _patient(turn)
    if patient.state is PatientState.STOPPED:
        await turn.tell_patient(patient, "patient/stopped", rows=[_wrong_row()])
        return
    joined = patient.state is PatientState.ACTIVE
    patient.state = PatientState.STOPPED
    patient.paused_until = None
    turn.session.add(patient)
    whole = await replan(turn.session, patient.id or 0, turn.now)
    await turn.tell_patient(patient, "patient/stopped", rows=[_wrong_row()])
    phone_now = joined and _early(turn, whole)
    await pausing.tell_clinic(
        turn,
        patient,
        "practitioner/patient_stopped",
        {"phone_now": phone_now},
        # Somebody must phone: that is not put off until it is too late.
        Lane.DANGER if phone_now else Lane.CARE,
    )


def _early(turn: Turn, whole: Situation) -> bool:
    """Say whether the session is so fresh that the clinic should phone (clinical.md 4)."""
    return any(
        plan.latest is not None
        and plan.latest.done_at is not None
        and turn.now - plan.latest.done_at < plan.protocol.watched_for
        for plan in whole.courses
    )


async def keep(turn: Turn) -> None:
    """Leave everything as it is."""
    patient = _patient(turn)
    if await _not_joined(turn, patient):
        return
    if patient.state is not PatientState.ACTIVE:
        await turn.tell_patient(patient, "patient/still_stopped", rows=[_wrong_row()])
        return
    whole = await situation.read(turn.session, patient.id or 0)
    await turn.tell_patient(
        patient, "patient/kept", {"next_date": words.next_date(whole, turn.now)}
    )


async def ask_resume(turn: Turn) -> None:
    """Ask a patient who stopped, or comes back, whether the reminders go on."""
    patient = _patient(turn)
    await turn.tell_patient(
        patient,
        "patient/resume_ask",
        rows=[
            [Button(label="resume", data=buttons.pack("resume", "yes"))],
            [Button(label="stay_stopped", data=buttons.pack("resume", "no"))],
        ],
    )


async def resume(turn: Turn, *, wanted: bool) -> None:
    """Turn the reminders on again from here, or leave them off; old steps are not replayed."""
    patient = _patient(turn)
    if patient.state not in (PatientState.STOPPED, PatientState.UNREACHABLE):
        raise StaleButton
    if not wanted:
        await turn.tell_patient(patient, "patient/still_stopped", rows=[_wrong_row()])
        return
    patient.state = PatientState.ACTIVE if patient.joined_at else PatientState.OPENED
    patient.resumed_at = turn.now
    turn.session.add(patient)
    if await _not_joined(turn, patient):
        return
    whole = await replan(turn.session, patient.id or 0, turn.now)
    await turn.tell_patient(
        patient,
        "patient/resumed",
        {"next_date": words.next_date(whole, turn.now)},
        menu=menus.PATIENT,
    )
    await pausing.tell_clinic(turn, patient, "practitioner/patient_resumed", {})


async def show_help(turn: Turn) -> None:
    """List what can be asked, with the clinic's phone number."""
    patient = _patient(turn)
    catalogue, language = turn.deps.catalogue, patient.language
    commands = [
        {"name": name, "description": catalogue.label(language, "patient_commands", name)}
        for name in catalogue.keys(language, "patient_commands")
    ]
    await turn.tell_patient(patient, "patient/help", {"commands": commands}, [_wrong_row()])
