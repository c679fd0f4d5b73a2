"""Photos of patients: waiting, stored, over their time."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_, text, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PhotoState
from bot.storage.tables import Clinic, Consent, Photo

PURPOSE = "photos"


async def waiting(session: AsyncSession) -> Sequence[Photo]:
    """Return the photos that wait to be fetched and may be, oldest first."""
    yes = select(Consent.patient_id).where(
        Consent.purpose == PURPOSE, col(Consent.withdrawn_at).is_(None)
    )
    on = select(Clinic.id).where(col(Clinic.photos_on).is_(True))
    found = await session.exec(
        select(Photo)
        .where(
            Photo.state == PhotoState.WAITING,
            col(Photo.patient_id).in_(yes),
            col(Photo.clinic_id).in_(on),
        )
        .order_by(col(Photo.received_at), col(Photo.id))
    )
    return found.all()


async def waiting_of(session: AsyncSession, patient_id: int) -> Sequence[Photo]:
    """Return the patient's photos that wait, whoever agreed to what."""
    found = await session.exec(
        select(Photo).where(Photo.patient_id == patient_id, Photo.state == PhotoState.WAITING)
    )
    return found.all()


async def by_ref(session: AsyncSession, ref: str) -> Photo | None:
    """Return the photo with that reference, as it is now."""
    statement = select(Photo).where(Photo.ref == ref).execution_options(populate_existing=True)
    return (await session.exec(statement)).first()


async def stored_of(session: AsyncSession, patient_id: int) -> Sequence[Photo]:
    """Return the patient's photos that are kept, in the order in which they came."""
    found = await session.exec(
        select(Photo)
        .where(Photo.patient_id == patient_id, Photo.state == PhotoState.STORED)
        .order_by(col(Photo.received_at), col(Photo.id))
    )
    return found.all()


async def together(session: AsyncSession, photo: Photo) -> Sequence[Photo]:
    """Return the photos that came together: those of one album, or the one alone."""
    if photo.album is None:
        return [photo]
    found = await session.exec(
        select(Photo)
        .where(Photo.patient_id == photo.patient_id, Photo.album == photo.album)
        .order_by(col(Photo.id))
    )
    return found.all()


async def taken_since(session: AsyncSession, patient_id: int, since: datetime) -> int:
    """Count the patient's photos received since then that wait or were fetched, kept or not."""
    found = await session.exec(
        select(func.count())
        .select_from(Photo)
        .where(
            Photo.patient_id == patient_id,
            # Of one that was fetched and refused the verdict is known.
            or_(col(Photo.state) != PhotoState.REFUSED, col(Photo.sealed).is_not(None)),
            col(Photo.received_at) >= since,
        )
    )
    return found.one()


async def count_held(session: AsyncSession, patient_id: int) -> int:
    """Count the patient's photos that wait or are kept."""
    found = await session.exec(
        select(func.count())
        .select_from(Photo)
        .where(
            Photo.patient_id == patient_id,
            col(Photo.state).in_([PhotoState.WAITING, PhotoState.STORED]),
        )
    )
    return found.one()


async def refused_since(session: AsyncSession, patient_id: int, since: datetime) -> Sequence[Photo]:
    """Return the patient's photos received since then that were not kept."""
    found = await session.exec(
        select(Photo).where(
            Photo.patient_id == patient_id,
            Photo.state == PhotoState.REFUSED,
            col(Photo.received_at) >= since,
        )
    )
    return found.all()


async def stored_refs(session: AsyncSession) -> set[str]:
    """Return the references of all photos that are kept."""
    return set(
        (await session.exec(select(Photo.ref).where(Photo.state == PhotoState.STORED))).all()
    )


def any_kept_since(before: datetime) -> ColumnElement[bool]:
    """Whether a photo has been kept since before ``before``."""
    # In the very words of the index: see the queries of the outbox.
    kept = select(Photo.ref).where(text("photo.state = 'stored'"), col(Photo.stored_at) <= before)
    return kept.exists()


async def over(session: AsyncSession, now: datetime) -> list[str]:
    """Return the references of the kept photos whose time is over at their clinic."""
    found: list[str] = []
    for clinic_id, days in await session.exec(select(Clinic.id, Clinic.photo_days)):
        refs = await session.exec(
            select(Photo.ref).where(
                # In the very words of the index: see the queries of the outbox.
                text("photo.state = 'stored'"),
                Photo.clinic_id == clinic_id,
                col(Photo.stored_at) <= now - timedelta(days=days),
            )
        )
        found += refs.all()
    return found


async def end(session: AsyncSession, refs: Collection[str]) -> None:
    """Have these kept photos deleted; what is left of them says only that they were there."""
    await session.exec(
        update(Photo)
        .where(col(Photo.ref).in_(refs), col(Photo.state) == PhotoState.STORED)
        .values(state=PhotoState.DELETED, sealed=None)
    )


async def let_go_waiting(session: AsyncSession, patient_id: int) -> None:
    """Let go of what waits of a patient: it is never fetched."""
    await session.exec(
        update(Photo)
        .where(col(Photo.patient_id) == patient_id, col(Photo.state) == PhotoState.WAITING)
        .values(state=PhotoState.REFUSED, sealed=None)
    )


async def refuse_unanswered(session: AsyncSession, before: datetime) -> int:
    """Let go of what has waited since ``before``; return how many photos that were."""
    done = await session.exec(
        update(Photo)
        .where(col(Photo.state) == PhotoState.WAITING, col(Photo.received_at) < before)
        .values(state=PhotoState.REFUSED, sealed=None)
    )
    return done.rowcount
