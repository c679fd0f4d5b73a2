"""A person of the clinic writes to a patient: the words go as they are, under the person's name."""

from datetime import datetime, timedelta
from typing import Any

from bot.domain.states import PatientState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import enrolling, own_words, questions, words
from bot.services.errors import CareError, StaleButton
from bot.services.turn import Turn
from bot.storage.queries import outbox as messages
from bot.storage.queries import people
from bot.storage.queries import questions as queries
from bot.storage.tables import Patient, Practitioner, Question

WORDS = "words_to_patient"
# With the patient's name, the clinic's and the markup it still fits into one message.
LONGEST = 3000
# Whoever began to write longer ago has been called away.
_WRITING = timedelta(minutes=10)
_TYPING = timedelta(minutes=30)
_READ = (PatientState.ACTIVE, PatientState.STOPPED)


def can_write(patient: Patient) -> bool:
    """Say whether words would reach the patient, and nobody but the patient."""
    confirmed = patient.confirmed_at is not None
    return confirmed and patient.telegram_id is not None and patient.state in _READ


async def ask_words(turn: Turn, ref: str) -> None:
    """Ask the practitioner for the words; a colleague who writes or has answered is named."""
    practitioner = enrolling.lead_or_practitioner(turn)
    patient = await _reader(turn, ref)
    question = await queries.latest(turn.session, patient.id or 0)
    values = await _seen(turn, question, practitioner)
    if question is not None and question.answered_at is None:
        question.writing_by, question.writing_at = practitioner.id, turn.now
        turn.session.add(question)
    await turn.await_text(WORDS, patient=ref, since=turn.now.isoformat())
    await turn.tell(
        practitioner,
        "practitioner/write_ask",
        {
            "patient": words.name_of(turn.session, patient),
            "writer": words.name_of(turn.session, practitioner),
            "is_test": patient.is_test,
            **values,
        },
        [[Button(label="write_nothing", data=buttons.pack("unwrite", ref))]],
        patient=patient,
    )


async def _reader(turn: Turn, ref: str) -> Patient:
    patient = await enrolling.own_patient(turn, ref)
    if not can_write(patient):
        raise CareError("cannot_write", {"patient": words.name_of(turn.session, patient)})
    return patient


async def _seen(turn: Turn, question: Question | None, writer: Practitioner) -> dict[str, Any]:
    """Return what the writer is shown: the open question, who is at it, or who has answered it."""
    shown: dict[str, Any] = {"quoted": None, "busy": None, "answered": None}
    if question is None:
        return shown
    if question.answered_at is not None:
        return shown | {"answered": await _answered(turn, question)}
    shown["quoted"] = questions.text_of(turn.session, question) or None
    began, by = question.writing_at, question.writing_by
    if began is not None and by not in (None, writer.id) and turn.now - began < _WRITING:
        colleague = await people.practitioner(turn.session, by or 0)
        shown["busy"] = words.name_of(turn.session, colleague)
    return shown


async def _answered(turn: Turn, question: Question) -> dict[str, str | None]:
    who = await people.practitioner(turn.session, question.answered_by or 0)
    language, zone = turn.clinic.language, turn.clinic_zone
    return {
        "by": words.name_of(turn.session, who),
        "at": dates.moment(question.answered_at or turn.now, zone, language, turn.now),
        "words": questions.answer_of(turn.session, question) or None,
    }


async def take_words(turn: Turn, text: str, replied_to: int | None = None) -> None:
    """Send what was typed; if a colleague answered meanwhile, show that first.

    What is a reply to a message about another patient may be meant for that one: it goes nowhere.
    """
    practitioner = enrolling.lead_or_practitioner(turn)
    _, notes = await turn.awaiting()
    patient = await _reader(turn, notes["patient"])
    other = await _replied_about(turn, replied_to)
    if other is not None and other.id != patient.id:
        await _ask_who(turn, practitioner, patient, other)
        return
    if len(text) > LONGEST:
        raise CareError("too_long", {"longest": LONGEST})
    question = await queries.latest(turn.session, patient.id or 0)
    since = datetime.fromisoformat(notes["since"])
    if turn.now - since > _TYPING:
        # Asked for so long ago, it may be meant for somebody else.
        await turn.await_text("")
        await turn.tell(
            practitioner,
            "practitioner/write_late",
            {"patient": words.name_of(turn.session, patient)},
            [[Button(label="write_to_patient", data=buttons.pack("write", patient.ref))]],
            patient=patient,
        )
        return
    seen = datetime.fromisoformat(notes.get("seen", notes["since"]))
    if not await _held_back(turn, practitioner, patient, since, seen, text):
        await _send(turn, practitioner, patient, question, since, text)


async def _held_back(
    turn: Turn,
    practitioner: Practitioner,
    patient: Patient,
    since: datetime,
    seen: datetime,
    text: str,
) -> bool:
    """Keep words back that a colleague's answer since ``seen`` may make needless; say whether.

    The patient may have asked something new after that answer. The words stay those of ``since``.
    """
    answered = await queries.answered_by_others(
        turn.session, patient.id or 0, practitioner.id or 0, seen
    )
    if answered is None:
        return False
    notes = {"since": since.isoformat(), "seen": turn.now.isoformat(), "held": text}
    await turn.await_text(WORDS, patient=patient.ref, **notes)
    await turn.screen(
        "practitioner/write_held",
        {
            "patient": words.name_of(turn.session, patient),
            "answered": await _answered(turn, answered),
        },
        [
            [Button(label="send_mine_too", data=buttons.pack("writeheld", patient.ref))],
            [Button(label="write_nothing", data=buttons.pack("unwrite", patient.ref))],
        ],
        patient=patient,
    )
    return True


