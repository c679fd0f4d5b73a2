"""Single-use links: made, opened once, and the same answer for every one that does not work."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PatientState
from bot.services.errors import CareError
from bot.storage.queries import people
from bot.storage.tables import Clinic, Invitation, Patient

PATIENT_LIFE = timedelta(hours=72)
PRACTITIONER_LIFE = timedelta(hours=24)
# Who can be given a new link; of those who joined, the practitioner is asked first.
JOINED = (PatientState.ACTIVE, PatientState.STOPPED)
LINKABLE = (PatientState.INVITED, PatientState.DECLINED, PatientState.UNREACHABLE, *JOINED)
# The same name twice within this time is a double tap, not a namesake.
SLIP = timedelta(minutes=2)
# A button that makes a link, tapped again this soon, is one tap that did not seem to arrive.
DOUBLE_TAP = timedelta(seconds=10)
# 192 random bits in 32 characters; Telegram allows 64 (telegram.md 1, deep link).
_CODE_BYTES = 24


def code_hash(code: str) -> str:
    """Return what is stored of a code; the code itself is not kept."""
    return hashlib.sha256(code.encode()).hexdigest()


def link(bot_username: str, code: str) -> str:
    """Return the address that opens the bot with this code."""
    return f"https://t.me/{bot_username}?start={code}"


async def for_patient(
    session: AsyncSession, clinic: Clinic, patient: Patient, invited_by: int, now: datetime
) -> str:
    """Return a new link for the patient; every earlier one is closed."""
    await people.close_invitations(session, patient.id or 0, now)
    code = secrets.token_urlsafe(_CODE_BYTES)
    session.add(
        Invitation(
            clinic_id=clinic.id or 0,
            code_hash=code_hash(code),
            patient_id=patient.id,
            invited_by=invited_by,
            created_at=now,
            expires_at=now + PATIENT_LIFE,
        )
    )
    await session.flush()
    return link(clinic.bot_username, code)


async def for_practitioner(
    session: AsyncSession, clinic: Clinic, role: str, invited_by: int | None, now: datetime
) -> str:
    """Return a new link for somebody who will work with the bot."""
    code = secrets.token_urlsafe(_CODE_BYTES)
    session.add(
        Invitation(
            clinic_id=clinic.id or 0,
            code_hash=code_hash(code),
            role=role,
            invited_by=invited_by,
            created_at=now,
            expires_at=now + PRACTITIONER_LIFE,
        )
    )
    await session.flush()
    return link(clinic.bot_username, code)


async def find(session: AsyncSession, clinic: Clinic, code: str, now: datetime) -> Invitation:
    """Return the open invitation with this code; raises the one ``CareError`` for all others.

    Unknown, used and expired links get the same words, so nobody learns which codes exist.
    """
    invitation = await people.invitation_by_hash(session, code_hash(code))
    if (
        invitation is None
        or invitation.clinic_id != clinic.id
        or invitation.used_at is not None
        or invitation.expires_at <= now
    ):
        raise CareError("link_invalid")
    return invitation
