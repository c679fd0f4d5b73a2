"""What practitioners did, kept with what was before, so that it can be taken back or looked up."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from bot.domain.states import VisitState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services.deps import new_ref
from bot.services.errors import NotAllowed
from bot.services.turn import Turn
from bot.storage.tables import Action, Patient, Visit


class Kind(StrEnum):
    """What was done."""

    ENROLLED = "enrolled"
    ADDED = "added"
    SESSION_DONE = "session_done"
    CORRECTED = "corrected"
    TARGET = "target"
    VISIT = "visit"
    VISIT_CANCELLED = "visit_cancelled"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"


_INSTANTS = ("planned_at", "done_at", "confirmed_at")
_DATES = ("done_date", "target_date")
_PLAIN = ("state", "round", "corrected")


async def note(
    turn: Turn,
    patient: Patient,
    kind: Kind,
    *,
    visit: Visit | None = None,
    before: dict[str, Any] | None = None,
) -> Action:
    """Record what the asking practitioner did to a patient; the newest can be taken back."""
    if turn.practitioner is None:
        raise NotAllowed
    action = Action(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        practitioner_id=turn.practitioner.id or 0,
        patient_id=patient.id or 0,
        visit_id=visit.id if visit is not None else None,
        kind=kind,
        before=before or {},
        done_at=turn.now,
    )
    turn.session.add(action)
    await turn.session.flush()
    return action


def undo_rows(action: Action, patient: Patient) -> list[list[Button]]:
    """Return the buttons under what was just recorded."""
    return [
        [Button(label="undo", data=buttons.pack("undo", action.ref))],
        card_button(patient),
    ]


def card_button(patient: Patient) -> list[Button]:
    """Return the row that leads to the patient's card."""
    return [Button(label="open_card", data=buttons.pack("card", patient.ref))]


def as_before(visit: Visit | None) -> dict[str, Any]:
    """Return what an undo puts back, fit for JSON; for no visit yet, that it is created."""
    if visit is None:
        return {"created": True}
    kept: dict[str, Any] = {field: getattr(visit, field) for field in _PLAIN}
    for field in (*_INSTANTS, *_DATES):
        value = getattr(visit, field)
        kept[field] = value.isoformat() if value is not None else None
    return kept


def put_back(visit: Visit, kept: dict[str, Any]) -> None:
    """Give the visit what :func:`as_before` kept of it."""
    visit.state, visit.round, visit.corrected = (
        VisitState(kept["state"]),
        kept["round"],
        kept["corrected"],
    )
    for field in _INSTANTS:
        setattr(visit, field, datetime.fromisoformat(kept[field]) if kept[field] else None)
    for field in _DATES:
        setattr(visit, field, date.fromisoformat(kept[field]) if kept[field] else None)
