"""A practitioner asks a patient for a photo: whether they may be asked, and how they are."""

from datetime import timedelta

from bot.domain.states import Lane, PatientState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import actions, outbox, words
from bot.services.enrolling import lead_or_practitioner, own_patient
from bot.services.errors import CareError
from bot.services.turn import Turn
from bot.storage.queries import alerts, told
from bot.storage.queries import outbox as queries
from bot.storage.tables import Patient

_WANTED = "patient/photo_wanted"
# Two practitioners under one alert ask once.
_ASKED_LATELY = timedelta(minutes=10)


async def may_ask(turn: Turn, patient: Patient) -> bool:
    """Say whether a patient may be asked: the clinic wants photos, and so does the patient.

    After STOP nobody is asked anything, unless they have reported something since.
    """
    if not turn.clinic.photos_on or not patient.photo_requests:
        return False
    if patient.is_test or patient.joined_at is None:
        return False
    if patient.state is PatientState.STOPPED:
        return bool(await alerts.open_of_patient(turn.session, patient.id or 0))
    return patient.state is PatientState.ACTIVE


async def row(turn: Turn, patient: Patient) -> list[list[Button]]:
    """Return the button that asks a patient for a photo, where they may be asked."""
    if not await may_ask(turn, patient):
        return []
    return [[Button(label="ask_for_photo", data=buttons.pack("askphoto", patient.ref))]]


async def ask(turn: Turn, ref: str) -> None:
    """Ask a patient for a photo in the name of whoever taps; what it needs follows their yes.

    While a report of theirs is open it goes at once, as they wait for the clinic, and takes the
    place of one that waits for the morning; else outside quiet hours.
    """
    practitioner = lead_or_practitioner(turn)
    patient = await own_patient(turn, ref)
    name = words.name_of(turn.session, patient)
    if not await may_ask(turn, patient):
        raise CareError("photo_not_asked", {"patient": name})
    turn.toast = "asked"
    waiting = await alerts.open_of_patient(turn.session, patient.id or 0)
    if await _asked_already(turn, patient, at_once=bool(waiting)):
        return
    await queries.drop_questions(turn.session, patient.id or 0, [_WANTED])
    await outbox.to_patient(
        turn.session,
        patient,
        _WANTED,
        turn.now,
        values={"practitioner": words.name_of(turn.session, practitioner)},
        rows=[
            [Button(label="send_photo", data=buttons.pack("keepphotos", "how"))],
            [Button(label="something_wrong", data=buttons.pack("wrong"))],
        ],
        lane=Lane.REPLY if waiting else Lane.CARE,
        unasked=not waiting,
    )
    for alert in waiting:
        alerts.note(turn.session, alert, "asked_for_photo", turn.now, practitioner.id)
    await turn.tell(
        practitioner,
        "practitioner/photo_asked",
        {"patient": name},
        [actions.card_button(patient)],
        patient=patient,
    )


async def _asked_already(turn: Turn, patient: Patient, *, at_once: bool) -> bool:
    """Say whether the patient has just been asked, or is about to be.

    What waits for the morning is no answer to somebody who asks at once.
    """
    chat_id, since = patient.telegram_id or 0, turn.now - _ASKED_LATELY
    if await told.said_between(turn.session, chat_id, _WANTED, since, turn.now):
        return True
    lanes = (Lane.REPLY,) if at_once else (Lane.REPLY, Lane.CARE)
    return await told.about_to_be_said(turn.session, chat_id, _WANTED, lanes)
