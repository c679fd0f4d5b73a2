"""What a practitioner records of visits: done, booked, moved, cancelled, corrected, and undone."""

from datetime import date, datetime, timedelta
from typing import Any

from bot.domain import rules
from bot.domain.states import CourseState, Lane, PatientState, ReminderState, VisitState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import dispatch, enrolling, outbox, situation, words
from bot.services.deps import new_ref
from bot.services.errors import CareError, StaleButton
from bot.services.planning import replan
from bot.services.situation import CoursePlan, Situation
from bot.services.turn import Turn
from bot.services.typed_dates import MomentTyped
from bot.storage.queries import plans
from bot.storage.tables import Action, Patient, Visit

_KEPT = ("state", "planned_at", "done_at", "done_date", "target_date", "confirmed_at", "corrected")
TARGET_WEEKS = (2, 3, 4, 6)


async def _course(turn: Turn, patient: Patient) -> CoursePlan:
    """Return the course that a screen's buttons mean: the newest one still active."""
    whole = await situation.read(turn.session, patient.id or 0)
    active = [plan for plan in whole.courses if plan.course.state is CourseState.ACTIVE]
    if not active:
        raise CareError("no_course", {"patient": words.name_of(turn.session, patient)})
    return active[-1]


def _remember(visit: Visit) -> dict[str, Any]:
    """Return the fields of a visit that an undo puts back, fit for JSON."""
    kept: dict[str, Any] = {}
    for field in _KEPT:
        value = getattr(visit, field)
        kept[field] = value.isoformat() if isinstance(value, date) else value
    return kept


def _put_back(visit: Visit, kept: dict[str, Any]) -> None:
    for field in _KEPT:
        value = kept[field]
        if field == "state":
            value = VisitState(value)
        elif field in ("done_date", "target_date"):
            value = date.fromisoformat(value) if value else None
        elif field != "corrected":
            value = datetime.fromisoformat(value) if value else None
        setattr(visit, field, value)


async def _note(
    turn: Turn, patient: Patient, visit: Visit, kind: str, before: dict[str, Any]
) -> Action:
    practitioner = enrolling.lead_or_practitioner(turn)
    action = Action(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        practitioner_id=practitioner.id or 0,
        patient_id=patient.id or 0,
        visit_id=visit.id,
        kind=kind,
        before=before,
        done_at=turn.now,
    )
    turn.session.add(action)
    await turn.session.flush()
    return action


def _undo_rows(action: Action, patient: Patient) -> list[list[Button]]:
    return [
        [Button(label="undo", data=buttons.pack("undo", action.ref))],
        [Button(label="open_card", data=buttons.pack("card", patient.ref))],
    ]


async def _new_visit(turn: Turn, plan: CoursePlan, patient: Patient) -> Visit:
    visit = Visit(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        course_id=plan.course.id or 0,
        created_at=turn.now,
    )
    turn.session.add(visit)
    await turn.session.flush()
    return visit


async def session_done(turn: Turn, ref: str, moment: MomentTyped | None = None) -> None:
    """Record a session as done now, or at ``moment``; limits and plan start anew."""
    patient = await enrolling.own_patient(turn, ref)
    plan = await _course(turn, patient)
    if moment is not None and not moment.past:
        raise CareError("future_session")
    done_at = moment.at if moment is not None else turn.now
    if plan.latest is not None and plan.latest.done_at is not None:
        if abs(done_at - plan.latest.done_at) < timedelta(minutes=5):
            raise CareError("session_recorded", {"patient": words.name_of(turn.session, patient)})
        if done_at < plan.latest.done_at:
            raise CareError("session_earlier")
    visit = plan.booked if _meant(turn, plan.booked, done_at) else None
    before = _remember(visit) if visit is not None else {"created": True}
    if visit is None:
        visit = await _new_visit(turn, plan, patient)
    visit.state = VisitState.DONE
    visit.done_at = done_at
    visit.done_date = enrolling.session_day(turn, done_at)
    visit.recorded_at = turn.now
    turn.session.add(visit)
    whole = await _replanned(turn, patient)
    action = await _note(turn, patient, visit, "session_done", before)
    await turn.screen(
        "practitioner/session_saved",
        {
            "patient": words.name_of(turn.session, patient),
            "session_at": dates.moment(done_at, turn.clinic_zone, turn.clinic.language),
            "number": 1 + len(plan.earlier) + (1 if plan.latest else 0),
            "n_messages": _coming(whole),
            "target_asked": True,
        },
        [
            [
                Button(text=text, data=buttons.pack("target", visit.ref, str(weeks)))
                for weeks, text in _weeks(turn)
            ],
            [Button(label="set_next_visit", data=buttons.pack("setvisit", patient.ref))],
            *_undo_rows(action, patient),
        ],
        patient=patient,
    )


def _meant(turn: Turn, booked: Visit | None, done_at: datetime) -> bool:
    """Say whether a booked visit is the session that was just done: the same day, or overdue."""
    if booked is None or booked.planned_at is None:
        return False
    zone = turn.clinic_zone
    return booked.planned_at.astimezone(zone).date() <= done_at.astimezone(zone).date()


