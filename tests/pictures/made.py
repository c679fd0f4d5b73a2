"""Pictures that the tests draw: a face with marks on it, and whatever can be wrong with it."""

import io
import struct
import zipfile
import zlib
from functools import cache

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

SIZE = (960, 1280)
PLACE = "52.5200"


def face(size: tuple[int, int] = SIZE, seed: int = 1) -> Image.Image:
    """A face in daylight; the seed places its marks."""
    wide, high = size
    picture = Image.new("RGB", size, (200, 190, 180))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((wide * 0.2, high * 0.15, wide * 0.8, high * 0.85), fill=(224, 172, 140))
    for eye in (0.35, 0.65):
        for part, colour in ((0.06, "white"), (0.02, "brown")):
            left, right = wide * (eye - part), wide * (eye + part)
            draw.ellipse((left, high * 0.38, right, high * 0.42), fill=colour)
    line = (wide * 0.5, high * 0.42, wide * 0.47, high * 0.58, wide * 0.53, high * 0.6)
    draw.line(line, fill=(150, 100, 80), width=max(1, wide // 150))
    for number in range(1, 401):
        across, down = number * 0.618034 * seed % 1, number * 0.754878 % 1
        x, y = (0.22 + 0.56 * across) * wide, (0.2 + 0.6 * down) * high
        half = (1 + number % 4) * 0.001 * wide
        draw.ellipse((x - half, y - half, x + half, y + half), fill=(190, 140, 110))
    return picture


def saved(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The picture as a file's bytes."""
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


@cache
def sharp(seed: int = 1) -> bytes:
    """A good photo."""
    return saved(face(seed=seed))


@cache
def blurred() -> bytes:
    """The same out of focus."""
    return saved(face().filter(ImageFilter.GaussianBlur(10)))


@cache
def dark() -> bytes:
    """The same in a room without light."""
    return saved(ImageEnhance.Brightness(face()).enhance(0.12))


@cache
def tiny() -> bytes:
    """The same, too small to compare."""
    return saved(face((240, 320)))


@cache
def bomb(side: int = 30_000) -> bytes:
    """A PNG of a few kilobytes that would be ``side`` squared pixels when decoded."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    lines = zlib.compressobj(9)
    rows = b"".join(lines.compress(b"\0" * (1 + side // 8)) for _ in range(side)) + lines.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def page() -> bytes:
    """A web page with a script."""
    return b"<!doctype html><script>alert('polyglot')</script>" * 50


@cache
def polyglot() -> bytes:
    """A good photo that is an archive too, with a script in its comment."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("evil.html", page())
    return saved(face(), comment=b"<script>polyglot</script>") + archive.getvalue()


@cache
def placed() -> bytes:
    """A good photo, lying on its side, that says where it was taken and by what."""
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 29: "2026:03:10"})
    exif[0x9286] = f"taken at {PLACE}"
    lying = face().transpose(Image.Transpose.ROTATE_90)
    return saved(lying, exif=exif, comment=b"SecretComment", icc_profile=b"SecretProfile" * 20)
