"""What a patient hears of photos that were looked at, and which angle each was taken for."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import PhotoState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.pictures.wire import Verdict
from bot.services import outbox, photos, situation
from bot.services.deps import Deps
from bot.storage import sealed
from bot.storage.queries import people
from bot.storage.queries import photos as queries
from bot.storage.tables import Photo

TAKE_AGAIN = (Verdict.TOO_DARK, Verdict.BLURRED, Verdict.TOO_SMALL)
_ONE_RETAKE = timedelta(hours=24)


async def asked_again(session: AsyncSession, photo: Photo, now: datetime) -> bool:
    """Say whether a photo was to be taken again lately: that is asked once, then it is kept."""
    for each in await queries.refused_since(session, photo.patient_id, now - _ONE_RETAKE):
        if each.album is not None and each.album == photo.album:
            continue
        if sealed.read(session, each).get("verdict") in TAKE_AGAIN:
            return True
    return False


async def next_angle(session: AsyncSession, photo: Photo) -> str | None:
    """Return the first angle that is missing on that day: photos are asked for in this order."""
    missing = await _missing(session, photo)
    return missing[0] if missing else None


async def _missing(session: AsyncSession, photo: Photo) -> list[str]:
    plan = photos.latest(await situation.read(session, photo.patient_id))
    if plan is None:
        return []
    same_day = {
        each.angle
        for each in await queries.stored_of(session, photo.patient_id)
        if (each.visit_id, each.day) == (photo.visit_id, photo.day)
    }
    return [each for each in plan.protocol.angles if each not in same_day]


async def tell(session: AsyncSession, deps: Deps, several: Sequence[Photo], now: datetime) -> None:
    """Thank for what is kept, say what is missing or to be taken again, or that it is no photo."""
    patient = await people.patient(session, several[0].patient_id)
    clinic = await people.clinic(session, patient.clinic_id)
    if patient.telegram_id is None:
        return

    def names(section: str, keys: Sequence[str]) -> list[str]:
        return [deps.catalogue.label(patient.language, section, each) for each in keys]

    kept = [each for each in several if each.state is PhotoState.STORED]
    verdicts = [
        str(sealed.read(session, each).get("verdict"))
        for each in several
        if each.state is PhotoState.REFUSED and each.sealed is not None
    ]
    again = [each.value for each in TAKE_AGAIN if each in verdicts]
    wrong = [Button(label="something_wrong", data=buttons.pack("wrong"))]
    if kept or again:
        rows = [wrong]
        missing = await _missing(session, several[0])
        if len(several) == 1 and kept and kept[0].angle is not None:
            plan = photos.latest(await situation.read(session, patient.id or 0))
            others = (
                [each for each in plan.protocol.angles if each != kept[0].angle] if plan else []
            )
            rows = [
                [
                    Button(
                        text=deps.catalogue.label(patient.language, "angles", each),
                        data=buttons.pack("angle", kept[0].ref, each),
                    )
                    for each in others
                ],
                wrong,
            ]
        await outbox.to_patient(
            session,
            patient,
            "patient/photo_kept",
            now,
            values={
                "n_kept": len(kept),
                "angles": names("angles", [each.angle for each in kept if each.angle]),
                "missing": names("angles", missing),
                "again": names("verdicts", again),
                "photo_days": clinic.photo_days,
            },
            rows=[row for row in rows if row],
        )
    if len(verdicts) > sum(verdict in TAKE_AGAIN for verdict in verdicts):
        await outbox.to_patient(session, patient, "patient/photo_unreadable", now, rows=[wrong])