def _weeks(turn: Turn) -> list[tuple[int, str]]:
    form = turn.deps.catalogue.label(turn.clinic.language, "forms", "weeks")
    return [(weeks, form.format(weeks=weeks)) for weeks in TARGET_WEEKS]


def _coming(whole: Situation) -> int:
    return len(
        {
            row.group_key or row.ref
            for row in whole.reminders
            if row.state is ReminderState.PLANNED and row.outlook is None
        }
    )


async def _replanned(turn: Turn, patient: Patient) -> Situation:
    """Replan and send at once what became due, in this transaction."""
    whole = await replan(turn.session, patient.id or 0, turn.now)
    if patient.state is PatientState.ACTIVE:
        await dispatch.dispatch_patient(turn.session, patient.id or 0, turn.now)
    return whole


async def set_target(turn: Turn, visit_ref: str, weeks: str) -> None:
    """Keep the date planned for the next session, so that booking can be asked for in time."""
    practitioner = enrolling.lead_or_practitioner(turn)
    visit = await plans.visit_by_ref(turn.session, practitioner.clinic_id, visit_ref)
    if visit is None or visit.done_date is None or int(weeks) not in TARGET_WEEKS:
        raise StaleButton
    patient = await enrolling.own_patient(turn, (await _patient_of(turn, visit)).ref)
    before = _remember(visit)
    visit.target_date = visit.done_date + timedelta(weeks=int(weeks))
    turn.session.add(visit)
    await _replanned(turn, patient)
    action = await _note(turn, patient, visit, "target", before)
    await turn.screen(
        "practitioner/target_set",
        {
            "patient": words.name_of(turn.session, patient),
            "target_date": dates.day(visit.target_date, turn.clinic.language),
        },
        _undo_rows(action, patient),
        patient=patient,
    )


async def _patient_of(turn: Turn, visit: Visit) -> Patient:
    whole = await situation.read(turn.session, visit.patient_id)
    return whole.patient


async def ask_moment(turn: Turn, ref: str, what: str) -> None:
    """Ask for a date and time to be typed: ``visit``, ``session`` or ``correction``."""
    patient = await enrolling.own_patient(turn, ref)
    await turn.await_text(f"moment_{what}", patient=patient.ref)
    await turn.screen(
        f"practitioner/ask_{what}_time",
        {"patient": words.name_of(turn.session, patient)},
        [[Button(label="cancel", data=buttons.pack("cancel"))]],
    )


async def set_visit(turn: Turn, ref: str, moment: MomentTyped) -> None:
    """Book the next visit, or move the one that is booked; the patient is told."""
    patient = await enrolling.own_patient(turn, ref)
    if moment.past:
        raise CareError("past_visit")
    plan = await _course(turn, patient)
    visit = plan.booked
    moved = visit is not None
    before = _remember(visit) if visit is not None else {"created": True}
    if visit is None:
        visit = await _new_visit(turn, plan, patient)
    if visit.planned_at != moment.at:
        await _date(turn, visit, moment.at)
    whole = await _replanned(turn, patient)
    await tell_visit(
        turn, patient, visit, "patient/visit_moved" if moved else "patient/visit_booked"
    )
    action = await _note(turn, patient, visit, "visit", before)
    await turn.screen(
        "practitioner/visit_set",
        {
            "patient": words.name_of(turn.session, patient),
            "visit_at": dates.moment(moment.at, turn.clinic_zone, turn.clinic.language),
            "moved": moved,
            "n_messages": _coming(whole),
        },
        _undo_rows(action, patient),
        patient=patient,
    )


async def _date(turn: Turn, visit: Visit, planned_at: datetime) -> None:
    """Give a visit its date; steps delivered for another date then come again as a new round."""
    rounds = [
        row.round
        for row in await plans.reminders(turn.session, visit.patient_id)
        if row.visit_id == visit.id
    ]
    visit.round = max(rounds, default=0) + 1
    visit.planned_at = planned_at
    visit.state = VisitState.PLANNED
    visit.confirmed_at = None
    turn.session.add(visit)
    await turn.session.flush()


async def tell_visit(turn: Turn, patient: Patient, visit: Visit, template: str) -> None:
    """Tell the patient of a visit's time, with a calendar file where there is one to keep."""
    if patient.state is not PatientState.ACTIVE or visit.planned_at is None:
        return
    cancelled = template == "patient/visit_cancelled"
    await outbox.to_patient(
        turn.session,
        patient,
        template,
        turn.now,
        values=words.visit_values(turn.clinic, visit.planned_at, patient),
        rows=[]
        if cancelled
        else [[Button(label="change_time", data=buttons.pack("change", visit.ref))]],
        lane=Lane.CARE,
        visit_id=visit.id,
        expires_at=max(visit.planned_at, turn.now + timedelta(hours=1)),
        unasked=True,
        file="" if cancelled else visit.planned_at.isoformat(),
    )


