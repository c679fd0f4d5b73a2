"""Who of the clinic hears of a patient: whom Telegram reaches, and whom else when it does not."""

import logging
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.escalation import To
from bot.domain.states import Lane, MessageState, PatientState, Reason
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import outbox, words
from bot.services.deps import new_ref
from bot.storage.queries import outbox as queries
from bot.storage.queries import people
from bot.storage.tables import Message, Patient, Practitioner

log = logging.getLogger(__name__)

LEAD = "lead"
GONE = frozenset({Reason.BLOCKED, Reason.DEACTIVATED, Reason.CHAT_NOT_FOUND})
NOBODY = "patient/nobody_told"
OPENED = "practitioner/opened"
NUDGE = "practitioner/nudge_confirm"
# The patient was told that a person hears of these.
_PROMISED = frozenset(
    {
        *("alerts/report", "alerts/again", "alerts/passed_on", "practitioner/wants_times"),
        *("practitioner/wants_change", "practitioner/visit_cancelled_by_patient"),
    }
)
_NOWHERE = frozenset({MessageState.FAILED, MessageState.DROPPED})


async def responders(
    session: AsyncSession, patient: Patient, *, urgent: bool = False
) -> list[Practitioner]:
    """Return who is told of a patient: whoever treats them, of what is urgent the leads too.

    Whoever Telegram does not reach is left out; then the leads hear of it, then everybody else.
    """
    treating = await people.practitioner(session, patient.practitioner_id)
    return await responders_for(session, treating, urgent=urgent)


async def responders_for(
    session: AsyncSession, treating: Practitioner, *, urgent: bool = False
) -> list[Practitioner]:
    """Return who is told of the patients whom a practitioner treats."""
    everybody = await _reached(session, treating.clinic_id)
    treats = [each for each in everybody if each.id == treating.id]
    others = [each for each in everybody if each.id != treating.id]
    leads = [each for each in others if each.role == LEAD]
    return [*treats, *(leads if urgent else [])] or leads or others


async def tiers(session: AsyncSession, patient: Patient) -> dict[To, list[Practitioner]]:
    """Return whom each part of an alert's chain reaches; an empty part has nobody."""
    everybody = await _reached(session, patient.clinic_id)
    return {
        To.TREATING: [each for each in everybody if each.id == patient.practitioner_id],
        To.ON_CALL: [each for each in everybody if each.is_on_call],
        To.BACKUP: [each for each in everybody if each.is_backup],
        To.LEAD: [each for each in everybody if each.role == LEAD],
    }


async def chain(session: AsyncSession, patient: Patient, to: Collection[To]) -> list[Practitioner]:
    """Return who of these parts is told, each once; when they have nobody, the leads or anybody.

    From the backup on nobody is left out for want of one: then it is everybody.
    """
    parts = await tiers(session, patient)
    found = {each.id: each for part in To if part in to for each in parts.get(part, [])}
    if To.BACKUP in to and not parts[To.BACKUP]:
        found |= {each.id: each for each in await _reached(session, patient.clinic_id)}
    if found:
        return list(found.values())
    return parts[To.LEAD] or await _reached(session, patient.clinic_id)


async def leads(session: AsyncSession, clinic_id: int) -> list[Practitioner]:
    """Return the leads whom Telegram reaches, or when there is none everybody whom it reaches."""
    everybody = await _reached(session, clinic_id)
    return [each for each in everybody if each.role == LEAD] or everybody


async def _reached(session: AsyncSession, clinic_id: int) -> list[Practitioner]:
    everybody = await people.practitioners(session, clinic_id)
    return [each for each in everybody if each.unreachable_at is None]


async def hear_from(session: AsyncSession, practitioner: Practitioner) -> bool:
    """Reach a practitioner from now on, as they have spoken to the bot; say whether that is new."""
    if practitioner.unreachable_at is None:
        return False
    practitioner.unreachable_at = None
    session.add(practitioner)
    await session.flush()
    return True


async def lose(session: AsyncSession, practitioner: Practitioner, now: datetime) -> None:
    """Note that Telegram does not reach a practitioner; each lead is told of it once."""
    if practitioner.unreachable_at is not None or practitioner.removed_at is not None:
        return
    practitioner.unreachable_at = now
    session.add(practitioner)
    await session.flush()
    log.error(
        "a practitioner cannot be reached",
        extra={"action": "practitioner_lost", "practitioner": practitioner.ref},
    )
    clinic = await people.clinic(session, practitioner.clinic_id)
    for lead in await _reached(session, practitioner.clinic_id):
        if lead.role == LEAD:
            await outbox.to_practitioner(
                session,
                lead,
                "practitioner/colleague_unreachable",
                now,
                language=clinic.language,
                values={"name": words.name_of(session, practitioner)},
                lane=Lane.DANGER,
            )


async def not_told(session: AsyncSession, row: Message, reason: Reason, now: datetime) -> None:
    """Hand on what a practitioner will never get of a patient to somebody who can be reached.

    When there is nobody, the patient is told at once to call.
    """
    practitioner = await people.practitioner(session, row.practitioner_id or 0)
    if reason in GONE:
        await lose(session, practitioner, now)
    bears = row.report is not None or row.lane is Lane.DANGER or row.template in (OPENED, NUDGE)
    if row.patient_id is None or not bears:
        return
    if row.report is None:
        row.report = new_ref()
        session.add(row)
    await session.flush()
    copies = await queries.of_report(session, row.patient_id, row.report)
    alike = [each for each in copies if (each.template, each.method) == (row.template, row.method)]
    if any(each.state not in _NOWHERE for each in alike):
        # Another of the team has it, or will.
        return
    tried = {each.practitioner_id for each in alike}
    left = [each for each in await _reached(session, row.clinic_id) if each.id not in tried]
    leads = [each for each in left if each.role == LEAD]
    for other in leads or left:
        await _hand_on(session, row, other, copies, now)
    if left:
        return
    patient = await people.patient(session, row.patient_id)
    log.error(
        "a report reached nobody",
        extra={"action": "nobody_told", "patient": patient.ref, "message_id": row.ref},
    )
    if row.template in _PROMISED and all(each.template != NOBODY for each in copies):
        await nobody(session, patient, now, report=row.report)


async def _hand_on(
    session: AsyncSession,
    row: Message,
    practitioner: Practitioner,
    copies: Sequence[Message],
    now: datetime,
) -> None:
    heading = next(
        (
            each.id
            for each in copies
            if each.practitioner_id == practitioner.id and each.method == "text"
        ),
        None,
    )
    follows = heading if row.method == "copy" else None
    await outbox.hand_on(session, row, practitioner, now, follows_id=follows)


async def nobody(
    session: AsyncSession, patient: Patient, now: datetime, *, report: str | None = None
) -> None:
    """Tell the patient to call, as nobody of the clinic can be reached through the bot."""
    if patient.telegram_id is None or patient.state is PatientState.ERASED:
        return
    row = await outbox.to_patient(
        session,
        patient,
        NOBODY,
        now,
        rows=[[Button(label="something_wrong", data=buttons.pack("wrong"))]],
        lane=Lane.DANGER,
    )
    row.report = report
    session.add(row)
