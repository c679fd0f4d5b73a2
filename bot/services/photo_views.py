"""What a practitioner sees of a patient's photos: first beside newest, and all in order of time."""

from collections.abc import Sequence
from typing import Any

from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.pictures import child
from bot.pictures.wire import MOST_CELLS, Task
from bot.services import actions, enrolling, outbox, situation, words
from bot.services.deps import Deps
from bot.services.errors import StaleButton
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.queries import photos as queries
from bot.storage.tables import Photo

PICTURES = "pictures"
"""Under this name a message carries which photos it shows, and how they are laid out."""


async def show_pairs(turn: Turn, ref: str) -> None:
    """Queue one picture: of each angle the first photo, and the newest one beside it."""
    whole, stored = await _photos(turn, ref)
    by_angle: dict[str | None, list[Photo]] = {}
    for each in stored:
        by_angle.setdefault(each.angle, []).append(each)
    # What stands alone has nothing to be compared with, unless nothing has.
    compared = [several for several in by_angle.values() if len(several) > 1]
    lines: list[tuple[Photo, Photo | None]] = [(each[0], each[-1]) for each in compared]
    lines = (lines or [(each[0], None) for each in by_angle.values()])[: MOST_CELLS // 2]
    await _queue(
        turn,
        whole,
        "practitioner/photo_pairs",
        {
            "pairs": [
                {
                    "angle": _angle(turn, first),
                    "first": _when(turn, whole, first),
                    "newest": _when(turn, whole, newest) if newest is not None else None,
                }
                for first, newest in lines
            ]
        },
        [[Button(label="photo_timeline", data=buttons.pack("timeline", ref))]],
        Task.PAIRS,
        [each.ref if each is not None else "" for line in lines for each in line],
    )


async def show_timeline(turn: Turn, ref: str) -> None:
    """Queue one sheet with the photos of the course: the first one and the newest, in order."""
    whole, stored = await _photos(turn, ref)
    shown = [stored[0], *stored[1:][-(MOST_CELLS - 1) :]]
    await _queue(
        turn,
        whole,
        "practitioner/photo_timeline",
        {
            "photos": [
                {"number": at, "angle": _angle(turn, each), "when": _when(turn, whole, each)}
                for at, each in enumerate(shown, start=1)
            ],
            "more_photos": len(stored) - len(shown) or None,
        },
        [],
        Task.SHEET,
        [each.ref for each in shown],
    )


async def _photos(turn: Turn, ref: str) -> tuple[Situation, Sequence[Photo]]:
    patient = await enrolling.own_patient(turn, ref)
    stored = await queries.stored_of(turn.session, patient.id or 0)
    if not stored:
        raise StaleButton
    return await situation.read(turn.session, patient.id or 0), stored


def _angle(turn: Turn, photo: Photo) -> str | None:
    if photo.angle is None:
        return None
    return turn.deps.catalogue.label(turn.clinic.language, "angles", photo.angle)


def _when(turn: Turn, whole: Situation, photo: Photo) -> dict[str, Any]:
    local = photo.received_at.astimezone(whole.zone).date()
    day = None if photo.day is None else str(photo.day)
    return {"date": dates.day(local, turn.clinic.language, turn.today), "day": day}


async def _queue(
    turn: Turn,
    whole: Situation,
    template: str,
    values: dict[str, Any],
    rows: list[list[Button]],
    task: Task,
    refs: Sequence[str],
) -> None:
    await outbox.to_practitioner(
        turn.session,
        enrolling.lead_or_practitioner(turn),
        template,
        turn.now,
        language=turn.clinic.language,
        values={"patient": words.name_of(turn.session, whole.patient), **values},
        rows=[*rows, actions.card_button(whole.patient)],
        patient=whole.patient,
        method="photo",
        pictures={"task": task.value, "refs": list(refs)},
    )


async def laid_out(deps: Deps, task: str, refs: Sequence[str]) -> bytes:
    """Return the picture of these photos; raises ``FileNotFoundError`` when none is left."""
    found = [deps.photos.read(ref) or b"" if ref else b"" for ref in refs]
    if not any(found):
        raise FileNotFoundError("no photo is left")
    return (await child.ask(Task(task), found)).jpeg