async def cancel_visit(turn: Turn, ref: str) -> None:
    """Cancel the booked visit; booking and late checks come back, the patient is told."""
    patient = await enrolling.own_patient(turn, ref)
    plan = await _course(turn, patient)
    visit = plan.booked
    if visit is None:
        raise StaleButton
    before = _remember(visit)
    visit.state = VisitState.CANCELLED
    turn.session.add(visit)
    await _replanned(turn, patient)
    await tell_visit(turn, patient, visit, "patient/visit_cancelled")
    action = await _note(turn, patient, visit, "visit_cancelled", before)
    await turn.screen(
        "practitioner/visit_cancelled",
        {"patient": words.name_of(turn.session, patient)},
        _undo_rows(action, patient),
        patient=patient,
    )


async def correct_time(turn: Turn, ref: str, moment: MomentTyped) -> None:
    """Put a wrong session time right: one corrected card, and what is unsent is planned anew."""
    patient = await enrolling.own_patient(turn, ref)
    plan = await _course(turn, patient)
    visit = plan.latest
    if visit is None:
        raise StaleButton
    if not moment.past:
        raise CareError("future_session")
    before = _remember(visit)
    card_seen = await _card_seen(turn, visit)
    rounds = [
        row.round
        for row in await plans.reminders(turn.session, patient.id or 0)
        if row.visit_id == visit.id
    ]
    visit.done_at = moment.at
    visit.done_date = enrolling.session_day(turn, moment.at)
    visit.recorded_at = turn.now
    visit.corrected = card_seen
    visit.round = max(rounds, default=0) + 1
    turn.session.add(visit)
    await _replanned(turn, patient)
    action = await _note(turn, patient, visit, "corrected", before)
    await turn.screen(
        "practitioner/session_corrected",
        {
            "patient": words.name_of(turn.session, patient),
            "session_at": dates.moment(moment.at, turn.clinic_zone, turn.clinic.language),
            "card_again": card_seen,
        },
        _undo_rows(action, patient),
        patient=patient,
    )


async def _card_seen(turn: Turn, visit: Visit) -> bool:
    """Say whether the patient has (or may have) this visit's card."""
    rows = await plans.reminders(turn.session, visit.patient_id)
    return any(
        row.visit_id == visit.id and row.step == "card" and row.state is ReminderState.SENT
        for row in rows
    )


async def undo(turn: Turn, action_ref: str) -> None:
    """Take the last action on a patient back, within ten minutes of it."""
    practitioner = enrolling.lead_or_practitioner(turn)
    action = await plans.action_by_ref(turn.session, practitioner.clinic_id, action_ref)
    if action is None or action.undone_at is not None or action.visit_id is None:
        raise StaleButton
    latest = await plans.latest_action(turn.session, action.patient_id)
    if latest is None or latest.id != action.id:
        raise StaleButton
    if turn.now - action.done_at > rules.UNDO_WINDOW:
        raise CareError("undo_too_late")
    visit = await plans.visit(turn.session, action.visit_id)
    patient = await _patient_of(turn, visit)
    told_card = await _card_seen(turn, visit)
    booked_told = visit.state is VisitState.PLANNED
    if action.before.get("created"):
        visit.state = VisitState.CANCELLED
    else:
        _put_back(visit, action.before)
        await _renew_rounds(turn, visit, action.kind)
    action.undone_at = turn.now
    turn.session.add(visit)
    turn.session.add(action)
    await turn.session.flush()
    await _replanned(turn, patient)
    await _correct_patient(turn, patient, visit, action.kind, told_card=told_card, was=booked_told)
    await turn.screen(
        "practitioner/undone",
        {"patient": words.name_of(turn.session, patient)},
        [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
        patient=patient,
    )


async def _renew_rounds(turn: Turn, visit: Visit, kind: str) -> None:
    if kind in ("visit", "visit_cancelled", "corrected"):
        rounds = [
            row.round
            for row in await plans.reminders(turn.session, visit.patient_id)
            if row.visit_id == visit.id
        ]
        visit.round = max(rounds, default=0) + 1


async def _correct_patient(
    turn: Turn, patient: Patient, visit: Visit, kind: str, *, told_card: bool, was: bool
) -> None:
    """Say in one short message what no longer holds of what the patient was told."""
    if kind == "session_done" and told_card:
        await turn.tell_patient(patient, "patient/session_undone", lane=Lane.CARE)
    elif kind == "visit":
        gone = visit.state is VisitState.CANCELLED
        await tell_visit(
            turn, patient, visit, "patient/visit_cancelled" if gone else "patient/visit_moved"
        )
    elif kind == "visit_cancelled" and not was:
        await tell_visit(turn, patient, visit, "patient/visit_booked")


async def undo_last(turn: Turn) -> None:
    """Take back the practitioner's own latest action, whatever screen it was on."""
    practitioner = enrolling.lead_or_practitioner(turn)
    action = await plans.latest_action_by(turn.session, practitioner.id or 0)
    if action is None:
        raise CareError("undo_too_late")
    await undo(turn, action.ref)
