"""Taking back what a practitioner did last, and telling the patient what no longer holds."""

from datetime import datetime

from bot.domain import rules
from bot.domain.states import CourseState, Lane, PatientState, VisitState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import actions, enrolling, visit_notes, visits, words
from bot.services.actions import Kind
from bot.services.errors import CareError, StaleButton
from bot.services.turn import Turn
from bot.storage.queries import people, plans
from bot.storage.tables import Action, Patient, Visit

# How each action left its visit. One that is no longer so was changed by somebody since.
_LEFT = {
    Kind.SESSION_DONE: VisitState.DONE,
    Kind.CORRECTED: VisitState.DONE,
    Kind.TARGET: VisitState.DONE,
    Kind.VISIT: VisitState.PLANNED,
    Kind.VISIT_CANCELLED: VisitState.CANCELLED,
}


async def undo(turn: Turn, action_ref: str) -> None:
    """Take the last action on a patient back, within ten minutes of it."""
    practitioner = enrolling.lead_or_practitioner(turn)
    action = await plans.action_by_ref(turn.session, practitioner.clinic_id, action_ref)
    if action is None or action.undone_at is not None:
        raise StaleButton
    latest = await plans.latest_action(turn.session, action.patient_id)
    if latest is None or latest.id != action.id:
        raise StaleButton
    await _take_back(turn, action)


async def undo_last(turn: Turn) -> None:
    """Take back the practitioner's own latest action, whatever screen it was on."""
    practitioner = enrolling.lead_or_practitioner(turn)
    action = await plans.latest_action_by(turn.session, practitioner.id or 0)
    if action is None:
        raise CareError("undo_too_late")
    await undo(turn, action.ref)


async def _take_back(turn: Turn, action: Action) -> None:
    kind = Kind(action.kind)
    if turn.now - action.done_at > rules.UNDO_WINDOW or kind in (Kind.ENROLLED, Kind.STOPPED):
        raise CareError("undo_too_late")
    patient = await people.patient(turn.session, action.patient_id)
    action.undone_at = turn.now
    turn.session.add(action)
    if action.visit_id is None:
        await _pause_as_before(turn, patient, action)
    else:
        visit = await plans.visit(turn.session, action.visit_id)
        if visit.state is not _LEFT[kind]:
            raise StaleButton
        await _visit_as_before(turn, patient, visit, action)
    await turn.screen(
        "practitioner/undone",
        {"patient": words.name_of(turn.session, patient)},
        [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
        patient=patient,
    )


async def _pause_as_before(turn: Turn, patient: Patient, action: Action) -> None:
    if patient.state is not PatientState.ACTIVE:
        raise StaleButton
    until = action.before.get("paused_until")
    patient.paused_until = datetime.fromisoformat(until) if until else None
    turn.session.add(patient)
    await visits.replanned(turn, patient)


async def _visit_as_before(turn: Turn, patient: Patient, visit: Visit, action: Action) -> None:
    kind = Kind(action.kind)
    told_card = await visits.card_seen(turn, visit)
    if action.before.get("ended"):
        # The session had taken an ended plan up again.
        course = await plans.course(turn.session, visit.course_id)
        course.state = CourseState.STOPPED
        turn.session.add(course)
    if action.before.get("created"):
        visit.state = VisitState.CANCELLED
    else:
        actions.put_back(visit, action.before)
    if kind is Kind.CORRECTED:
        # The card that comes now replaces one that the patient has.
        await visits.new_round(turn, visit)
        visit.corrected = told_card
    turn.session.add(visit)
    await turn.session.flush()
    await _correct_patient(turn, patient, visit, kind, told_card=told_card)
    await visits.replanned(turn, patient)


async def _correct_patient(
    turn: Turn, patient: Patient, visit: Visit, kind: Kind, *, told_card: bool
) -> None:
    """Say in one short message what no longer holds of what the patient was told."""
    if kind is Kind.SESSION_DONE and told_card and patient.state is PatientState.ACTIVE:
        await turn.tell_patient(patient, "patient/session_undone", lane=Lane.CARE)
    elif kind is Kind.VISIT:
        gone = visit.state is VisitState.CANCELLED
        await visit_notes.tell(
            turn, patient, visit, visit_notes.CANCELLED if gone else visit_notes.MOVED
        )
    elif kind is Kind.VISIT_CANCELLED:
        await visit_notes.tell(turn, patient, visit, visit_notes.BOOKED)
