"""Photos in a backup: they come back with it, and those of an erased patient do not."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot import upkeep
from bot.storage import photo_copies
from bot.storage.backup import BackupError
from bot.storage.photos import PhotoFiles
from bot.storage.vault import create_key_file, open_key_file
from tests.cast import Clinic
from tests.pictures import made
from tests.stories.test_erasing import erases
from tests.stories.test_photos import agreeing, files, sends


def quiet(_done: int, _total: int) -> None:
    """Nobody looks at the progress."""


def tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master")}


async def test_a_restore_brings_photos_back_but_not_those_of_the_erased(
    both: Clinic, tmp_path: Path
) -> None:
    ana, ben, running = both.ana, both.ben, both.rehearsal.app
    is_sqlite = running.deps.database.is_sqlite
    await agreeing(both, ana)
    await sends(both, ana, made.sharp(2))
    await agreeing(both, ben)
    (bens,) = await both.rows("SELECT ref FROM photo WHERE patient_id = 2")
    picture = running.deps.photos.read(bens["ref"])
    assert picture is not None
    target = tmp_path / "saved"
    saved = await upkeep.save(running.options, target, quiet)
    assert saved.photos == len(files(both)) == 3
    holder = target if is_sqlite else photo_copies.beside(target)
    assert saved.beside == (None if is_sqlite else holder)
    assert holder.stat().st_mode & 0o777 == 0o600
    # As encrypted as on the disk.
    assert picture[:200] not in holder.read_bytes()
    with pytest.raises(BackupError, match="is there already"):
        await upkeep.save(running.options, target, quiet)

    await erases(ana)
    await sends(both, ben, made.sharp(3))
    await running.stop()
    (newer,) = [each for each in files(both) if each.stem != bens["ref"]]
    folder = newer.parent
    moved = tmp_path / newer.name
    shutil.move(newer, moved)
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    shutil.move(moved, newer)

    done = await upkeep.restore(running.options, target, quiet)
    assert (done.photos, done.lost) == (1, 0)
    # Nothing is removed before somebody has looked: the newer one is of the database that is kept.
    assert sorted(files(both)) == sorted([newer, folder / f"{bens['ref']}.photo"])
    back = PhotoFiles(folder, open_key_file(running.options.keys))
    assert back.read(bens["ref"]) == picture
    assert (folder / f"{bens['ref']}.photo").stat().st_mode & 0o777 == 0o600
    if is_sqlite:
        assert "photo_file" in tables(target)
        assert "photo_file" not in tables(running.options.data_dir / "aftercare.db")


async def test_a_backup_without_photos_leaves_those_on_the_disk(
    both: Clinic, tmp_path: Path
) -> None:
    running = both.rehearsal.app
    await agreeing(both, both.ana)
    target = tmp_path / "saved"
    saved = await upkeep.save(running.options, target, quiet, with_photos=False)
    assert (saved.photos, saved.beside) == (0, None)
    await running.stop()
    done = await upkeep.restore(running.options, target, quiet)
    assert (done.photos, done.lost) == (None, 0)
    (file,) = files(both)
    file.unlink()
    again = await upkeep.restore(running.options, target, quiet)
    assert (again.photos, again.lost) == (None, 1)


async def test_a_folder_that_cannot_be_read_makes_no_backup(both: Clinic, tmp_path: Path) -> None:
    running = both.rehearsal.app
    await agreeing(both, both.ana)
    (file,) = files(both)
    folder, away = file.parent, file.parent.with_name("away")
    target = tmp_path / "saved"
    # A file in its place is read by nobody, also not by the account that may read everything.
    folder.rename(away)
    folder.write_bytes(b"")
    with pytest.raises(BackupError, match="photo folder cannot be read"):
        await upkeep.save(running.options, target, quiet)
    assert not target.exists()
    saved = await upkeep.save(running.options, target, quiet, with_photos=False)
    assert saved.photos == 0
    folder.unlink()
    away.rename(folder)
    assert (await upkeep.save(running.options, tmp_path / "whole", quiet)).photos == 1


@pytest.mark.parametrize("name", ["../stolen", "a/b", "", "x" * 65, "a.b"])
def test_a_name_that_is_none_is_not_written(tmp_path: Path, name: str) -> None:
    copy, keys = tmp_path / "copy", tmp_path / "key"
    create_key_file(keys)
    with closing(sqlite3.connect(copy)) as database, database:
        database.execute("CREATE TABLE photo_file (ref TEXT, sealed BLOB)")
        database.execute("INSERT INTO photo_file VALUES (?, ?)", (name, b"x"))
    before = set(tmp_path.rglob("*"))
    store = PhotoFiles(tmp_path / "photos", open_key_file(keys))
    with pytest.raises(BackupError, match="a name that is none"):
        photo_copies.put_back(copy, store, lambda _ref: True)
    assert set(tmp_path.rglob("*")) == before
