"""The photo files in a backup: a table of an SQLite file, each as encrypted as on the disk."""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from bot.storage.backup import BackupError, connect, new_file
from bot.storage.photos import PhotoFiles

_REF = re.compile(r"[\w-]{1,64}", re.ASCII)
_THERE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'photo_file'"


def beside(target: Path) -> Path:
    """Return where the photos of a backup lie that is no SQLite file itself."""
    return target.with_name(f"{target.name}.photos")


def save(target: Path, files: PhotoFiles) -> int:
    """Save all photos in a new file ``target``; return how many. Nothing is overwritten."""
    with new_file(target) as growing:
        return add(growing, files)


def add(copy: Path, files: PhotoFiles) -> int:
    """Put all photos into the SQLite file ``copy``; return how many.

    After the database was copied: each photo that it names has had its file before. Raises
    ``BackupError`` when one cannot be read: a backup without it would look whole.
    """
    count = 0
    refs = listed(files)
    with closing(connect(copy)) as into, into:
        into.execute("DROP TABLE IF EXISTS photo_file")
        into.execute("CREATE TABLE photo_file (ref TEXT PRIMARY KEY, sealed BLOB NOT NULL)")
        for ref in refs:
            held = _read(files, ref)
            # One whose time is over meanwhile has no file any more.
            if held is not None:
                into.execute("INSERT INTO photo_file VALUES (?, ?)", (ref, held))
                count += 1
    return count


def listed(files: PhotoFiles) -> list[str]:
    """Return the references of all photos; raises ``BackupError`` when nobody can say."""
    try:
        return sorted(files.kept())
    except OSError as error:
        raise BackupError(f"the photo folder cannot be read ({error.strerror})") from error


def _read(files: PhotoFiles, ref: str) -> bytes | None:
    try:
        return files.read_sealed(ref)
    except OSError as error:
        raise BackupError(f"a photo cannot be read ({error.strerror})") from error


def put_back(copy: Path, files: PhotoFiles, wanted: Callable[[str], bool]) -> set[str] | None:
    """Have the ``wanted`` photos of a backup on the disk; return those that were not there before.

    Nothing is returned when the backup holds no photos at all. A file that is there stays as it is.
    """
    put = set()
    try:
        with closing(connect(copy)) as source:
            if source.execute(_THERE).fetchone() is None:
                return None
            there = files.kept()
            for ref, held in source.execute("SELECT ref, sealed FROM photo_file"):
                if not _REF.fullmatch(ref):
                    raise BackupError(f"{copy} holds a photo with a name that is none")
                if wanted(ref) and ref not in there:
                    files.put_sealed(ref, held)
                    put.add(ref)
    except sqlite3.Error as error:
        raise BackupError(f"{copy} holds photos that cannot be read ({error})") from error
    except OSError as error:
        raise BackupError(f"the photos cannot be put back ({error.strerror})") from error
    return put


def drop(copy: Path) -> None:
    """Have no photos in the SQLite file ``copy`` any more, and none of its pages left of them."""
    with closing(connect(copy)) as database:
        if database.execute(_THERE).fetchone() is None:
            return
        database.execute("DROP TABLE photo_file")
        database.commit()
        database.execute("VACUUM")
