"""Queueing what the bot says: every message is a row first, committed together with its cause."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services.deps import new_ref
from bot.storage import sealed
from bot.storage.queries import outbox as queries
from bot.storage.queries import plans
from bot.storage.tables import Message, Patient, Practitioner

Rows = Sequence[Sequence[Button]]
# An answer that could not be given for a day is no answer any more.
REPLY_LIFE = timedelta(hours=24)
# A request that comes again within this time is a second tap.
SAME_REQUEST = timedelta(minutes=1)


async def to_patient(
    session: AsyncSession,
    patient: Patient,
    template: str,
    now: datetime,
    *,
    values: Mapping[str, Any] | None = None,
    rows: Rows = (),
    lane: Lane = Lane.REPLY,
    visit_id: int | None = None,
    due_at: datetime | None = None,
    expires_at: datetime | None = None,
    unasked: bool = False,
    silent: bool = False,
    follows_id: int | None = None,
    menu: str = "",
    file: str = "",
    ref: str = "",
    edits: int | None = None,
    also: Sequence[str] = (),
    pictures: Mapping[str, Any] | None = None,
    flush: bool = True,
) -> Message:
    """Queue a message for a patient, or an edit of the one numbered ``edits`` in their chat.

    ``edits`` is the screen of theirs that it takes the place of, ``also`` are templates whose words
    stand below those of ``template``, ``pictures`` names the photos that its file is made of.
    Without ``flush`` the message has no id yet: many of them get theirs together.
    """
    if patient.telegram_id is None:
        raise ValueError("a patient who has not opened the link cannot be written to")
    row = Message(
        ref=ref or new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id,
        visit_id=visit_id,
        chat_id=patient.telegram_id,
        lane=lane,
        method="document" if file else "edit" if edits else "text",
        template=template,
        language=patient.language,
        target_message_id=edits,
        silent=silent,
        unasked=unasked,
        follows_id=follows_id,
        queued_at=now,
        due_at=due_at or now,
        expires_at=expires_at or (due_at or now) + REPLY_LIFE,
    )
    return await _add(
        session, row, values, rows, menu=menu, file=file, also=also, pictures=pictures, flush=flush
    )


async def to_practitioner(
    session: AsyncSession,
    practitioner: Practitioner,
    template: str,
    now: datetime,
    *,
    language: str,
    values: Mapping[str, Any] | None = None,
    rows: Rows = (),
    lane: Lane = Lane.REPLY,
    patient: Patient | None = None,
    visit_id: int | None = None,
    edits: int | None = None,
    due_at: datetime | None = None,
    menu: str = "",
    file: str = "",
    method: str = "",
    follows_id: int | None = None,
    report: str | None = None,
    pictures: Mapping[str, Any] | None = None,
) -> Message | None:
    """Queue a message for a practitioner, or an edit of their screen ``edits``.

    ``pictures`` names photos that are laid out as one picture when it is sent.
    Nothing is queued for somebody who has not opened their link yet; then nothing is returned.
    """
    if practitioner.telegram_id is None:
        return None
    row = Message(
        ref=new_ref(),
        clinic_id=practitioner.clinic_id,
        practitioner_id=practitioner.id,
        patient_id=patient.id if patient else None,
        visit_id=visit_id,
        chat_id=practitioner.telegram_id,
        lane=lane,
        method=method or ("edit" if edits else "text"),
        template=template,
        language=language,
        target_message_id=edits,
        follows_id=follows_id,
        report=report,
        queued_at=now,
        due_at=due_at or now,
        # What a patient reports is not dropped for being old; a screen is.
        expires_at=None if lane is Lane.DANGER or report else (due_at or now) + REPLY_LIFE,
    )
    return await _add(session, row, values, rows, menu=menu, file=file, pictures=pictures)


async def relay(
    session: AsyncSession,
    practitioner: Practitioner,
    patient: Patient,
    telegram_message_id: int,
    now: datetime,
    *,
    language: str,
    follows_id: int | None,
    report: str,
    lane: Lane,
) -> Message | None:
    """Queue a copy of what the patient sent (any kind) for a practitioner."""
    if practitioner.telegram_id is None or patient.telegram_id is None:
        return None
    row = Message(
        ref=new_ref(),
        clinic_id=practitioner.clinic_id,
        practitioner_id=practitioner.id,
        patient_id=patient.id,
        chat_id=practitioner.telegram_id,
        source_chat_id=patient.telegram_id,
        target_message_id=telegram_message_id,
        lane=lane,
        method="copy",
        template="",
        language=language,
        follows_id=follows_id,
        report=report,
        queued_at=now,
        due_at=now,
    )
    return await _add(session, row, None, ())


async def hand_on(
    session: AsyncSession,
    row: Message,
    practitioner: Practitioner,
    now: datetime,
    *,
    follows_id: int | None,
) -> None:
    """Queue for another practitioner what ``row`` did not bring to the one it was for."""
    if practitioner.telegram_id is None:
        return
    again = Message(
        ref=new_ref(),
        clinic_id=row.clinic_id,
        practitioner_id=practitioner.id,
        patient_id=row.patient_id,
        chat_id=practitioner.telegram_id,
        source_chat_id=row.source_chat_id,
        target_message_id=row.target_message_id,
        lane=row.lane,
        method=row.method,
        template=row.template,
        language=row.language,
        follows_id=follows_id,
        report=row.report,
        queued_at=row.queued_at,
        due_at=now,
        expires_at=row.expires_at,
    )
    kept = sealed.read(session, row)
    kept.pop("text", None)
    sealed.write(session, again, kept)
    session.add(again)
    await session.flush()


async def prove_delivered(
    session: AsyncSession, message: Message, telegram_message_id: int | None, now: datetime
) -> None:
    """Take a message whose button was tapped as sent, its reminders too; its repeat never goes."""
    if await queries.prove(session, message.id or 0, telegram_message_id, now):
        await plans.prove_reminders(session, message.id or 0, now)
        await session.refresh(message)


async def _add(
    session: AsyncSession,
    row: Message,
    values: Mapping[str, Any] | None,
    rows: Rows,
    *,
    menu: str = "",
    file: str = "",
    also: Sequence[str] = (),
    pictures: Mapping[str, Any] | None = None,
    flush: bool = True,
) -> Message:
    content: dict[str, Any] = {
        "values": dict(values or {}),
        "buttons": buttons.jsonable(rows),
        "menu": menu,
        "file": file,
        "also": list(also),
        "pictures": dict(pictures or {}),
    }
    sealed.write(session, row, {key: value for key, value in content.items() if value})
    session.add(row)
    if flush:
        await session.flush()
    return row
