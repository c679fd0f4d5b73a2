"""A new patient as typed in one line: "Anna Maria mesotherapy-face today 14:30".

The treatment may be followed by its variant: "mesotherapy-body fat-dissolving".
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

_CLOCK = re.compile(r"^\d{1,2}[:.]\d{2}$")
_DATE = re.compile(r"^\d[\d./,-]*$")
_BEFORE_CLOCK = "at"


@dataclass(frozen=True, slots=True)
class LineTyped:
    """The parts of the line, as they were typed; ``""`` for one that is not there."""

    name: str
    treatment: str
    moment: str
    variant: str | None = None


def read(line: str, known: Mapping[str, Collection[str]], day_words: Collection[str]) -> LineTyped:
    """Return the parts of a line; the first treatment that exists ends the name.

    ``known`` are the treatments, each with its variants.
    Without one, what stands last before the time is taken for the treatment that was meant; a
    single word is a name.
    """
    words = line.split()
    at = next((i for i, word in enumerate(words) if i and word.lower() in known), None)
    if at is not None:
        treatment, rest = words[at].lower(), words[at + 1 :]
        variant = rest.pop(0).lower() if rest and rest[0].lower() in known[treatment] else None
        return LineTyped(" ".join(words[:at]), treatment, " ".join(rest), variant)
    end = _before_moment(words, day_words)
    moment = " ".join(words[end:])
    if end > 1:
        return LineTyped(" ".join(words[: end - 1]), words[end - 1], moment)
    name = "" if end and words[0].lower() in known else " ".join(words[:end])
    return LineTyped(name, "", moment)


def _before_moment(words: list[str], day_words: Collection[str]) -> int:
    """Return where the date and time at the end of the words begin."""
    end = len(words)
    if not words or not _CLOCK.match(words[-1]):
        return end
    end -= 1
    if end and words[end - 1].lower() == _BEFORE_CLOCK:
        end -= 1
    if end and (words[end - 1].lower() in day_words or _DATE.match(words[end - 1])):
        end -= 1
    return end
