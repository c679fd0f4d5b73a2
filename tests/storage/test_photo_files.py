"""The photo files by themselves: whole or not there."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.storage.photos import PhotoFiles


@contextmanager
def room_for(most: int) -> Iterator[None]:
    """The kernel's limit to a file, in place of a disk that is full: a write ends in the middle."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    files = PhotoFiles(folder, None)
    files.put_sealed("small", b"x")
    with room_for(10_000), pytest.raises(OSError, match="too large"):
        files.put_sealed("large", bytes(50_000))
    assert [each.name for each in folder.iterdir()] == ["small.photo"]
    files.put_sealed("large", bytes(50_000))
    assert files.kept() == {"small", "large"}


def test_a_folder_that_is_not_there_yet_is_empty_but_one_that_cannot_be_read_is_not(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "photos"
    files = PhotoFiles(folder, None)
    assert files.kept() == set()
    folder.write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        files.kept()
