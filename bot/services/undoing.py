"""Taking back what a practitioner did last, and telling the patient what no longer holds."""

from datetime import datetime

from bot.domain import rules
from bot.domain.states import CourseState, Lane, PatientState, VisitState
from bot.outgoing import dates
from bot.services import actions, courses, enrolling, situation, visit_notes, visits, words
from bot.services.actions import Kind
from bot.services.errors import CareError, StaleButton
from bot.services.planning import new_round
from bot.services.turn import Turn
from bot.storage.queries import people, plans
from bot.storage.tables import Action, Patient, Visit

# How each action left its visit. One that is no longer so was changed by somebody since.
_LEFT = {
    Kind.SESSION_DONE: (VisitState.DONE,),
    Kind.CORRECTED: (VisitState.DONE,),
    Kind.TARGET: (VisitState.DONE,),
    Kind.VISIT: (VisitState.PLANNED,),
    Kind.VISIT_CANCELLED: (VisitState.CANCELLED,),
    Kind.ADDED: (VisitState.DONE, VisitState.PLANNED),
}


async def undo(turn: Turn, action_ref: str) -> None:
    """Take the last action on a patient back, within ten minutes of it."""
    practitioner = enrolling.lead_or_practitioner(turn)
    action = await plans.action_by_ref(turn.session, practitioner.clinic_id, action_ref)
    if action is None:
        raise StaleButton
    # Whoever acts on the patient at this moment comes first; what they did is then the latest.
    patient = await people.locked_patient(turn.session, action.patient_id)
    if patient.state is PatientState.ERASED:
        raise StaleButton
    await turn.forget_text_about_others(patient)
    latest = await plans.latest_action(turn.session, action.patient_id)
    if latest is None or latest.id != action.id:
        raise StaleButton
    await _take_back(turn, patient, latest)


async def undo_last(turn: Turn) -> None:
    """Take back the practitioner's own latest action, whatever screen it was on."""
    practitioner = enrolling.lead_or_practitioner(turn)
    action = await plans.latest_action_by(turn.session, practitioner.id or 0)
    if action is None:
        raise CareError("undo_too_late")
    await undo(turn, action.ref)


async def _take_back(turn: Turn, patient: Patient, action: Action) -> None:
    kind = Kind(action.kind)
    if turn.now - action.done_at > rules.UNDO_WINDOW or kind in (Kind.ENROLLED, Kind.STOPPED):
        raise CareError("undo_too_late")
    action.undone_at = turn.now
    turn.session.add(action)
    undone_at, told = None, False
    name = words.name_of(turn.session, patient)
    if action.visit_id is None:
        await _pause_as_before(turn, patient, action)
    else:
        visit = await plans.visit(turn.session, action.visit_id)
        if visit.state not in _LEFT[kind]:
            raise StaleButton
        whole = await situation.read(turn.session, patient.id or 0)
        name = courses.named(turn, whole, whole.plan_of(action.visit_id))
        undone_at = _recorded(turn, visit, kind)
        told = await _visit_as_before(turn, patient, visit, action)
    moved = kind is Kind.VISIT and not action.before.get("created")
    await turn.screen(
        "practitioner/undone",
        {
            "patient": name,
            "undone": "visit_moved" if moved else kind.value,
            "undone_at": undone_at,
            "told": told,
        },
        [actions.card_button(patient)],
        patient=patient,
    )


async def _pause_as_before(turn: Turn, patient: Patient, action: Action) -> None:
    # A pause that is not the one that the action left was made by the patient since.
    if patient.state is not PatientState.ACTIVE or patient.paused_until != _instant(action, "left"):
        raise StaleButton
    patient.paused_until = _instant(action, "paused_until")
    turn.session.add(patient)
    await visits.replanned(turn, patient)


def _instant(action: Action, kept: str) -> datetime | None:
    moment = action.before.get(kept)
    return datetime.fromisoformat(moment) if moment else None


def _recorded(turn: Turn, visit: Visit, kind: Kind) -> str | None:
    """Return the time that the action put on record, before it is taken off."""
    language = turn.clinic.language
    if kind is Kind.TARGET:
        return dates.day(visit.target_date, language, turn.today) if visit.target_date else None
    at = visit.done_at if kind in (Kind.SESSION_DONE, Kind.CORRECTED) else visit.planned_at
    return dates.moment(at, turn.clinic_zone, language, turn.now) if at is not None else None


async def _visit_as_before(turn: Turn, patient: Patient, visit: Visit, action: Action) -> bool:
    """Put the visit back; say whether the patient is told of it."""
    kind = Kind(action.kind)
    told_card = await visits.card_seen(turn, visit)
    if action.before.get("ended") or kind is Kind.ADDED:
        # The session had taken an ended plan up again, or the course came with it.
        course = await plans.course(turn.session, visit.course_id)
        course.state = CourseState.STOPPED
        turn.session.add(course)
    booked = visit.state is VisitState.PLANNED
    if action.before.get("created"):
        visit.state = VisitState.CANCELLED
    else:
        actions.put_back(visit, action.before)
    if kind is Kind.CORRECTED:
        # The card that comes now replaces one that the patient has.
        await new_round(turn.session, visit)
        visit.corrected = told_card
    turn.session.add(visit)
    await turn.session.flush()
    if kind is Kind.ADDED:
        kind = Kind.VISIT if booked else Kind.SESSION_DONE
    told = await _correct_patient(turn, patient, visit, kind, told_card=told_card)
    whole = await visits.replanned(turn, patient)
    return told or (kind is Kind.CORRECTED and visits.card_again(whole, visit))


async def _correct_patient(
    turn: Turn, patient: Patient, visit: Visit, kind: Kind, *, told_card: bool
) -> bool:
    """Say in one short message what no longer holds of what the patient was told, if anything."""
    if kind is Kind.SESSION_DONE and told_card and patient.state is PatientState.ACTIVE:
        await turn.tell_patient(patient, "patient/session_undone", lane=Lane.CARE)
        return True
    if kind is Kind.VISIT:
        gone = visit.state is VisitState.CANCELLED
        return await visit_notes.tell(
            turn, patient, visit, visit_notes.CANCELLED if gone else visit_notes.MOVED
        )
    if kind is Kind.VISIT_CANCELLED:
        return await visit_notes.tell(turn, patient, visit, visit_notes.BOOKED)
    return False
