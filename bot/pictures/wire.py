"""What parent and child say to each other: one line of JSON, then the pictures' bytes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

LONGEST_HEAD = 4096
LONGEST_PICTURE = 20 * 1024 * 1024
"""What Telegram hands over of one file; the child is given no more either."""
MOST_CELLS = 12


class Task(StrEnum):
    """What the child is asked for."""

    JUDGE = "judge"
    PAIRS = "pairs"
    SHEET = "sheet"


class Verdict(StrEnum):
    """What a picture is good for; nothing is ever said of what it shows."""

    OK = "ok"
    TOO_SMALL = "too_small"
    TOO_DARK = "too_dark"
    BLURRED = "blurred"
    NOT_A_PICTURE = "not_a_picture"
    TOO_LARGE = "too_large"


READABLE = frozenset({Verdict.OK, Verdict.TOO_SMALL, Verdict.TOO_DARK, Verdict.BLURRED})
"""Verdicts on something that is a picture: it is given back made anew."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The child's answer: a verdict, and the new JPEG unless nothing could be read."""

    verdict: Verdict
    jpeg: bytes = b""


def packed_request(task: Task, pictures: Sequence[bytes]) -> bytes:
    """Return a request as bytes; an empty picture is a cell that stays empty."""
    head = {"task": task.value, "lengths": [len(each) for each in pictures]}
    return b"".join((json.dumps(head).encode(), b"\n", *pictures))


def request(data: bytes) -> tuple[Task, list[bytes]]:
    """Return what a request asks for; raises ``ValueError`` for anything else."""
    head, _, rest = data.partition(b"\n")
    asked = json.loads(head)
    pictures, at = [], 0
    for length in asked["lengths"]:
        pictures.append(rest[at : at + length])
        at += length
    return Task(asked["task"]), pictures


def packed_answer(answer: Answer) -> bytes:
    """Return an answer as bytes."""
    return json.dumps({"verdict": answer.verdict.value}).encode() + b"\n" + answer.jpeg


def answer(data: bytes) -> Answer:
    """Return what the child answered; raises ``ValueError`` for anything that is no answer.

    The child has read a stranger's bytes: its word is taken for nothing but a verdict and a JPEG.
    """
    head, _, jpeg = data.partition(b"\n")
    said = json.loads(head[:LONGEST_HEAD])
    if not isinstance(said, dict) or set(said) != {"verdict"}:
        raise ValueError("no answer")
    verdict = Verdict(said["verdict"])
    if (verdict in READABLE) != jpeg.startswith(b"\xff\xd8\xff"):
        raise ValueError("an answer without its picture")
    return Answer(verdict, jpeg)
