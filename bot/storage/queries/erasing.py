"""Emptying what names, quotes or leads to a patient; refs, times and states stay as they are."""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import (
    AlertState,
    CourseState,
    Level,
    MessageState,
    PatientState,
    PhotoState,
    Reason,
    UpdateState,
    VisitState,
)
from bot.storage.queries.outbox import FINAL
from bot.storage.tables import (
    Action,
    Alert,
    Answer,
    Consent,
    Course,
    Dialogue,
    LimitEnd,
    Message,
    Patient,
    Photo,
    Practitioner,
    Question,
    Report,
    Update,
    Visit,
    Vital,
)

# The number of nobody's chat.
NOBODY = 0
# How many values one statement may name.
_AT_ONCE = 500
_UNSYNCED = {"synchronize_session": False}


async def open_report(session: AsyncSession, patient_id: int) -> bool:
    """Say whether a report was begun and not ended, or something urgent is not closed."""
    begun = await session.exec(
        select(Report.id)
        .where(Report.patient_id == patient_id, col(Report.ended_at).is_(None))
        .limit(1)
    )
    if begun.first() is not None:
        return True
    found = await session.exec(
        select(Alert.id)
        .where(
            Alert.patient_id == patient_id,
            Alert.state != AlertState.CLOSED,
            col(Alert.level).in_([Level.URGENT, Level.EMERGENCY]),
            col(Alert.is_drill).is_(False),
        )
        .limit(1)
    )
    return found.first() is not None


async def same_account(session: AsyncSession, patient: Patient) -> Sequence[Patient]:
    """Return the cards that this account left behind for a course on another one."""
    spoken = select(Message.patient_id).where(
        Message.chat_id == patient.telegram_id, col(Message.practitioner_id).is_(None)
    )
    found = await session.exec(
        select(Patient)
        .where(
            Patient.clinic_id == patient.clinic_id,
            Patient.id != patient.id,
            col(Patient.telegram_id).is_(None),
            # One that was only let go of, as somebody else's, is joined by nobody.
            col(Patient.joined_at).is_not(None),
            col(Patient.id).in_(spoken),
        )
        .order_by(col(Patient.id))
        .with_for_update(key_share=True)
    )
    return found.all()


async def present(session: AsyncSession, refs: Collection[str]) -> Sequence[Patient]:
    """Return those of these patients who are not erased (any more)."""
    asked, found = sorted(refs), list[Patient]()
    for start in range(0, len(asked), _AT_ONCE):
        some = await session.exec(
            select(Patient)
            .where(
                col(Patient.ref).in_(asked[start : start + _AT_ONCE]),
                Patient.state != PatientState.ERASED,
            )
            .order_by(col(Patient.id))
        )
        found += some
    return found


async def photo_refs(session: AsyncSession, patient_id: int) -> list[str]:
    """Return the references of all of the patient's photos."""
    found = await session.exec(select(Photo.ref).where(Photo.patient_id == patient_id))
    return list(found)


async def drop_waiting(session: AsyncSession, patient_id: int, chat_id: int | None) -> list[int]:
    """Drop all that waits to be said to or about the patient; return what may have arrived once."""
    theirs = or_(
        col(Message.patient_id) == patient_id,
        and_(col(Message.chat_id) == chat_id, col(Message.chat_id).is_not(None)),
    )
    waiting = (theirs, col(Message.state) == MessageState.QUEUED)
    tried = await session.exec(
        update(Message)
        .where(*waiting, col(Message.maybe_copies) > 0)
        .values(state=MessageState.UNCONFIRMED, reason=Reason.UNCONFIRMED)
        .returning(col(Message.id))
        .execution_options(**_UNSYNCED)
    )
    in_doubt = [message_id for (message_id,) in tried.all()]
    await session.exec(
        update(Message)
        .where(*waiting)
        .values(state=MessageState.DROPPED, reason=Reason.ERASED)
        .execution_options(**_UNSYNCED)
    )
    return in_doubt


async def end_visits(session: AsyncSession, patient_id: int) -> None:
    """Cancel what is booked and end the courses: nobody is left to come."""
    await session.exec(
        update(Visit)
        .where(col(Visit.patient_id) == patient_id, col(Visit.state) == VisitState.PLANNED)
        .values(state=VisitState.CANCELLED)
    )
    await session.exec(
        update(Course).where(col(Course.patient_id) == patient_id).values(state=CourseState.STOPPED)
    )


