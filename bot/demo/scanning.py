"""The camera of a phone: reads the text of a clean QR code in a PNG picture, as a bot would make
one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from segno import consts

Grid = list[list[bool]]

LARGEST_SIDE = 3000
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_LEVELS = {0b01: "L", 0b00: "M", 0b11: "Q", 0b10: "H"}
_BYTE, _ECI = 4, 7


def scan(picture: bytes) -> str | None:
    """The text of the code that fills this picture; None when there is none to be read."""
    try:
        grid = _grid(_pixels(picture))
        return None if grid is None else _text(grid)
    except (ValueError, IndexError, KeyError, struct.error, zlib.error, UnicodeDecodeError):
        return None


# from a picture to modules


def _pixels(picture: bytes) -> Grid:
    """Which pixels of a PNG are dark."""
    if not picture.startswith(b"\x89PNG\r\n\x1a\n"):
        raise ValueError("not a PNG")
    width, height, depth, colour, _, _, interlaced = struct.unpack(">IIBBBBB", picture[16:29])
    if max(width, height) > LARGEST_SIDE or interlaced or depth > 8:
        raise ValueError("not a picture of a code")
    palette, packed, at = b"", b"", 8
    while at + 8 <= len(picture):
        (length,), kind = struct.unpack(">I", picture[at : at + 4]), picture[at + 4 : at + 8]
        if kind == b"PLTE":
            palette = picture[at + 8 : at + 8 + length]
        elif kind == b"IDAT":
            packed += picture[at + 8 : at + 8 + length]
        at += length + 12
    bits = depth * _CHANNELS[colour]
    step, line = max(1, bits // 8), (width * bits + 7) // 8
    inflated = zlib.decompressobj().decompress(packed, (line + 1) * height)
    before = bytes(line)
    grid = []
    for row in range(height):
        start = row * (line + 1)
        before = _unfiltered(inflated[start], inflated[start + 1 : start + 1 + line], before, step)
        grid.append(_dark(before, width, depth, colour, palette))
    return grid


def _unfiltered(kind: int, line: bytes, above: bytes, step: int) -> bytes:
    out = bytearray(line)
    for i in range(len(out)):
        left = out[i - step] if i >= step else 0
        up = above[i]
        corner = above[i - step] if i >= step else 0
        if kind == 4:
            guess = left + up - corner
            added = min((left, up, corner), key=lambda one: abs(guess - one))
        else:
            added = (0, left, up, (left + up) // 2)[kind]
        out[i] = (out[i] + added) & 0xFF
    return bytes(out)


def _dark(line: bytes, width: int, depth: int, colour: int, palette: bytes) -> list[bool]:
    if depth < 8:
        each, top = 8 // depth, (1 << depth) - 1
        values = [line[x // each] >> (8 - depth * (x % each + 1)) & top for x in range(width)]
        light = [value * 255 // top for value in values]
    else:
        values = list(line[:: _CHANNELS[colour]])
        light = values
    if colour == 3:
        light = [palette[3 * value] for value in values]
    return [value < 128 for value in light]


def _grid(pixels: Grid) -> Grid | None:
    """One truth a module, found from the corner of the first finder pattern."""
    rows = [y for y, row in enumerate(pixels) if any(row)]
    if not rows:
        return None
    top, left = rows[0], min(row.index(True) for row in pixels if any(row))
    run = next(x for x in range(left, len(pixels[0]) + 1) if not pixels[top][x]) - left
    size, scale = rows[-1] + 1 - top, run // 7
    if not scale or run % 7 or size % scale or (size // scale - 17) % 4:
        return None
    middle = scale // 2
    return [
        [pixels[top + scale * y + middle][left + scale * x + middle] for x in range(size // scale)]
        for y in range(size // scale)
    ]


# from modules to text


def _text(grid: Grid) -> str | None:
    version = (len(grid) - 17) // 4
    form = int("".join("01"[dark] for dark in grid[8][:5]), 2) ^ 0b10101
    level = _LEVELS[form >> 3]
    bits = "".join("01"[bit] for bit in _data_bits(grid, form & 7))
    codewords = [int(bits[i : i + 8], 2) for i in range(0, len(bits) - 7, 8)]
    stream = "".join(f"{word:08b}" for word in _in_order(codewords, version, level))
    at = 0
    while int(stream[at : at + 4], 2) == _ECI:
        at += 12
    if int(stream[at : at + 4], 2) != _BYTE:
        return None
    counted = 8 if version < 10 else 16
    start = at + 4 + counted
    length = int(stream[at + 4 : start], 2)
    return bytes(int(stream[start + 8 * i : start + 8 * i + 8], 2) for i in range(length)).decode()


def _data_bits(grid: Grid, mask: int) -> Iterator[bool]:
    """The unmasked data modules on the way of the standard: pairs of columns, up and down."""
    size, upwards = len(grid), True
    for right in (*range(size - 1, 6, -2), 5, 3, 1):
        for y in range(size - 1, -1, -1) if upwards else range(size):
            for x in (right, right - 1):
                if not _fixed(y, x, size):
                    yield grid[y][x] ^ _masked(mask, y, x)
        upwards = not upwards


def _fixed(y: int, x: int, size: int) -> bool:
    """Whether a module belongs to a pattern of the code and not to its data."""
    version = (size - 17) // 4
    low_y, low_x = y < 9, x < 9
    if (low_y and low_x) or (low_y and x >= size - 8) or (low_x and y >= size - 8):
        return True
    if 6 in (y, x):
        return True
    if version >= 7 and ((y < 6 and x >= size - 11) or (x < 6 and y >= size - 11)):
        return True
    centres: tuple[int, ...] = tuple(consts.ALIGNMENT_POS[version - 2]) if version > 1 else ()
    corners = ((6, 6), (6, size - 7), (size - 7, 6))
    return any(
        abs(y - row) <= 2 and abs(x - column) <= 2 and (row, column) not in corners
        for row in centres
        for column in centres
    )


def _masked(mask: int, y: int, x: int) -> bool:
    product = y * x
    rules = (
        (y + x) % 2,
        y % 2,
        x % 3,
        (y + x) % 3,
        (y // 2 + x // 3) % 2,
        product % 2 + product % 3,
        (product % 2 + product % 3) % 2,
        ((y + x) % 2 + product % 3) % 2,
    )
    return rules[mask] == 0


def _in_order(codewords: list[int], version: int, level: str) -> list[int]:
    """The data codewords of each block after the other; the code is clean, so nothing is
    repaired.
    """
    table: Any = consts.ECC
    blocks = [
        one.num_data
        for one in table[version][consts.ERROR_MAPPING[level]]
        for _ in range(one.num_blocks)
    ]
    parts: list[list[int]] = [[] for _ in blocks]
    taken = iter(codewords)
    for i in range(max(blocks)):
        for part, length in zip(parts, blocks, strict=True):
            if i < length:
                part.append(next(taken))
    return [word for part in parts for word in part]
