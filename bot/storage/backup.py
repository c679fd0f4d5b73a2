"""Copies of an SQLite database: made beside a running bot, looked at, put in the place of one."""

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path

# Small steps, so that progress can be told; all of them read one and the same snapshot.
_PAGES = 256
_PATIENCE_S = 30.0
# What SQLite keeps beside a database that is open.
_BESIDE = ("-wal", "-shm")

Progress = Callable[[int, int], None]


class BackupError(RuntimeError):
    """A backup cannot be made or used; the text says why, and what to do."""


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Give a file beside ``target`` that becomes it, whole and on disk, if the block ends well.

    Mode 0600. Nothing is overwritten, and nothing is left of one that did not come to an end; what
    a killed one has left is taken by the next of that name.
    """
    _refuse_taken(target)
    growing = target.with_name(f".{target.name}.growing")
    try:
        handle = os.open(growing, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise BackupError(f"{target} cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise BackupError(f"{target} is being written by another backup") from error
    try:
        os.ftruncate(handle, 0)
        yield growing
        _refuse_taken(target)
        _to_disk(growing)
        growing.rename(target)
        _to_disk(target.parent)
    except (OSError, sqlite3.Error) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise BackupError(f"{target} cannot be written ({why})") from error
    finally:
        for left in (growing, *(growing.with_name(growing.name + end) for end in _BESIDE)):
            left.unlink(missing_ok=True)
        growing.with_name(f"{growing.name}-journal").unlink(missing_ok=True)
        os.close(handle)


def _refuse_taken(target: Path) -> None:
    if os.path.lexists(target):
        raise BackupError(f"{target} is there already; nothing is overwritten")


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def save(
    source: Path,
    target: Path,
    signs: Mapping[str, str],
    progress: Progress,
    also: Callable[[Path], None],
) -> None:
    """Save the database ``source`` in the file ``target``; vital ``signs`` go into the copy alone.

    Whatever was committed before is in it. A bot may write meanwhile: it waits for nothing.
    ``also`` is given the copy while it grows.
    """
    with new_file(target) as growing:
        _copy(source, growing, progress)
        also(growing)
        with closing(connect(growing)) as copy, copy:
            copy.executemany("INSERT OR REPLACE INTO vital VALUES (?, ?)", signs.items())
        _check(growing)


def connect(file: Path, mode: str = "rw") -> sqlite3.Connection:
    """Return a connection to an SQLite file that is there."""
    return sqlite3.connect(f"{file.resolve().as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE_S)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    def told(_status: int, remaining: int, total: int) -> None:
        progress(total - remaining, total)

    with closing(connect(source)) as live, closing(connect(target)) as copy:
        # Within a transaction every step reads the same state. Left alone, the copy would begin
        # anew whenever the bot has written, and never end beside one that writes all the time.
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(copy, pages=_PAGES, progress=told)
        # One file, with nothing beside it.
        copy.execute("PRAGMA journal_mode=DELETE")


def _check(file: Path) -> None:
    with closing(connect(file)) as copy:
        found = [row[0] for row in copy.execute("PRAGMA integrity_check(1)")]
    if found != ["ok"]:
        raise BackupError(f"the database is damaged ({found[0].splitlines()[0]})")


def stage(file: Path, staged: Path, progress: Progress) -> None:
    """Copy the backup ``file`` to ``staged``; :class:`BackupError` unless it is sound."""
    discard(staged)
    if not file.is_file():
        raise BackupError(f"there is no backup {file}")
    os.close(os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        _copy(file, staged, progress)
        _check(staged)
    except sqlite3.Error as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise BackupError(f"there is no room for the database in {staged.parent}") from error
        raise BackupError(f"{file} is no sound backup of an SQLite database ({error})") from error


def discard(staged: Path) -> None:
    """Remove what is left of a copy that came to no end."""
    for end in ("", "-journal", *_BESIDE):
        staged.with_name(staged.name + end).unlink(missing_ok=True)


def replace(file: Path, staged: Path, kept: Path) -> bool:
    """Put ``staged`` in the place of the database ``file``; say whether one was there.

    That one is kept as ``kept``. At any instant ``file`` is one or the other, and whole. Nobody
    else may work with either.
    """
    try:
        _fold_in(staged)
    except sqlite3.Error as error:
        raise BackupError(f"{staged} cannot be finished ({error})") from error
    _to_disk(staged)
    was_there = file.exists() and file.stat().st_size > 0
    if was_there:
        try:
            _fold_in(file)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise BackupError(f"another program has {file} open; close it first") from error
        except sqlite3.DatabaseError:
            # Damaged: that is why it is replaced. It is kept as it is.
            pass
        _keep(file, kept)
    for end in _BESIDE:
        beside = file.with_name(file.name + end)
        if beside.exists() and end == "-wal":
            _keep(beside, kept.with_name(kept.name + end))
        # A log of the old database must never be taken for one of the new.
        beside.unlink(missing_ok=True)
    staged.replace(file)
    _to_disk(file.parent)
    return was_there


def _fold_in(file: Path) -> None:
    """Bring what SQLite keeps beside the file into it."""
    with closing(connect(file)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")


def _keep(file: Path, kept: Path) -> None:
    """Give the file a second name; it never goes without its first one meanwhile."""
    _refuse_taken(kept)
    with suppress(OSError):
        kept.hardlink_to(file)
        return
    # Not every file system knows two names for one file.
    shutil.copy2(file, kept)
    _to_disk(kept)
