"""Notes to a patient on a visit: booked, moved, cancelled; one that waits gives way to the next."""

from datetime import timedelta

from bot.domain.states import Lane, PatientState, Reason
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import outbox, words
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import outbox as messages
from bot.storage.queries import told
from bot.storage.tables import Patient, Visit

BOOKED, MOVED, CANCELLED = (
    "patient/visit_booked",
    "patient/visit_moved",
    "patient/visit_cancelled",
)
_NOTES = frozenset({BOOKED, MOVED, CANCELLED})


async def tell(turn: Turn, patient: Patient, visit: Visit, template: str) -> bool:
    """Tell the patient of a visit's time, with a calendar file; say whether there is news to tell.

    A note on the same visit that still waits (for the end of quiet hours) makes way for this one.
    """
    if patient.state is not PatientState.ACTIVE or visit.planned_at is None:
        return False
    cancelled = template == CANCELLED
    untold = await _take_back_note(turn, visit)
    if untold == BOOKED:
        if cancelled:
            return False
        template = BOOKED
    elif untold and not cancelled and await _knows(turn, visit):
        return False
    await outbox.to_patient(
        turn.session,
        patient,
        template,
        turn.now,
        values=words.visit_values(turn.clinic, visit.planned_at, patient, turn.now),
        rows=[]
        if cancelled
        else [[Button(label="change_time", data=buttons.pack("change", visit.ref))]],
        lane=Lane.CARE,
        visit_id=visit.id,
        expires_at=max(visit.planned_at, turn.now + timedelta(hours=1)),
        unasked=True,
        file="" if cancelled else visit.planned_at.isoformat(),
    )
    return True


async def _take_back_note(turn: Turn, visit: Visit) -> str:
    """Drop what waits to be told of the visit; return its template, ``""`` when nothing waits.

    What may have arrived once counts as told: the patient must not rely on it when it is over.
    """
    taken = ""
    for message in await messages.queued_for_patient(turn.session, visit.patient_id):
        about = message.visit_id == visit.id and message.template in _NOTES
        if about and await messages.drop_queued(turn.session, message.id or 0, Reason.REPLACED):
            # The oldest that waits says what the patient does not know yet.
            taken = taken or (message.template if message.maybe_copies == 0 else "")
    return taken


async def _knows(turn: Turn, visit: Visit) -> bool:
    """Say whether the last note that went out already names the visit's time."""
    last = await told.latest_sent(turn.session, visit.id or 0, _NOTES)
    if last is None or last.template == CANCELLED or visit.planned_at is None:
        return False
    return sealed.read(turn.session, last).get("file") == visit.planned_at.isoformat()
