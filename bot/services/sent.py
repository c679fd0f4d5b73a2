"""What was sent to a patient, message by message, page by page, for the practitioner."""

from collections.abc import Sequence

from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import actions, enrolling, words
from bot.services.errors import StaleButton
from bot.services.turn import Turn
from bot.storage.queries import outbox, told
from bot.storage.tables import Message, Patient

# What a page lists: more would not fit into one message.
_ROWS = 15


async def show(turn: Turn, ref: str) -> None:
    """Show the newest messages to the patient, each with its time and what became of it."""
    patient = await enrolling.own_patient(turn, ref)
    found = await told.sent_to_patient(turn.session, patient.id or 0, limit=_ROWS + 1)
    await _page(turn, patient, found[:_ROWS], older=len(found) > _ROWS, newer=False)


async def show_older(turn: Turn, ref: str, message_ref: str) -> None:
    """Show the page before that message, which was the oldest on the screen."""
    patient, edge = await _edge(turn, ref, message_ref)
    found = await told.sent_to_patient(
        turn.session, patient.id or 0, limit=_ROWS + 1, before=edge.id
    )
    if not found:
        raise StaleButton
    await _page(turn, patient, found[:_ROWS], older=len(found) > _ROWS, newer=True)


async def show_newer(turn: Turn, ref: str, message_ref: str) -> None:
    """Show the page after that message; the last page is always a full one."""
    patient, edge = await _edge(turn, ref, message_ref)
    found = await told.sent_to_patient_after(
        turn.session, patient.id or 0, edge.id or 0, limit=_ROWS + 1
    )
    if len(found) <= _ROWS:
        await show(turn, ref)
        return
    await _page(turn, patient, found[:_ROWS][::-1], older=True, newer=True)


async def _edge(turn: Turn, ref: str, message_ref: str) -> tuple[Patient, Message]:
    """Return the message that a page ends at: what came since does not shift the pages."""
    patient = await enrolling.own_patient(turn, ref)
    edge = await outbox.message_by_ref(turn.session, message_ref)
    if edge is None or edge.patient_id != patient.id or edge.practitioner_id is not None:
        raise StaleButton
    return patient, edge


async def _page(
    turn: Turn, patient: Patient, sent: Sequence[Message], *, older: bool, newer: bool
) -> None:
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    lines = [
        {
            "when": dates.moment(
                message.sent_at or message.queued_at, turn.clinic_zone, language, turn.now
            ),
            "what": words.title(catalogue, language, message.template),
            "state": catalogue.label(language, "message_states", message.state.value),
            "reason": catalogue.label(language, "reasons", message.reason.value)
            if message.reason is not None
            else None,
        }
        for message in reversed(sent)
    ]
    turning = []
    if older:
        data = buttons.pack("older", patient.ref, sent[-1].ref)
        turning.append(Button(label="older_messages", data=data))
    if newer:
        data = buttons.pack("newer", patient.ref, sent[0].ref)
        turning.append(Button(label="newer_messages", data=data))
    await turn.screen(
        "practitioner/sent",
        {
            "patient": words.name_of(turn.session, patient),
            "messages": lines,
            "clinic_city": words.clinic_city(turn.clinic, patient, language),
        },
        [*([turning] if turning else []), actions.card_button(patient)],
        patient=patient,
    )