async def _replied_about(turn: Turn, number: int | None) -> Patient | None:
    """Return the patient whom the message with that number in this chat is about, if anybody."""
    if number is None:
        return None
    row = await messages.message_in_chat(turn.session, turn.account.id, number)
    if row is None or row.patient_id is None:
        return None
    return await people.patient(turn.session, row.patient_id)


async def _ask_who(
    turn: Turn, practitioner: Practitioner, begun: Patient, replied_about: Patient
) -> None:
    """Wait for no words any more, and ask to whom of the two they are to go."""
    await turn.await_text("")
    both = [
        (patient.ref, words.name_of(turn.session, patient)) for patient in (begun, replied_about)
    ]
    await turn.tell(
        practitioner,
        "practitioner/write_whom",
        {"patient": both[0][1], "other_patient": both[1][1]},
        [[Button(text=name, data=buttons.pack("write", ref))] for ref, name in both],
        patient=begun,
    )


async def send_held(turn: Turn, ref: str) -> None:
    """Send what was kept back, beside the colleague's answer; a further one is shown first."""
    practitioner = enrolling.lead_or_practitioner(turn)
    awaiting, notes = await turn.awaiting()
    if awaiting != WORDS or notes.get("patient") != ref or "held" not in notes:
        raise StaleButton
    patient = await _reader(turn, ref)
    question = await queries.latest(turn.session, patient.id or 0)
    since = datetime.fromisoformat(notes["since"])
    seen = datetime.fromisoformat(notes.get("seen", notes["since"]))
    if not await _held_back(turn, practitioner, patient, since, seen, notes["held"]):
        await _send(turn, practitioner, patient, question, since, notes["held"])


async def _send(
    turn: Turn,
    practitioner: Practitioner,
    patient: Patient,
    question: Question | None,
    since: datetime,
    text: str,
) -> None:
    """Send the words; what the patient asked or added after they were begun stays open."""
    writer = words.name_of(turn.session, practitioner)
    name = words.name_of(turn.session, patient)
    await turn.await_text("")
    row = await turn.tell_patient(
        patient,
        own_words.TEMPLATE,
        {"writer": writer, "quoted": text},
        [
            [Button(label="write_back", data=buttons.pack("ask"))],
            [Button(label="something_wrong", data=buttons.pack("wrong"))],
        ],
    )
    closes = question is not None and questions.nothing_since(turn.session, question, since)
    if row is not None:
        # What was answered before stays so, whatever becomes of these words.
        open_now = question is not None and question.answered_at is None
        own_words.note(turn.session, row, practitioner, question if closes and open_now else None)
    if question is not None and not closes:
        _stop_writing(turn, question, practitioner)
    elif question is not None:
        questions.close(turn, question, practitioner, text)
        for colleague in await queries.told(turn.session, question):
            if colleague.id != practitioner.id:
                await turn.tell(
                    colleague,
                    "practitioner/colleague_answered",
                    {"patient": name, "writer": writer, "answer": text},
                    [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
                    patient=patient,
                )
    await turn.screen(
        "practitioner/written",
        {"patient": name, "is_test": patient.is_test},
        [[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
        patient=patient,
    )


async def leave(turn: Turn, ref: str) -> None:
    """Write nothing; what was kept back is forgotten, and colleagues see nobody at it."""
    practitioner = enrolling.lead_or_practitioner(turn)
    patient = await enrolling.own_patient(turn, ref)
    awaiting, notes = await turn.awaiting()
    if awaiting == WORDS and notes.get("patient") == ref:
        await turn.await_text("")
    question = await queries.latest(turn.session, patient.id or 0)
    if question is not None:
        _stop_writing(turn, question, practitioner)
    await turn.screen(
        "practitioner/write_left",
        {"patient": words.name_of(turn.session, patient)},
        patient=patient,
    )


def _stop_writing(turn: Turn, question: Question, writer: Practitioner) -> None:
    if question.writing_by == writer.id:
        question.writing_by = question.writing_at = None
        turn.session.add(question)


async def answered_by_phone(turn: Turn, ref: str) -> None:
    """Take a question off the list: somebody has spoken to the patient."""
    practitioner = enrolling.lead_or_practitioner(turn)
    patient = await enrolling.own_patient(turn, ref)
    question = await queries.latest(turn.session, patient.id or 0)
    number = turn.message_id or 0
    tapped = await messages.message_in_chat(turn.session, turn.account.id, number)
    if question is None or question.answered_at is not None:
        raise StaleButton
    if tapped is not None and not questions.nothing_since(turn.session, question, tapped.queued_at):
        # Something was asked or added below that button: nobody may have read it yet.
        raise StaleButton
    questions.close(turn, question, practitioner, "")
    turn.toast = "done"
