"""Clinics, practitioners, patients, invitations, consents and dialogues."""

from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, or_, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PatientState
from bot.storage.tables import Clinic, Consent, Dialogue, Invitation, Patient, Practitioner


async def the_clinic(session: AsyncSession) -> Clinic | None:
    """Return the clinic of this bot, or nothing before ``init``."""
    return (await session.exec(select(Clinic).order_by(col(Clinic.id)).limit(1))).first()


async def clinics(session: AsyncSession) -> Sequence[Clinic]:
    """Return every clinic, the bot's own first."""
    return (await session.exec(select(Clinic).order_by(col(Clinic.id)))).all()


def any_digest_before(day: date) -> ColumnElement[bool]:
    """Whether a clinic's last digest, if any, came before ``day``."""
    due = or_(col(Clinic.digest_day).is_(None), col(Clinic.digest_day) < day)
    return select(Clinic.id).where(due).exists()


async def clinic(session: AsyncSession, clinic_id: int) -> Clinic:
    """Return the clinic with that id."""
    return await session.get_one(Clinic, clinic_id)


async def practitioner_by_account(session: AsyncSession, telegram_id: int) -> Practitioner | None:
    """Return the practitioner with that account, unless their access has ended."""
    found = await session.exec(
        select(Practitioner).where(
            Practitioner.telegram_id == telegram_id, col(Practitioner.removed_at).is_(None)
        )
    )
    return found.first()


async def practitioner(session: AsyncSession, practitioner_id: int) -> Practitioner:
    """Return the practitioner with that id."""
    return await session.get_one(Practitioner, practitioner_id)


async def practitioners(session: AsyncSession, clinic_id: int) -> Sequence[Practitioner]:
    """Return everybody who works at the clinic and has opened their link."""
    found = await session.exec(
        select(Practitioner)
        .where(
            Practitioner.clinic_id == clinic_id,
            col(Practitioner.removed_at).is_(None),
            col(Practitioner.telegram_id).is_not(None),
        )
        .order_by(col(Practitioner.id))
    )
    return found.all()


async def team_accounts(session: AsyncSession) -> list[int]:
    """Return the accounts of everybody who works at a clinic."""
    found = await session.exec(
        select(Practitioner.telegram_id).where(col(Practitioner.removed_at).is_(None))
    )
    return [account for account in found if account is not None]


async def practitioner_with_any_state(
    session: AsyncSession, telegram_id: int
) -> Practitioner | None:
    """Return the practitioner with that account, also after their access has ended."""
    found = await session.exec(select(Practitioner).where(Practitioner.telegram_id == telegram_id))
    return found.first()


async def patient(session: AsyncSession, patient_id: int) -> Patient:
    """Return the patient with that id."""
    return await session.get_one(Patient, patient_id)


async def patients_by_id(
    session: AsyncSession, patient_ids: Collection[int], *, lock: bool = False
) -> Sequence[Patient]:
    """Return these patients, in the order of their ids.

    With ``lock`` nobody else acts on, plans or dispatches for them until this transaction ends. On
    SQLite the one writer does that already, and the database ignores the request. The lock leaves
    foreign keys alone: a row that only names the patient can be added meanwhile.
    """
    statement = select(Patient).where(col(Patient.id).in_(patient_ids)).order_by(col(Patient.id))
    if lock:
        statement = statement.with_for_update(key_share=True)
        statement = statement.execution_options(populate_existing=True)
    return (await session.exec(statement)).all()


async def locked_patient(session: AsyncSession, patient_id: int) -> Patient:
    """Return the patient with that id as they are now, and lock the row."""
    (found,) = await patients_by_id(session, [patient_id], lock=True)
    return found


