"""A patient's phone number: asked for with the reason, shared, refused, or typed by the clinic."""

import re

from bot.domain.states import Lane, Level
from bot.services import accounts, actions, enrolling, menus, outbox, pausing, words
from bot.services.deps import new_ref
from bot.services.errors import CareError
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import alerts
from bot.storage.tables import Message, Patient

# Why it is asked for: once for each, and never after a no.
BOOKING, URGENT = "booking", "urgent"
_TYPED = re.compile(r"\+?[\d\s()./-]+")
# From a short number of a hospital's own to the longest that can be called.
_DIGITS = range(4, 16)


async def ask(turn: Turn, patient: Patient, why: str, after: Message | None = None) -> None:
    """Ask for the number by Telegram's own button, unless it is known, refused or asked for so.

    It leaves when ``after`` has left: what to do in danger comes first.
    """
    kept = sealed.read(turn.session, patient)
    asked = kept.get(accounts.PHONE_ASKED, [])
    if kept.get(accounts.PHONE) or kept.get(accounts.PHONE_REFUSED) or why in asked:
        return
    if patient.is_test or patient.joined_at is None or patient.telegram_id is None:
        # Before somebody has confirmed who it is, no number goes on a patient's card.
        return
    await _keep(turn, patient, {accounts.PHONE_ASKED: [*asked, why]})
    await outbox.to_patient(
        turn.session,
        patient,
        "patient/ask_phone",
        turn.now,
        values={"urgent": why == URGENT},
        menu=menus.PHONE,
        follows_id=after.id if after is not None else None,
    )


async def _keep(turn: Turn, patient: Patient, values: dict[str, object]) -> None:
    kept = sealed.read(turn.session, patient) | values
    sealed.write(turn.session, patient, {key: each for key, each in kept.items() if each})
    turn.session.add(patient)
    await turn.session.flush()


async def take(turn: Turn, number: str, owner: int | None) -> bool:
    """Keep the number that a patient shares; say whether that was answered.

    Somebody else's is refused. One that cannot be called, or of who has not joined, is not taken.
    """
    patient = turn.patient
    if patient is None or patient.joined_at is None:
        return False
    if owner != turn.account.id:
        await turn.tell_patient(patient, "patient/phone_of_other")
        return True
    digits = re.sub(r"\D", "", number)
    if len(digits) not in _DIGITS:
        return False
    # Telegram tells it with the country's code, and the sign before it or not.
    shared = f"+{digits}"
    news = sealed.read(turn.session, patient).get(accounts.PHONE) != shared
    await _keep(turn, patient, {accounts.PHONE: shared, accounts.PHONE_SHARED: True})
    await turn.tell_patient(
        patient, "patient/phone_kept", {"patient_phone": shared}, menu=menus.PATIENT
    )
    if news:
        urgent = await _is_urgent(turn, patient)
        lane = Lane.DANGER if urgent else Lane.CARE
        told: dict[str, object] = {"patient_phone": shared}
        await pausing.tell_clinic(turn, patient, "practitioner/phone_given", told, lane)
    return True


async def _is_urgent(turn: Turn, patient: Patient) -> bool:
    """Say whether somebody is about to phone: then the number must not wait."""
    found = await alerts.open_of_patient(turn.session, patient.id or 0)
    return any(each.level in (Level.URGENT, Level.EMERGENCY) for each in found)


async def refuse(turn: Turn) -> None:
    """Note the no: the number is not asked for again, and the menu is as it was."""
    patient = turn.patient
    if patient is None or patient.joined_at is None:
        raise CareError("not_a_patient")
    await _keep(turn, patient, {accounts.PHONE_REFUSED: True})
    await turn.tell_patient(patient, "patient/phone_refused", menu=menus.PATIENT)


async def explain(turn: Turn) -> None:
    """Say once more how it is shared: the words of the key were typed, or the app cannot do it."""
    patient = turn.patient
    if patient is None or patient.joined_at is None:
        raise CareError("not_a_patient")
    await turn.tell_patient(patient, "patient/ask_phone", {"urgent": False}, menu=menus.PHONE)


async def ask_clinic(turn: Turn, ref: str) -> None:
    """Ask a practitioner to type the number of a patient, or another one."""
    patient = await enrolling.own_patient(turn, ref)
    draft = new_ref()
    await turn.await_text("patient_phone", draft=draft, patient=patient.ref)
    await turn.screen(
        "practitioner/ask_phone",
        {
            "patient": words.name_of(turn.session, patient),
            "patient_phone": words.phone_of(turn.session, patient),
        },
        [[enrolling.cancel_button(draft)]],
        patient=patient,
    )


async def take_typed(turn: Turn, text: str) -> None:
    """Keep the number that a practitioner typed; a mark without a digit empties it."""
    _, notes = await turn.awaiting()
    patient = await enrolling.own_patient(turn, notes.get("patient", ""))
    typed = " ".join(text.split())
    digits = re.sub(r"\D", "", typed)
    emptied = typed == "-"
    if not emptied and (not _TYPED.fullmatch(typed) or len(digits) not in _DIGITS):
        raise CareError("phone_number")
    await _keep(
        turn, patient, {accounts.PHONE: "" if emptied else typed, accounts.PHONE_SHARED: False}
    )
    await turn.await_text("")
    await turn.screen(
        "practitioner/phone_kept",
        {
            "patient": words.name_of(turn.session, patient),
            "patient_phone": words.phone_of(turn.session, patient),
        },
        [actions.card_button(patient)],
        patient=patient,
    )
