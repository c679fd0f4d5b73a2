"""A patient's photos in the copy of their data: shown on the page, and as files in archives."""

import asyncio
import io
import logging
import re
import zipfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

from bot.domain.states import PhotoState
from bot.storage.photos import PhotoFiles
from bot.storage.tables import Photo
from bot.storage.vault import VaultError

log = logging.getLogger(__name__)

ARCHIVE = "archive"
"""Under this name a message carries which photos its archive holds, and what each is called."""
# Telegram takes 50 MB from a bot; a phone and a slow line are happier with less.
MOST_BYTES = 20_000_000
_PLACE = re.compile(rb"<!--photo (\S+) (\S+)-->")


def file_name(photo: Photo, zone: ZoneInfo) -> str | None:
    """Return what a photo that is kept is called outside the bot; nothing for one that is not."""
    if photo.state is not PhotoState.STORED:
        return None
    day = photo.received_at.astimezone(zone).date().isoformat()
    return "-".join((day, *([photo.angle] if photo.angle else []), f"{photo.ref}.jpg"))


def archives(
    files: PhotoFiles, photos: Sequence[Photo], zone: ZoneInfo, *, most: int = MOST_BYTES
) -> list[dict[str, str]]:
    """Return the kept photos in archives of ``most`` bytes: of each its reference and its name."""
    found: list[dict[str, str]] = []
    room = 0
    for photo in photos:
        name = file_name(photo, zone)
        if name is None:
            continue
        size = files.size(photo.ref)
        if not found or size > room:
            found.append({})
            room = most
        found[-1][photo.ref] = name
        room -= size
    return found


def place(ref: str, name: str) -> str:
    """Return what marks the place of a photo on a page until :func:`on_page` puts it there."""
    return f"<!--photo {ref} {name}-->"


async def on_page(files: PhotoFiles, page: bytes, *, most: int = MOST_BYTES) -> bytes:
    """Return the page with its photos, the newest where there is no room for all."""
    return await asyncio.to_thread(_on_page, files, page, most)


def _on_page(files: PhotoFiles, page: bytes, room: int) -> bytes:
    shown: dict[bytes, bytes] = {}
    for ref, name in reversed(_PLACE.findall(page)):
        picture = b64encode(_read(files, ref.decode()) or b"")
        if not picture or len(picture) > room:
            continue
        room -= len(picture)
        shown[ref] = b'<img alt="%s" src="data:image/jpeg;base64,%s">' % (name, picture)
    return _PLACE.sub(lambda found: shown.get(found[1], b""), page)


async def archive(files: PhotoFiles, names: Mapping[str, str]) -> bytes:
    """Return an archive of these photos; raises ``FileNotFoundError`` when none is left."""
    return await asyncio.to_thread(_archive, files, names)


def _archive(files: PhotoFiles, names: Mapping[str, str]) -> bytes:
    held = {name: picture for ref, name in names.items() if (picture := _read(files, ref))}
    if not held:
        raise FileNotFoundError("no photo is left")
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as made:
        for name, picture in held.items():
            made.writestr(zipfile.ZipInfo(name), picture)
    return whole.getvalue()


def _read(files: PhotoFiles, ref: str) -> bytes | None:
    """Return a photo; one that cannot be read must not keep the rest from its owner."""
    try:
        return files.read(ref)
    except (VaultError, ValueError, OSError) as error:
        log.error(
            "a photo cannot be read",
            extra={"action": "photo_unreadable", "photo": ref, "cause": type(error).__name__},
        )
        return None