async def patient_by_account(session: AsyncSession, telegram_id: int) -> Patient | None:
    """Return the (real, not test) patient who owns that account, and lock the row."""
    found = await session.exec(
        select(Patient)
        .where(Patient.telegram_id == telegram_id, col(Patient.is_test).is_(False))
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found.first()


async def readers_apart(
    session: AsyncSession, usual: Clinic, *, limit: int
) -> Sequence[tuple[int, int, str, bool]]:
    """Return chat, clinic, language and "in another zone" of the patients unlike the usual one.

    The usual one is the ``usual`` clinic's, and keeps its language and zone. The newest come first.
    """
    elsewhere = func.coalesce(col(Patient.timezone) != col(Clinic.timezone), False)
    found = await session.exec(
        select(Patient.telegram_id, Patient.clinic_id, Patient.language, elsewhere)
        .join(Clinic, col(Clinic.id) == col(Patient.clinic_id))
        .where(
            col(Patient.telegram_id).is_not(None),
            col(Patient.is_test).is_(False),
            or_(
                col(Patient.clinic_id) != usual.id,
                col(Patient.language) != usual.language,
                elsewhere,
            ),
        )
        .order_by(col(Patient.id).desc())
        .limit(limit)
    )
    return [(chat or 0, clinic, language, bool(far)) for chat, clinic, language, far in found]


async def newest_test_patient(session: AsyncSession, telegram_id: int) -> Patient | None:
    """Return the patient as whom a lead with that account last tested a course."""
    found = await session.exec(
        select(Patient)
        .where(Patient.telegram_id == telegram_id, col(Patient.is_test).is_(True))
        .order_by(col(Patient.id).desc())
        .limit(1)
    )
    return found.first()


async def patient_by_ref(session: AsyncSession, clinic_id: int, ref: str) -> Patient | None:
    """Return the clinic's patient with that reference, and lock the row."""
    found = await session.exec(
        select(Patient)
        .where(Patient.clinic_id == clinic_id, Patient.ref == ref)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return found.first()


async def patients(
    session: AsyncSession, clinic_id: int, *, limit: int = 40, offset: int = 0
) -> Sequence[Patient]:
    """Return the clinic's patients, newest first, without the tests and the erased."""
    found = await session.exec(
        select(Patient)
        .where(
            Patient.clinic_id == clinic_id,
            col(Patient.is_test).is_(False),
            Patient.state != PatientState.ERASED,
        )
        .order_by(col(Patient.id).desc())
        .limit(limit)
        .offset(offset)
    )
    return found.all()


async def patients_in(
    session: AsyncSession, clinic_id: int, states: Sequence[PatientState]
) -> Sequence[Patient]:
    """Return the clinic's patients in these states, newest first, without the tests."""
    found = await session.exec(
        select(Patient)
        .where(
            Patient.clinic_id == clinic_id,
            col(Patient.is_test).is_(False),
            col(Patient.state).in_(states),
        )
        .order_by(col(Patient.id).desc())
    )
    return found.all()


async def active_before(
    session: AsyncSession, joined_before: datetime, *, after: int, limit: int
) -> Sequence[Patient]:
    """Return active patients who joined before then, in the order of their ids from ``after`` on.

    Tests are left out.
    """
    found = await session.exec(
        select(Patient)
        .where(
            col(Patient.id) > after,
            Patient.state == PatientState.ACTIVE,
            col(Patient.is_test).is_(False),
            col(Patient.telegram_id).is_not(None),
            col(Patient.joined_at) < joined_before,
        )
        .order_by(col(Patient.id))
        .limit(limit)
    )
    return found.all()


async def zones(session: AsyncSession) -> set[str]:
    """Return the names of the time zones of all clinics and patients."""
    own = await session.exec(select(Patient.timezone).distinct())
    clinics = await session.exec(select(Clinic.timezone).distinct())
    return {name for name in (*own, *clinics) if name is not None}


async def active_in_zone(
    session: AsyncSession, zone: str, *, after: int, limit: int
) -> Sequence[int]:
    """Return the active patients of a time zone, in the order of their ids from ``after`` on."""
    found = await session.exec(
        select(Patient.id)
        .join(Clinic, col(Clinic.id) == col(Patient.clinic_id))
        .where(
            col(Patient.id) > after,
            Patient.state == PatientState.ACTIVE,
            func.coalesce(Patient.timezone, Clinic.timezone) == zone,
        )
        .order_by(col(Patient.id))
        .limit(limit)
    )
    return [each for each in found if each is not None]


def _zone_open(before: datetime) -> Sequence[ColumnElement[bool]]:
    return (
        col(Patient.state) == PatientState.OPENED,
        col(Patient.consented_at) <= before,
        col(Patient.confirmed_at) <= before,
    )


def anybody_without_zone(before: datetime) -> ColumnElement[bool]:
    """Whether somebody agreed and was confirmed before ``before`` but never told their zone."""
    return select(Patient.id).where(*_zone_open(before)).exists()


async def waiting_for_zone(session: AsyncSession, before: datetime) -> Sequence[Patient]:
    """Return those who agreed and were confirmed before ``before`` but never told their zone.

    Whoever is just being handled by somebody else is left to the next look.
    """
    found = await session.exec(
        select(Patient)
        .where(
            *_zone_open(before),
        )
        .order_by(col(Patient.id))
        .with_for_update(key_share=True, skip_locked=True)
    )
    return found.all()


async def next_pause_end(
    session: AsyncSession, after: datetime, before: datetime
) -> datetime | None:
    """Return when the next pause between ``after`` and ``before`` ends."""
    found = await session.exec(
        select(func.min(Patient.paused_until)).where(
            col(Patient.paused_until) > after, col(Patient.paused_until) < before
        )
    )
    return found.one()


async def pause_ended(session: AsyncSession, now: datetime) -> Sequence[Patient]:
    """Return the patients whose pause ran out, without those just handled by somebody else."""
    found = await session.exec(
        select(Patient)
        .where(col(Patient.paused_until) <= now)
        .order_by(col(Patient.id))
        .with_for_update(key_share=True, skip_locked=True)
    )
    return found.all()


async def invitation_by_hash(session: AsyncSession, code_hash: str) -> Invitation | None:
    """Return the invitation with that hashed code."""
    found = await session.exec(select(Invitation).where(Invitation.code_hash == code_hash))
    return found.first()


async def use_invitation(session: AsyncSession, invitation_id: int, now: datetime) -> bool:
    """Use an invitation up; false when it was used or has expired meanwhile."""
    used = await session.exec(
        update(Invitation)
        .where(
            col(Invitation.id) == invitation_id,
            col(Invitation.used_at).is_(None),
            col(Invitation.expires_at) > now,
        )
        .values(used_at=now)
    )
    return used.rowcount == 1


async def close_invitations(session: AsyncSession, patient_id: int, now: datetime) -> None:
    """Make every open link of the patient useless."""
    await session.exec(
        update(Invitation)
        .where(col(Invitation.patient_id) == patient_id, col(Invitation.used_at).is_(None))
        .values(used_at=now)
    )


async def close_team_invitations(
    session: AsyncSession, clinic_id: int, now: datetime, role: str | None = None
) -> None:
    """Make every open link to join the clinic's team useless, or those of one role."""
    closed = (
        update(Invitation)
        .where(
            col(Invitation.clinic_id) == clinic_id,
            col(Invitation.patient_id).is_(None),
            col(Invitation.used_at).is_(None),
        )
        .values(used_at=now)
    )
    if role is not None:
        closed = closed.where(col(Invitation.role) == role)
    await session.exec(closed)


async def latest_invitation_at(session: AsyncSession, patient_id: int) -> datetime | None:
    """Return when the patient's newest link was made."""
    found = await session.exec(
        select(func.max(Invitation.created_at)).where(Invitation.patient_id == patient_id)
    )
    return found.one()


async def latest_team_invitation_at(session: AsyncSession, invited_by: int) -> datetime | None:
    """Return when this practitioner last made a link for a colleague."""
    found = await session.exec(
        select(func.max(Invitation.created_at)).where(
            Invitation.invited_by == invited_by, col(Invitation.patient_id).is_(None)
        )
    )
    return found.one()


async def active_consent(session: AsyncSession, patient_id: int, purpose: str) -> Consent | None:
    """Return the patient's consent to ``purpose`` that was not withdrawn."""
    found = await session.exec(
        select(Consent).where(
            Consent.patient_id == patient_id,
            Consent.purpose == purpose,
            col(Consent.withdrawn_at).is_(None),
        )
    )
    return found.first()


async def dialogue(session: AsyncSession, chat_id: int) -> Dialogue | None:
    """Return what the chat was last asked to type."""
    return (await session.exec(select(Dialogue).where(Dialogue.chat_id == chat_id))).first()


async def count_patients(session: AsyncSession, clinic_id: int) -> dict[str, int]:
    """Return the number of patients in each state."""
    found = await session.exec(
        select(Patient.state, func.count())
        .where(Patient.clinic_id == clinic_id, col(Patient.is_test).is_(False))
        .group_by(col(Patient.state))
    )
    return {str(state): count for state, count in found.all()}


async def unconfirmed_of(session: AsyncSession, practitioner_id: int) -> Sequence[Patient]:
    """Return the patients who opened their link and whom this practitioner has not confirmed."""
    found = await session.exec(
        select(Patient).where(
            Patient.practitioner_id == practitioner_id,
            Patient.state == PatientState.OPENED,
            col(Patient.confirmed_at).is_(None),
        )
    )
    return found.all()


async def unconfirmed(session: AsyncSession, clinic_id: int) -> Sequence[Patient]:
    """Return the clinic's patients who opened their link and whom nobody has confirmed."""
    found = await session.exec(
        select(Patient)
        .where(
            Patient.clinic_id == clinic_id,
            Patient.state == PatientState.OPENED,
            col(Patient.confirmed_at).is_(None),
        )
        .order_by(col(Patient.id))
    )
    return found.all()


async def move_patients(session: AsyncSession, leaver_id: int, lead_id: int) -> None:
    """Give every patient of somebody who leaves to the lead."""
    await session.exec(
        update(Patient)
        .where(col(Patient.practitioner_id) == leaver_id)
        .values(practitioner_id=lead_id)
    )
