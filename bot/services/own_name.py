"""A patient puts right who they are: a wrong name, or an account that is somebody else's."""

from datetime import datetime, timedelta

from bot.domain import typed
from bot.domain.states import Lane, PatientState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import (
    accounts,
    enrolling,
    joining,
    own_settings,
    pausing,
    photo_consent,
    reports,
    team,
    words,
)
from bot.services import typed_texts as own_words
from bot.services.errors import CareError, StaleButton
from bot.services.planning import replan
from bot.services.turn import Turn
from bot.storage import sealed

_ASKED = "own_name"
# What is typed later than this was not meant as a name any more.
_ASKED_FOR = timedelta(minutes=15)
_WORDS_OF_A_NAME = 4


async def ask(turn: Turn) -> None:
    """Ask for the right name: it is the next that the patient types."""
    patient = own_settings.asking(turn)
    if patient.confirmed_at is None:
        raise StaleButton
    await turn.await_text(_ASKED, until=(turn.now + _ASKED_FOR).isoformat())
    await turn.tell_patient(patient, "patient/ask_name")


async def forget(turn: Turn) -> None:
    """Ask for no name any more: the patient went on to something else."""
    if (await turn.awaiting())[0] == _ASKED:
        await turn.await_text("")


async def take(turn: Turn, text: str) -> bool:
    """Keep a typed name and tell the practitioner; say whether it was one.

    A STOP, a word of danger, a question about a limit and what is too long for a name are the
    patient's words as ever.
    """
    patient = own_settings.asking(turn)
    awaiting, notes = await turn.awaiting()
    if awaiting != _ASKED:
        return False
    await turn.await_text("")
    late = turn.now > datetime.fromisoformat(notes["until"])
    said = typed.simplified(text)
    sentence = len(text.split()) > _WORDS_OF_A_NAME or own_words.asked_limits(turn, said)
    danger = reports.has_emergency_word(turn, text)
    if late or sentence or danger or own_words.is_stop(turn, text.lower()):
        return False
    try:
        name = enrolling.clean_name(text)
    except CareError:
        return False
    kept = sealed.read(turn.session, patient)
    before = kept.get("name", "")
    # On record, as what went out before called them by it.
    earlier = [*kept.get("earlier_names", ()), {"name": before, "until": turn.now.isoformat()}]
    sealed.write(turn.session, patient, kept | {"name": name, "earlier_names": earlier})
    turn.session.add(patient)
    await turn.session.flush()
    await turn.tell_patient(patient, "patient/name_kept")
    await pausing.tell_clinic(turn, patient, "practitioner/name_corrected", {"name": before})
    return True


async def ask_not_me(turn: Turn) -> None:
    """Ask once more before an account is let go of."""
    await turn.own_screen(
        own_settings.asking(turn),
        "patient/not_me_ask",
        rows=[
            own_settings.button("let_go", "letgo"),
            own_settings.button("back_to_settings", "show"),
        ],
    )


async def let_go(turn: Turn) -> None:
    """Unlink the account and tell the practitioner; only a new invitation links one again."""
    patient = own_settings.asking(turn)
    if patient.state is PatientState.OPENED:
        await joining.wrong_person(turn)
        return
    await turn.tell_patient(patient, "patient/let_go")
    for practitioner in await team.responders(turn.session, patient):
        await turn.tell(
            practitioner,
            "practitioner/let_go",
            {"patient": words.name_of(turn.session, patient)},
            [
                [Button(label="new_link", data=buttons.pack("link", patient.ref))],
                [Button(label="open_card", data=buttons.pack("card", patient.ref))],
            ],
            patient=patient,
            # Nothing more reaches the patient by the bot: somebody must hear of it.
            lane=Lane.DANGER,
        )
    await turn.session.flush()
    await photo_consent.withdraw(turn, patient)
    await accounts.unlink(turn, patient)
    await replan(turn.session, patient.id or 0, turn.now)
