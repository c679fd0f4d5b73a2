"""Files that went through the local Telegram, their made-up ids, and the size of a picture read
from its header.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.demo.refusals import FILE_TOO_BIG, INVALID_FILE_ID, WRONG_FILE, Json, bad

PHOTO_BYTES = 10 * 1024 * 1024
UPLOAD_BYTES = 50 * 1024 * 1024
DOWNLOAD_BYTES = 20 * 1024 * 1024
LINK_LIFE = timedelta(hours=1)
_FOLDERS = {
    "photo": "photos",
    "document": "documents",
    "voice": "voice",
    "sticker": "stickers",
    "video": "videos",
}
_ENDINGS = {"photo": ".jpg", "voice": ".oga", "sticker": ".webp", "video": ".mp4"}


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message: what it is, its bytes, and what the Bot API says about it."""

    kind: str
    data: bytes = field(repr=False)
    name: str
    mime: str
    unique_id: str
    path: str
    api: Json | list[Json] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file in the body of a call."""

    name: str
    mime: str
    data: bytes = field(repr=False)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, GIF, JPEG or WebP picture; None for anything else."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return int(width), int(height)
    if data[:6] in (b"GIF87a", b"GIF89a") and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
        return int(width), int(height)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    if data.startswith(b"\xff\xd8"):
        return _jpeg_size(data)
    return None


def picture_type(data: bytes) -> str:
    """The media type of a picture's bytes."""
    if data.startswith(b"\x89PNG"):
        return "image/png"
    if data.startswith(b"GIF8"):
        return "image/gif"
    return "image/webp" if data[8:12] == b"WEBP" else "image/jpeg"


def _webp_size(data: bytes) -> tuple[int, int]:
    if data[12:16] == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if data[12:16] == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", data[26:30])
    return int(width) & 0x3FFF, int(height) & 0x3FFF


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            at += 1
            continue
        marker = data[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return int(width), int(height)
        at += 2 + (0 if marker in (0xFF, 0x01) else int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


class Files:
    """Every file by its id, its unique id and, for an hour after getFile, its download path."""

    def __init__(self) -> None:
        self._count = 0
        self._by_id: dict[str, Attachment] = {}
        self._by_unique: dict[str, Attachment] = {}
        self._links: dict[str, tuple[Attachment, datetime]] = {}

    def add(self, kind: str, data: bytes, name: str = "", mime: str = "") -> Attachment:
        """A new file with ids of its own; a picture must have a readable header when it is a
        photo.
        """
        size = picture_size(data)
        if kind == "photo":
            _check_photo(data, size)
        elif len(data) > UPLOAD_BYTES:
            raise bad("file of size too big")
        self._count += 1
        number = self._count
        unique = f"AQAD{kind[:2]}{number:08d}"
        file_id = f"BQACAgIAAxkB{kind[:2]}{number:030d}"
        common: Json = {"file_size": len(data)}
        api: Json | list[Json]
        if kind == "photo":
            width, height = size or (0, 0)
            api = _sizes(file_id, unique, width, height, len(data))
            mime = picture_type(data)
        elif kind == "sticker":
            api = {
                "type": "regular", "width": 512, "height": 512, "is_animated": False,
                "is_video": False, "emoji": name or "🙂", **common,
            }  # fmt: skip
        elif kind == "voice":
            api = {"duration": 3, "mime_type": mime or "audio/ogg", **common}
        else:
            api = {"file_name": name, "mime_type": mime or "application/octet-stream", **common}
        if isinstance(api, dict):
            api = {"file_id": file_id, "file_unique_id": unique, **api}
        ending = _ENDINGS.get(kind) or ("." + name.rsplit(".", 1)[1] if "." in name else "")
        path = f"{_FOLDERS.get(kind, 'documents')}/file_{number}{ending}"
        attachment = Attachment(kind, data, name, mime, unique, path, api)
        for one in api if isinstance(api, list) else [api]:
            self._by_id[one["file_id"]] = attachment
        self._by_unique[unique] = attachment
        return attachment

    def known(self, file_id: str, kind: str) -> Attachment:
        """The file behind an id that a bot wants to use again as this kind, or a refusal."""
        attachment = self._by_id.get(file_id)
        if attachment is None:
            raise bad(WRONG_FILE)
        if attachment.kind != kind:
            raise bad(f"can't use file of type {attachment.kind.title()} as {kind.title()}")
        return attachment

    def shown(self, unique_id: str) -> Attachment | None:
        """The file for a phone's screen."""
        return self._by_unique.get(unique_id)

    def link(self, file_id: str, now: datetime) -> Json:
        """What getFile answers; the path can be downloaded for an hour."""
        attachment = self._by_id.get(file_id)
        if attachment is None:
            raise bad(INVALID_FILE_ID)
        if len(attachment.data) > DOWNLOAD_BYTES:
            raise bad(FILE_TOO_BIG)
        self._links[attachment.path] = (attachment, now + LINK_LIFE)
        listed = attachment.api if isinstance(attachment.api, list) else [attachment.api]
        unique = next(one["file_unique_id"] for one in listed if one["file_id"] == file_id)
        return {
            "file_id": file_id,
            "file_unique_id": unique,
            "file_size": len(attachment.data),
            "file_path": attachment.path,
        }

    def download(self, path: str, now: datetime) -> bytes | None:
        """The bytes behind a path that getFile gave less than an hour ago."""
        attachment, until = self._links.get(path, (None, now))
        return attachment.data if attachment is not None and now <= until else None


def _check_photo(data: bytes, size: tuple[int, int] | None) -> None:
    if len(data) > PHOTO_BYTES:
        raise bad(
            f"file of size {len(data)} bytes is too big for a photo; "
            f"the maximum size is {PHOTO_BYTES} bytes"
        )
    if size is None:
        raise bad("IMAGE_PROCESS_FAILED")
    width, height = size
    if not width or not height or width + height > 10_000 or max(size) > 20 * min(size):
        raise bad("PHOTO_INVALID_DIMENSIONS")


def _sizes(file_id: str, unique: str, width: int, height: int, length: int) -> list[Json]:
    """The usual list of sizes, smallest first; all of them hold the same bytes here."""
    sizes = []
    for letter, side in (("s", 90), ("m", 320), ("y", 1280)):
        scale = min(1.0, side / max(width, height))
        sizes.append(
            {
                "file_id": f"{file_id}{letter}",
                "file_unique_id": f"{unique}{letter}" if letter != "y" else unique,
                "width": max(1, round(width * scale)),
                "height": max(1, round(height * scale)),
                "file_size": length if letter == "y" else min(length, side * 20),
            }
        )
        if scale == 1.0 and letter != "y":
            sizes[-1] |= {"file_unique_id": unique, "file_size": length}
            break
    return sizes
