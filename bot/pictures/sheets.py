"""Several pictures in one: pairs beside each other, and a sheet in the order of time."""

from collections.abc import Sequence

from PIL import Image

from bot.pictures.judging import jpeg, opened
from bot.pictures.wire import Answer, Verdict

# Nothing is written into a picture: the message below says what is where.
_GROUND = (235, 235, 235)
_GAP = 12
_PAIR_CELL = (960, 960)
_SHEET_CELL = (600, 600)
_SHEET_COLUMNS = 4


def pairs(pictures: Sequence[bytes]) -> Answer:
    """Return one picture of two columns: each two pictures stand beside each other."""
    return _grid(pictures, 2, _PAIR_CELL)


def sheet(pictures: Sequence[bytes]) -> Answer:
    """Return one picture that is read like a text: line by line, from left to right."""
    return _grid(pictures, min(_SHEET_COLUMNS, len(pictures)), _SHEET_CELL)


def _grid(pictures: Sequence[bytes], columns: int, cell: tuple[int, int]) -> Answer:
    lines = -(-len(pictures) // columns)
    width, height = cell[0] + _GAP, cell[1] + _GAP
    ground = Image.new("RGB", (columns * width + _GAP, lines * height + _GAP), _GROUND)
    for at, data in enumerate(pictures):
        if not data:
            continue
        picture = opened(data)
        picture.thumbnail(cell, Image.Resampling.LANCZOS)
        left = _GAP + at % columns * width + (cell[0] - picture.width) // 2
        top = _GAP + at // columns * height + (cell[1] - picture.height) // 2
        ground.paste(picture, (left, top))
    return Answer(Verdict.OK, jpeg(ground))
