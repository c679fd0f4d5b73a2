"""What was sent to a patient, message by message, for the practitioner."""

from bot.outgoing import dates
from bot.services import actions, enrolling, words
from bot.services.turn import Turn
from bot.storage.queries import outbox

# What the screen lists at most: more would not fit into one message.
_ROWS = 15


async def show(turn: Turn, ref: str) -> None:
    """Show the newest messages to the patient, each with its time and what became of it."""
    patient = await enrolling.own_patient(turn, ref)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    sent = await outbox.sent_to_patient(turn.session, patient.id or 0, limit=_ROWS)
    lines = [
        {
            "when": dates.moment(message.sent_at or message.queued_at, turn.clinic_zone, language),
            "what": _title(turn, message.template),
            "state": catalogue.label(language, "message_states", message.state.value),
            "reason": catalogue.label(language, "reasons", message.reason.value)
            if message.reason is not None
            else None,
        }
        for message in reversed(sent)
    ]
    await turn.screen(
        "practitioner/sent",
        {"patient": words.name_of(turn.session, patient), "messages": lines},
        [actions.card_button(patient)],
        patient=patient,
    )


def _title(turn: Turn, template: str) -> str:
    """Return what a message was, in a word or two, by the folder and name of its text."""
    language = turn.clinic.language
    name = template.rsplit("/", 1)[-1].replace("-", "_")
    known = turn.deps.catalogue.keys(language, "titles")
    return turn.deps.catalogue.label(language, "titles", name if name in known else "other")
