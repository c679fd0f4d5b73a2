"""Whatever a patient says reaches a person: trouble, texts, photos, voice, anything else."""

import logging
from collections.abc import Mapping
from typing import Any

from bot.domain import typed
from bot.domain.states import Lane
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.outgoing.catalogue import Catalogue
from bot.services import alerting, outbox, phones, questions, reporting, team, words
from bot.services.deps import new_ref
from bot.services.errors import CareError
from bot.services.outbox import Rows
from bot.services.turn import Turn
from bot.storage.tables import Message, Patient, Practitioner

log = logging.getLogger(__name__)

_QUOTED = 3000
ALBUM = "album"


def _patient(turn: Turn) -> Patient:
    if turn.patient is None:
        # Whoever looks for help here reads the phone numbers at least.
        raise CareError("no_invitation")
    return turn.patient


def _wrong_row() -> list[Button]:
    return [Button(label="something_wrong", data=buttons.pack("wrong"))]


async def say_told(
    turn: Turn,
    patient: Patient,
    template: str,
    rows: Rows = (),
    values: Mapping[str, Any] | None = None,
    *,
    urgent: bool = False,
) -> Message | None:
    """Tell the patient that a person hears of it; when nobody can be reached, to call.

    Returns what they read; nothing when it is only to call.
    """
    told = await team.responders(turn.session, patient, urgent=urgent)
    if told:
        lane = Lane.DANGER if urgent else Lane.REPLY
        # Whoever treats them may be out of reach: the name that is read is of somebody told.
        given = {"practitioner": words.name_of(turn.session, told[0]), **(values or {})}
        return await turn.tell_patient(patient, template, given, rows, lane=lane)
    log.error(
        "a report reached nobody",
        extra={"action": "nobody_told", "patient": patient.ref, "update_id": turn.update_id},
    )
    await team.nobody(turn.session, patient, turn.now)
    return None


async def pass_on(
    turn: Turn,
    kind: str,
    text: str = "",
    *,
    attached: bool = False,
    album: str = "",
    asks: bool = True,
) -> None:
    """Pass anything a patient sent to their practitioner, and answer with the phone numbers.

    ``kind`` is a key of the labels' ``sent_kinds``; a text is quoted, what it is ``attached`` to is
    copied, and of one ``album`` the first is announced and answered. A text with an emergency word
    raises an urgent alert too: words can raise a level, never lower it. What ``asks`` nothing, such
    as a thank you, waits for no answer.
    """
    patient = _patient(turn)
    awaiting, notes = await turn.awaiting()
    if album and awaiting == ALBUM and notes.get(ALBUM) == album and not text:
        report = new_ref()
        for practitioner in await team.responders(turn.session, patient):
            await _copy(turn, practitioner, patient, None, report, lane=Lane.REPLY)
        return
    if album:
        await turn.await_text(ALBUM, album=album)
    elif awaiting:
        await turn.await_text("")
    urgent = bool(text) and has_emergency_word(turn, text)
    report = new_ref()
    if urgent:
        values = {"closed": await alerting.is_closed(turn, patient)}
        said = await say_told(
            turn, patient, "patient/emergency_numbers", values=values, urgent=True
        )
        if said is not None:
            await phones.ask(turn, patient, phones.URGENT, said)
        report = (await reporting.words_of_danger(turn, patient, text)).ref
    # Only what belongs to an alert goes with the alerts: whoever writes much delays nobody else's.
    lane = Lane.DANGER if urgent else Lane.REPLY
    # A text longer than the quotation is copied whole.
    copied = turn.message_id is not None and (attached or not 0 < len(text) <= _QUOTED)
    for practitioner in await team.responders(turn.session, patient, urgent=urgent):
        heading = await turn.tell(
            practitioner,
            "alerts/passed_on",
            {
                "patient": words.name_of(turn.session, patient),
                "kind": turn.deps.catalogue.label(turn.clinic.language, "sent_kinds", kind),
                "quoted": text[:_QUOTED] or None,
                "copied": copied,
                "edited": kind == "edited",
                "is_test": patient.is_test,
            },
            questions.answer_rows(patient),
            patient=patient,
            lane=lane,
            report=report,
        )
        if copied and heading is not None:
            await _copy(turn, practitioner, patient, heading.id, report, lane=lane)
    if not urgent and not asks:
        await say_told(turn, patient, "patient/thanks_passed", [_wrong_row()])
    elif not urgent:
        question = await questions.take(turn, patient, kind, text)
        shown = "text" if kind == "edited" else kind
        promised = questions.promised(turn, patient, question.reply_by)
        await say_told(turn, patient, f"patient/{shown}_passed", [_wrong_row()], promised)


async def _copy(
    turn: Turn,
    practitioner: Practitioner,
    patient: Patient,
    follows_id: int | None,
    report: str,
    *,
    lane: Lane,
) -> None:
    if turn.message_id is not None:
        await outbox.relay(
            turn.session,
            practitioner,
            patient,
            turn.message_id,
            turn.now,
            language=turn.clinic.language,
            follows_id=follows_id,
            report=report,
            lane=lane,
        )


def has_emergency_word(turn: Turn, text: str) -> bool:
    """Say whether a text holds one of the words that raise it to urgent (clinical.md 4)."""
    return says_danger(turn.deps.catalogue, turn.language, text)


def says_danger(catalogue: Catalogue, language: str, text: str) -> bool:
    """The same of a text in a language, without the database."""
    said = typed.simplified(text)
    return any(word in said for word in catalogue.words(language, "emergency"))


async def ask_clinic(turn: Turn) -> None:
    """Invite the patient to write; whatever comes next is passed on (it would be anyway)."""
    patient = _patient(turn)
    await turn.await_text("question")
    promised = questions.promised(turn, patient, questions.promise(turn))
    await turn.tell_patient(patient, "patient/ask_open", promised, [_wrong_row()])


async def tell_practitioner(
    turn: Turn,
    patient: Patient,
    template: str,
    values: dict[str, Any] | None = None,
    rows: Rows | None = None,
) -> None:
    """Tell whoever treats the patient something about them that is no alert."""
    report = new_ref()
    visit = [[Button(label="set_next_visit", data=buttons.pack("setvisit", patient.ref))]]
    for practitioner in await team.responders(turn.session, patient):
        await turn.tell(
            practitioner,
            template,
            {"patient": words.name_of(turn.session, patient), **(values or {})},
            [
                *(rows if rows is not None else visit),
                [Button(label="open_card", data=buttons.pack("card", patient.ref))],
            ],
            patient=patient,
            report=report,
        )