async def empty(
    session: AsyncSession, patient_id: int, chat_id: int | None, now: datetime, *, handling: int
) -> None:
    """Empty every sealed column that is the patient's, and every place that names their chat.

    So is the chat of an account that they had before. ``handling`` is the update that is being
    handled; others that still wait keep their words, so that a report among them is answered.
    """
    left = await _chats_left(session, patient_id, chat_id)
    own = {"sealed": None}
    for table, further in (
        (Answer, {}),
        (Report, {"due_at": None}),
        (Question, {}),
        (Visit, {}),
        (Photo, {"state": PhotoState.DELETED}),
        (Alert, {"due_at": None}),
        (Visit, {}),
        (Message, {"source_chat_id": None}),
    ):
        await session.exec(
            update(table)
            .where(col(table.patient_id) == patient_id)
            .values(**own, **further)
            .execution_options(**_UNSYNCED)
        )
    # Which limits somebody had, and kept on, says what was done to them and how it went.
    await session.exec(
        delete(LimitEnd)
        .where(col(LimitEnd.patient_id) == patient_id)
        .execution_options(**_UNSYNCED)
    )
    await session.exec(
        update(Alert)
        .where(col(Alert.patient_id) == patient_id, col(Alert.state) != AlertState.CLOSED)
        .values(state=AlertState.CLOSED, outcome="erased", closed_at=now)
        .execution_options(**_UNSYNCED)
    )
    await session.exec(
        update(Action)
        .where(col(Action.patient_id) == patient_id)
        .values(before={})
        .execution_options(**_UNSYNCED)
    )
    await session.exec(
        update(Message)
        .where(col(Message.patient_id) == patient_id, col(Message.practitioner_id).is_(None))
        .values(chat_id=NOBODY)
        .execution_options(**_UNSYNCED)
    )
    await session.exec(
        update(Consent)
        .where(col(Consent.patient_id) == patient_id, col(Consent.withdrawn_at).is_(None))
        .values(withdrawn_at=now)
        .execution_options(**_UNSYNCED)
    )
    if chat_id is not None:
        await _empty_chat(session, chat_id, handling)
    for chat in left:
        # What still waits there is for whoever had the account since.
        await _empty_chat(session, chat, handling, col(Message.state).in_(FINAL))


async def _chats_left(session: AsyncSession, patient_id: int, chat_id: int | None) -> Sequence[int]:
    """Return the other chats that the patient was spoken to in, and that are nobody's by now."""
    found = await session.exec(
        select(Message.chat_id)
        .where(
            Message.patient_id == patient_id,
            col(Message.practitioner_id).is_(None),
            col(Message.chat_id).not_in([NOBODY, *([] if chat_id is None else [chat_id])]),
            col(Message.chat_id).not_in(
                select(Patient.telegram_id).where(col(Patient.telegram_id).is_not(None))
            ),
            col(Message.chat_id).not_in(
                select(Practitioner.telegram_id).where(col(Practitioner.telegram_id).is_not(None))
            ),
        )
        .distinct()
        .order_by(col(Message.chat_id))
    )
    return found.all()


async def _empty_chat(
    session: AsyncSession, chat_id: int, handling: int, *which: ColumnElement[bool]
) -> None:
    # What was said there before anybody had joined, or about a card that was not theirs.
    await session.exec(
        update(Message)
        .where(col(Message.chat_id) == chat_id, *which)
        .values(chat_id=NOBODY, sealed=None)
        .execution_options(**_UNSYNCED)
    )
    await session.exec(
        update(Message)
        .where(col(Message.source_chat_id) == chat_id)
        .values(source_chat_id=None)
        .execution_options(**_UNSYNCED)
    )
    await session.exec(delete(Dialogue).where(col(Dialogue.chat_id) == chat_id))
    await session.exec(
        update(Update)
        .where(
            col(Update.chat_id) == chat_id,
            or_(col(Update.state) != UpdateState.RECEIVED, col(Update.update_id) == handling),
        )
        .values(chat_id=None, sealed=None)
        .execution_options(**_UNSYNCED)
    )


async def empty_screens(session: AsyncSession, clinic_id: int) -> None:
    """Empty what the team read and typed, where it may name any patient: lists, raw updates.

    Whatever followed from it stands in rows of its own.
    """
    await session.exec(
        update(Message)
        .where(
            col(Message.clinic_id) == clinic_id,
            col(Message.practitioner_id).is_not(None),
            col(Message.patient_id).is_(None),
            col(Message.sealed).is_not(None),
            col(Message.state).in_(FINAL),
        )
        .values(sealed=None)
        .execution_options(**_UNSYNCED)
    )
    team = select(Practitioner.telegram_id).where(
        Practitioner.clinic_id == clinic_id, col(Practitioner.telegram_id).is_not(None)
    )
    await session.exec(
        update(Update)
        .where(
            col(Update.chat_id).in_(team),
            col(Update.sealed).is_not(None),
            col(Update.state) == UpdateState.HANDLED,
        )
        .values(sealed=None)
        .execution_options(**_UNSYNCED)
    )


async def dialogues_of_team(session: AsyncSession, clinic_id: int) -> Sequence[Dialogue]:
    """Return what the people of a clinic were last asked to type."""
    team = select(Practitioner.telegram_id).where(Practitioner.clinic_id == clinic_id)
    return (await session.exec(select(Dialogue).where(col(Dialogue.chat_id).in_(team)))).all()


async def goodbye_waits(session: AsyncSession, template: str) -> bool:
    """Say whether somebody is still to be told that their data are erased."""
    found = await session.exec(
        select(Message.id)
        .where(
            Message.template == template,
            col(Message.state).in_([MessageState.QUEUED, MessageState.SENDING]),
        )
        .limit(1)
    )
    return found.first() is not None


async def marks(session: AsyncSession, prefix: str) -> dict[str, str]:
    """Return the vital signs whose key begins so."""
    found = await session.exec(
        select(Vital.key, Vital.value).where(col(Vital.key).startswith(prefix))
    )
    return dict(found.all())
