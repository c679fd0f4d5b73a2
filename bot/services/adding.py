"""One more treatment for somebody who is a patient already: no new link, the consent stands."""

from bot.domain.states import PatientState
from bot.outgoing import dates
from bot.services import actions, courses, enrolling, situation, visit_notes, visits, words
from bot.services.deps import new_ref
from bot.services.errors import CareError, StaleButton
from bot.services.turn import Turn

# Whoever said no has agreed to nothing that a treatment could be added to.
REFUSED = frozenset({PatientState.DECLINED, PatientState.ERASED})


async def offer(turn: Turn, ref: str) -> None:
    """Show the approved treatments that the patient does not have, the most recent first."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.state in REFUSED:
        raise StaleButton
    whole = await situation.read(turn.session, patient.id or 0)
    has = {plan.protocol.name for plan in whole.running()}
    name, draft = words.name_of(turn.session, patient), new_ref()
    await turn.await_text("new_patient", draft=draft, name=name, card=patient.ref)
    await enrolling.offer_treatments(turn, name, draft, without=has)


async def add(turn: Turn, draft: str) -> None:
    """Begin the chosen course; who has joined gets its card, or hears of its visit, at once."""
    notes = await enrolling.ready(turn, draft)
    if not notes.get("card"):
        raise StaleButton
    await turn.await_text("")
    patient = await enrolling.own_patient(turn, notes["card"])
    version = await enrolling.usable_protocol(turn, notes["protocol"])
    whole = await situation.read(turn.session, patient.id or 0)
    if patient.state in REFUSED:
        raise StaleButton
    if any(plan.protocol.name == version.name for plan in whole.running()):
        raise CareError("already_enrolled", {"patient": words.name_of(turn.session, patient)})
    moment, variant = enrolling.noted_moment(notes), notes.get("variant") or None
    visit = await enrolling.add_course(turn, patient, version, moment, variant)
    # The note goes before what the new date makes due at once.
    await visit_notes.tell(turn, patient, visit, visit_notes.BOOKED)
    whole = await visits.replanned(turn, patient)
    plan = whole.plan_of(visit.id or 0)
    before = actions.as_before(None)
    action = await actions.note(turn, patient, actions.Kind.ADDED, visit=visit, before=before)
    at = visit.done_at or visit.planned_at or turn.now
    await turn.screen(
        "practitioner/treatment_added",
        {
            "patient": courses.named(turn, whole, plan),
            "session_planned": visit.done_at is None,
            "session_at": dates.moment(at, turn.clinic_zone, turn.clinic.language, turn.now),
            "n_messages": visits.coming(whole),
        },
        [
            *([] if visit.done_at is None else [visits.details_row(patient, plan.course)]),
            *actions.undo_rows(action, patient),
        ],
        patient=patient,
    )
