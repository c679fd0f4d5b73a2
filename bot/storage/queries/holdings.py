"""All that is held on one patient, kind by kind, each by time."""

from collections.abc import Sequence

from sqlalchemy import or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.storage.tables import (
    Alert,
    Answer,
    Consent,
    LimitEnd,
    Message,
    Photo,
    Question,
    Report,
    Update,
)


async def consents(session: AsyncSession, patient_id: int) -> Sequence[Consent]:
    """Return every consent, also those taken back."""
    found = await session.exec(
        select(Consent).where(Consent.patient_id == patient_id).order_by(col(Consent.id))
    )
    return found.all()


async def limit_ends(session: AsyncSession, patient_id: int) -> Sequence[LimitEnd]:
    """Return what is on record of the end of each limit."""
    found = await session.exec(
        select(LimitEnd).where(LimitEnd.patient_id == patient_id).order_by(col(LimitEnd.id))
    )
    return found.all()


async def messages(session: AsyncSession, patient_id: int, chat_id: int) -> Sequence[Message]:
    """Return what was said to the patient in that chat, and what the team was told they sent."""
    found = await session.exec(
        select(Message)
        .where(
            Message.patient_id == patient_id,
            or_(
                col(Message.chat_id) == chat_id,
                col(Message.template).startswith("alerts/"),
            ),
        )
        .order_by(col(Message.id))
    )
    return found.all()


async def updates(session: AsyncSession, chat_id: int) -> Sequence[Update]:
    """Return what the patient sent, as far as it is still kept as it came."""
    found = await session.exec(
        select(Update)
        .where(Update.chat_id == chat_id, col(Update.sealed).is_not(None))
        .order_by(col(Update.update_id))
    )
    return found.all()


async def answers(session: AsyncSession, patient_id: int) -> Sequence[Answer]:
    """Return every answer to a step."""
    found = await session.exec(
        select(Answer).where(Answer.patient_id == patient_id).order_by(col(Answer.id))
    )
    return found.all()


async def reports(session: AsyncSession, patient_id: int) -> Sequence[Report]:
    """Return everything that the patient said was wrong."""
    found = await session.exec(
        select(Report).where(Report.patient_id == patient_id).order_by(col(Report.id))
    )
    return found.all()


async def alerts(session: AsyncSession, patient_id: int) -> Sequence[Alert]:
    """Return what the clinic was to look at."""
    found = await session.exec(
        select(Alert).where(Alert.patient_id == patient_id).order_by(col(Alert.id))
    )
    return found.all()


async def questions(session: AsyncSession, patient_id: int) -> Sequence[Question]:
    """Return what the patient asked, with the answers."""
    found = await session.exec(
        select(Question).where(Question.patient_id == patient_id).order_by(col(Question.id))
    )
    return found.all()


async def photos(session: AsyncSession, patient_id: int) -> Sequence[Photo]:
    """Return the patient's photos, by when they came."""
    found = await session.exec(
        select(Photo).where(Photo.patient_id == patient_id).order_by(col(Photo.id))
    )
    return found.all()
