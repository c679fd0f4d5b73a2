"""One picture of unknown origin: decoded within limits, judged as a picture, made anew."""

import io
import warnings

from PIL import Image, ImageFilter, ImageOps, ImageStat, UnidentifiedImageError

from bot.pictures.wire import LONGEST_PICTURE, Answer, Verdict

MOST_PIXELS = 25_000_000
"""By the header, before a pixel is decoded."""
LONGEST_SIDE = 2048
SHORTEST_SIDE = 400
"""Below it nothing can be compared: a phone's photo has twice that after Telegram."""
# Of 255, the brightness that all but the brightest twentieth stays below: a face before a dark
# wall passes, a room without light does not. The drawn face of tests/pictures has 192 in daylight
# and 48 in a quarter of it.
DARK_BELOW = 50
# The variance of the Laplacian on a side of 512. The drawn face has 80 when sharp, 12 when a little
# soft (blurred by 2 of 960 pixels), 2 when its marks run into each other (by 4).
BLURRED_BELOW = 4.0
_JUDGED_SIDE = 512
_BRIGHT_SHARE = 0.95
_FORMATS = ("JPEG", "PNG", "WEBP")
_QUALITY = 86
_LAPLACIAN = ImageFilter.Kernel((3, 3), (0, 1, 0, 1, -4, 1, 0, 1, 0), scale=1, offset=128)


def judge(data: bytes) -> Answer:
    """Return the verdict on ``data``, with the picture made anew where there is one."""
    if len(data) > LONGEST_PICTURE:
        return Answer(Verdict.TOO_LARGE)
    Image.MAX_IMAGE_PIXELS = MOST_PIXELS
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    try:
        picture = opened(data)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        return Answer(Verdict.TOO_LARGE)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError, ArithmeticError):
        # What the decoders raise for broken files; the rest ends the child, and is no answer.
        return Answer(Verdict.NOT_A_PICTURE)
    return Answer(_verdict(picture), jpeg(picture))


def opened(data: bytes) -> Image.Image:
    """Return the first picture in ``data``, upright, small enough, in plain colours, bare."""
    # By content: the name and the kind that came with it are anybody's.
    with Image.open(io.BytesIO(data), formats=_FORMATS) as source:
        # A JPEG can be decoded smaller at once; the others ignore it.
        source.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
        source.load()
        upright = ImageOps.exif_transpose(source)
    if upright.has_transparency_data:
        layer = upright.convert("RGBA")
        whole = Image.new("RGB", layer.size, "white")
        whole.paste(layer, mask=layer.getchannel("A"))
    else:
        whole = upright.convert("RGB")
    whole.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
    # A new picture has no comment, profile or place that could be written along.
    bare = Image.new("RGB", whole.size)
    bare.paste(whole)
    return bare


def jpeg(picture: Image.Image) -> bytes:
    """Return a picture as JPEG."""
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=_QUALITY, optimize=True)
    return out.getvalue()


def _verdict(picture: Image.Image) -> Verdict:
    if min(picture.size) < SHORTEST_SIDE:
        return Verdict.TOO_SMALL
    grey = picture.convert("L")
    grey.thumbnail((_JUDGED_SIDE, _JUDGED_SIDE), Image.Resampling.BOX)
    if brightness(grey) < DARK_BELOW:
        return Verdict.TOO_DARK
    if sharpness(grey) < BLURRED_BELOW:
        return Verdict.BLURRED
    return Verdict.OK


def brightness(grey: Image.Image) -> int:
    """Return the grey that all but the brightest twentieth of the pixels do not exceed."""
    counts = grey.histogram()
    left = _BRIGHT_SHARE * sum(counts)
    for value, count in enumerate(counts):
        left -= count
        if left <= 0:
            return value
    return len(counts) - 1


def sharpness(grey: Image.Image) -> float:
    """Return the variance of the Laplacian: edges make it large, blur makes it small."""
    edges = grey.filter(_LAPLACIAN)
    # The outermost pixels are copied unfiltered.
    inner = edges.crop((1, 1, edges.width - 1, edges.height - 1))
    return ImageStat.Stat(inner).var[0]
