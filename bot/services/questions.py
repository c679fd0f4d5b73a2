"""What patients ask: one open question each, with a promise that is kept or owned up to."""

from datetime import datetime
from functools import partial
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, PatientState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import alerting, team, words
from bot.services.apart import alone
from bot.services.deps import Deps, new_ref
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import people
from bot.storage.queries import questions as queries
from bot.storage.tables import Patient, Practitioner, Question

# What is kept of one question; the messages themselves went to the practitioner whole.
_KEPT = 3000
# Kinds whose words are kept; of any other it is kept that it came.
_IN_WORDS = ("text", "edited")
# Kept, sealed, of a question: when the patient last added to it.
_ADDED_AT = "added_at"


def promise(turn: Turn) -> datetime:
    """Return by when the clinic aims to answer what is asked now (UTC), by its opening hours."""
    return alerting.hours_of(turn.clinic).reply_by(turn.now, turn.clinic_zone)


def promised(turn: Turn, patient: Patient, by: datetime) -> dict[str, str | None]:
    """Return the promise as the patient reads it: visits and promises are the clinic's time."""
    return {
        "reply_by": dates.moment(by, turn.clinic_zone, patient.language, turn.now),
        "clinic_city": words.clinic_city(turn.clinic, patient),
    }


async def take(turn: Turn, patient: Patient, kind: str, text: str) -> Question:
    """Put on record what a patient sent; until somebody answers all of it is one question."""
    question, added = await queries.latest(turn.session, patient.id or 0), {}
    if question is None or question.answered_at is not None:
        question = Question(
            ref=new_ref(),
            clinic_id=patient.clinic_id,
            patient_id=patient.id or 0,
            kind=kind,
            asked_at=turn.now,
            reply_by=promise(turn),
        )
    else:
        added = {_ADDED_AT: turn.now.isoformat()}
        if question.overdue_at is not None:
            # What was promised has passed and was owned up to: what is written now is promised
            # anew.
            question.reply_by, question.overdue_at = promise(turn), None
    kept = sealed.read(turn.session, question)
    said = [str(kept.get("text", "")), text]
    whole: dict[str, Any] = {"text": "\n".join(each for each in said if each)[-_KEPT:]}
    if kind not in _IN_WORDS:
        # What came without words is named, or it would be missing where the question is quoted.
        whole["sent"] = list(dict.fromkeys([*kept.get("sent", []), kind]))
    sealed.write(turn.session, question, {**kept, **whole, **added})
    turn.session.add(question)
    await turn.session.flush()
    return question


def nothing_since(session: AsyncSession, question: Question, at: datetime) -> bool:
    """Say whether the patient has neither asked nor added anything after ``at``."""
    added = sealed.read(session, question).get(_ADDED_AT)
    newest = datetime.fromisoformat(added) if added else question.asked_at
    return newest <= at


def text_of(session: AsyncSession, question: Question) -> str:
    """Return what was asked in words; nothing for a voice message or a picture."""
    return str(sealed.read(session, question).get("text", ""))


def sent_of(turn: Turn, question: Question) -> list[str]:
    """Return what came beside words, in the clinic's language: a photo, a voice message."""
    kinds = sealed.read(turn.session, question).get("sent", [])
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    return [catalogue.label(language, "sent_kinds", kind) for kind in kinds]


def answer_of(session: AsyncSession, question: Question) -> str:
    """Return what was answered in words; nothing when somebody phoned."""
    return str(sealed.read(session, question).get("answer", ""))


def close(turn: Turn, question: Question, practitioner: Practitioner, answer: str) -> None:
    """Note who answered a question and with what words; a later answer stands below the first."""
    kept = sealed.read(turn.session, question)
    said = [str(kept.get("answer", "")), answer]
    answers = {"answer": "\n".join(each for each in said if each)[-_KEPT:]}
    sealed.write(turn.session, question, {**kept, **answers})
    question.answered_at, question.answered_by = turn.now, practitioner.id
    turn.session.add(question)


async def follow(deps: Deps, now: datetime) -> int:
    """Own up to every promise that has passed, to both sides, once; return how many there were."""
    async with deps.database.read() as session:
        due = await queries.due(session, now)
    for question_id in due:
        async with deps.database.write(Priority.TURN) as session:
            work = partial(_follow, session, deps, question_id, now)
            await alone(session, "follow_questions", work)
    if due:
        deps.bells.outbox.set()
    return len(due)


async def _follow(session: AsyncSession, deps: Deps, question_id: int, now: datetime) -> int:
    question = await queries.locked(session, question_id)
    if question.answered_at is not None or question.overdue_at is not None:
        return 0
    question.overdue_at = now
    session.add(question)
    patient = await people.patient(session, question.patient_id)
    if patient.state is PatientState.ERASED:
        return 0
    clinic = await people.clinic(session, question.clinic_id)
    turn = Turn.by_the_clock(session, deps, clinic, patient, now)
    asked_at = dates.moment(question.asked_at, turn.clinic_zone, clinic.language, now)
    for practitioner in await team.responders(session, patient, urgent=True):
        await turn.tell(
            practitioner,
            "practitioner/question_waits",
            {
                "patient": words.name_of(session, patient),
                "asked_at": asked_at,
                "quoted": text_of(session, question) or None,
                "sent": sent_of(turn, question),
                "is_test": patient.is_test,
            },
            answer_rows(patient),
            patient=patient,
            report=question.ref,
        )
    await turn.tell_patient(
        patient,
        "patient/no_reply_yet",
        {"closed": await alerting.is_closed(turn, patient)},
        rows=[[Button(label="it_got_worse", data=buttons.pack("wrong"))]],
        lane=Lane.REPLY,
    )
    return 1


def answer_rows(patient: Patient) -> list[list[Button]]:
    """Return the buttons under what a patient asked."""
    return [
        [
            Button(label="write_answer", data=buttons.pack("write", patient.ref)),
            Button(label="answered_by_phone", data=buttons.pack("byphone", patient.ref)),
        ],
        [Button(label="open_card", data=buttons.pack("card", patient.ref))],
    ]
