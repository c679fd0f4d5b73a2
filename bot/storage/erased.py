"""Whose data were erased, kept beside the database, so that no backup brings them back."""

import os
from collections.abc import Collection
from pathlib import Path

_NAME = "erased"


def read(folder: Path) -> frozenset[str]:
    """Return the references of the erased patients; they say nothing about anybody."""
    try:
        return frozenset((folder / _NAME).read_text(encoding="ascii").split())
    except FileNotFoundError:
        return frozenset()


def add(folder: Path, refs: Collection[str]) -> None:
    """Have these references in the list, on the disk, whenever the machine stops afterwards."""
    new = sorted(set(refs) - read(folder))
    if not new:
        return
    handle = os.open(folder / _NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        # A line that a kill cut short ends here, and stands for nobody.
        file.write("".join(f"\n{ref}" for ref in new) + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(beside)
    finally:
        os.close(beside)
