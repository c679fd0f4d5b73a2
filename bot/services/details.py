"""Where a session was and with what: typed by a practitioner, read by whoever helps."""

from bot.domain import typed
from bot.domain.states import VisitState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import actions, courses, enrolling, situation, visits, words
from bot.services.deps import new_ref
from bot.services.errors import CareError, StaleButton
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import plans
from bot.storage.tables import Patient, Visit

AREA, PRODUCT = "area", "product"
LONGEST = 100
_ASKS = {AREA: "practitioner/ask_area", PRODUCT: "practitioner/ask_product"}


async def ask(turn: Turn, ref: str, course: str = "") -> None:
    """Ask for the area of the course's last session; the product comes after it."""
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0)
    plan = courses.meant(turn, whole, "details", course)
    if plan.latest is None:
        raise StaleButton
    await _ask(turn, patient, plan.latest, AREA)


async def _ask(turn: Turn, patient: Patient, visit: Visit, what: str) -> None:
    draft = new_ref()
    notes = {"draft": draft, "patient": patient.ref, "visit": visit.ref}
    await turn.await_text(f"details_{what}", **notes)
    rows = [[Button(label="go_to_product", data=buttons.pack("product", draft))]]
    await turn.screen(
        _ASKS[what],
        await _values(turn, patient, visit),
        [*(rows if what == AREA else []), actions.card_button(patient)],
        patient=patient,
    )


async def _values(turn: Turn, patient: Patient, visit: Visit) -> dict[str, str | None]:
    whole = await situation.read(turn.session, patient.id or 0)
    at = visit.done_at or turn.now
    return {
        "patient": courses.named(turn, whole, whole.plan_of(visit.id or 0)),
        "session_at": dates.moment(at, turn.clinic_zone, turn.clinic.language, turn.now),
        **words.session_details(turn.session, visit),
    }


async def _asked_about(turn: Turn) -> tuple[Patient, Visit]:
    """Return the session that the open question is about; one taken back meanwhile is stale."""
    _, notes = await turn.awaiting()
    patient = await enrolling.own_patient(turn, notes.get("patient", ""))
    visit = await plans.visit_by_ref(turn.session, patient.clinic_id, notes.get("visit", ""))
    if visit is None or visit.patient_id != patient.id or visit.state is not VisitState.DONE:
        raise StaleButton
    return patient, visit


async def ask_product(turn: Turn, draft: str) -> None:
    """Leave the area as it is and ask for the product."""
    enrolling.lead_or_practitioner(turn)
    awaiting, notes = await turn.awaiting()
    if awaiting != f"details_{AREA}" or notes.get("draft") != draft:
        raise StaleButton
    await _ask(turn, *await _asked_about(turn), PRODUCT)


async def take(turn: Turn, what: str, text: str) -> None:
    """Keep the typed area or product; a mark without a letter empties it, as the question says."""
    said = typed.one_line(text)
    if len(said) > LONGEST:
        raise CareError("too_long", {"longest": LONGEST})
    patient, visit = await _asked_about(turn)
    kept = sealed.read(turn.session, visit)
    kept[what] = said if any(each.isalnum() for each in said) else ""
    sealed.write(turn.session, visit, {key: value for key, value in kept.items() if value})
    turn.session.add(visit)
    await turn.session.flush()
    if what == AREA:
        await _ask(turn, patient, visit, PRODUCT)
        return
    await turn.await_text("")
    course = await plans.course(turn.session, visit.course_id)
    await turn.screen(
        "practitioner/details_kept",
        await _values(turn, patient, visit),
        [visits.details_row(patient, course), actions.card_button(patient)],
        patient=patient,
    )
