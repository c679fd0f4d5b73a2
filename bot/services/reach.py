"""Patients who cannot be reached any more, or whom nobody has confirmed: the clinic hears of it."""

from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, PatientState, Reason
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import outbox, team, words
from bot.services.planning import replan
from bot.storage.queries import outbox as queries
from bot.storage.queries import people
from bot.storage.tables import Clinic, Patient, Practitioner

# Whom Telegram reached until now; a no, and what is erased, stay what they are.
_REACHED = frozenset({PatientState.OPENED, PatientState.ACTIVE, PatientState.STOPPED})
NUDGE_AFTER = (timedelta(minutes=2), timedelta(minutes=10))


async def lost(session: AsyncSession, patient: Patient, reason: Reason, now: datetime) -> None:
    """Note that a message to the patient was refused for good; the treating practitioner is told.

    A block, a deleted account or an unknown chat stops the plan; any other refusal is about the
    message and leaves the patient as they are.
    """
    clinic = await people.clinic(session, patient.clinic_id)
    name = words.name_of(session, patient)
    gone = reason in team.GONE
    if gone:
        if patient.state not in _REACHED:
            return
        await unreachable(session, patient, now)
    for practitioner in await team.responders(session, patient):
        await outbox.to_practitioner(
            session,
            practitioner,
            "practitioner/unreachable" if gone else "practitioner/not_delivered",
            now,
            language=clinic.language,
            values={"patient": name},
            rows=[[Button(label="open_card", data=buttons.pack("card", patient.ref))]],
            lane=Lane.DANGER,
            patient=patient,
        )


async def unreachable(session: AsyncSession, patient: Patient, now: datetime) -> None:
    """Stop the patient's plan because Telegram no longer reaches them."""
    patient.state = PatientState.UNREACHABLE
    session.add(patient)
    await replan(session, patient.id or 0, now)


async def hear_from(session: AsyncSession, practitioner: Practitioner, now: datetime) -> bool:
    """Reach a practitioner again from now on; say whether that is new.

    Who opened a link while nobody of the team could be asked is asked about now.
    """
    if not await team.hear_from(session, practitioner):
        return False
    clinic = await people.clinic(session, practitioner.clinic_id)
    for patient in await people.unconfirmed(session, practitioner.clinic_id):
        if practitioner in await team.responders(session, patient):
            await ask_to_confirm(session, clinic, patient, now)
    return True


async def back(session: AsyncSession, practitioner: Practitioner, now: datetime) -> None:
    """Reach a practitioner again who has let the bot in anew, and say so where it was missed."""
    if not await hear_from(session, practitioner, now):
        return
    clinic = await people.clinic(session, practitioner.clinic_id)
    await outbox.to_practitioner(
        session, practitioner, "practitioner/reached_again", now, language=clinic.language
    )


async def ask_to_confirm(
    session: AsyncSession, clinic: Clinic, patient: Patient, now: datetime
) -> None:
    """Show the practitioner who opened the link; ask again after 2 and 10 minutes of silence.

    What an earlier opening, or whoever treated the patient before, was still to ask falls away.
    """
    await queries.drop_questions(session, patient.id or 0, (team.OPENED, team.NUDGE))
    asked = await team.responders(session, patient)
    rows = [
        [Button(label="it_is_them", data=buttons.pack("confirm", patient.ref, "yes"))],
        [Button(label="not_them", data=buttons.pack("confirm", patient.ref, "no"))],
    ]
    values = {"patient": words.name_of(session, patient), **words.account_of(session, patient)}
    for template, wait in (
        (team.OPENED, timedelta()),
        *((team.NUDGE, wait) for wait in NUDGE_AFTER),
    ):
        for practitioner in asked:
            await outbox.to_practitioner(
                session,
                practitioner,
                template,
                now,
                language=clinic.language,
                values=values,
                rows=rows,
                patient=patient,
                due_at=now + wait,
            )
