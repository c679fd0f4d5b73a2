"""A person's own words on their way to a patient: what follows when they may not have arrived."""

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PatientState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import outbox, team, words
from bot.services.deps import new_ref
from bot.storage import sealed
from bot.storage.queries import people
from bot.storage.queries import questions as queries
from bot.storage.tables import Message, Patient, Practitioner, Question

TEMPLATE = "patient/reply"
# Kept, sealed, of the message: who wrote it, and the question that it closed.
_BY, _CLOSED = "by", "closed"


def are(row: Message) -> bool:
    """Say whether a message brings a patient what a person of the clinic typed."""
    return row.template == TEMPLATE


def note(
    session: AsyncSession, row: Message, writer: Practitioner, closed: Question | None
) -> None:
    """Keep on the message who wrote it and which question counts as answered by it."""
    kept = sealed.read(session, row)
    sealed.write(
        session, row, {**kept, _BY: writer.id, _CLOSED: closed.id if closed is not None else None}
    )
    session.add(row)


async def lost(session: AsyncSession, row: Message, now: datetime) -> None:
    """Open the question again that words answered which did not surely arrive; tell who wrote them.

    Any other message is left alone.
    """
    kept = sealed.read(session, row) if are(row) else {}
    if _BY not in kept:
        return
    patient = await people.patient(session, row.patient_id or 0)
    if patient.state is PatientState.ERASED:
        return
    said = kept["values"]
    reopened = kept[_CLOSED] is not None and await _reopened(
        session, kept[_CLOSED], row.queued_at, said["quoted"]
    )
    clinic = await people.clinic(session, row.clinic_id)
    for practitioner in await _told(session, kept[_BY], patient):
        await outbox.to_practitioner(
            session,
            practitioner,
            "practitioner/words_lost",
            now,
            language=clinic.language,
            values={
                "patient": words.name_of(session, patient),
                "writer": said["writer"],
                "quoted": said["quoted"],
                "unsure": row.maybe_copies > 0,
                "reopened": reopened,
            },
            rows=_rows(patient, reopened=reopened),
            patient=patient,
            # Somebody has to read it, if not the one who wrote.
            report=new_ref(),
        )


async def _reopened(
    session: AsyncSession, question_id: int, closed_at: datetime, answer: str
) -> bool:
    """Open a question again unless somebody else's words have answered it meanwhile."""
    question = await queries.locked(session, question_id)
    if question.answered_at != closed_at:
        return False
    question.answered_at = question.answered_by = None
    question.writing_at = question.writing_by = None
    kept = sealed.read(session, question)
    left = str(kept.get("answer", "")).removesuffix(answer).rstrip("\n")
    sealed.write(session, question, {**kept, "answer": left})
    session.add(question)
    return True


async def _told(session: AsyncSession, writer_id: int, patient: Patient) -> list[Practitioner]:
    writer = await people.practitioner(session, writer_id)
    if writer.removed_at is None and writer.telegram_id is not None:
        return [writer]
    return await team.responders(session, patient)


def _rows(patient: Patient, *, reopened: bool) -> list[list[Button]]:
    phoned = Button(label="answered_by_phone", data=buttons.pack("byphone", patient.ref))
    return [
        [
            Button(label="write_to_patient", data=buttons.pack("write", patient.ref)),
            *([phoned] if reopened else []),
        ],
        [Button(label="open_card", data=buttons.pack("card", patient.ref))],
    ]
