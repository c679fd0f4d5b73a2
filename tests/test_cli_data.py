"""Backup, restore, release and migrate as an operator runs them, on both databases."""

import asyncio
import json
import os
import re
import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from bot import cli
from bot.clock import SystemClock
from bot.domain.states import Lane
from bot.services import dispatch
from bot.storage import schema, vault
from bot.storage.database import Database
from tests.faults.world import Post, bring_on, post

KEY_APART = "is not in it: without that key nobody can read it."
STAMP = r"\d{8}T\d{6}-\d{6}Z"


@dataclass(frozen=True, slots=True)
class Desk:
    """An operator beside a bot that has a few patients."""

    sending: Post
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    async def runs(self, *arguments: str) -> tuple[int, str, str]:
        """A command in a thread, as it brings a loop of its own: exit code and what it said."""
        code = await asyncio.to_thread(self._runs, arguments)
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def _runs(self, arguments: tuple[str, ...]) -> int:
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        assert isinstance(left.value.code, int)
        return left.value.code

    async def refuses(self, *arguments: str) -> str:
        """A command that ends with one sentence."""
        code, _, err = await self.runs(*arguments)
        (line,) = err.splitlines()
        assert (code, line[:11]) == (1, "aftercare: "), line
        return line.removeprefix("aftercare: ")

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """What the database says to somebody who knows nothing of the bot."""
        engine = create_engine(self.sending.deps.database.url.replace("+aiosqlite", ""))
        try:
            with engine.begin() as connection:
                found = connection.execute(text(sql))
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()

    @property
    def is_sqlite(self) -> bool:
        return self.sending.deps.database.is_sqlite

    def backup(self, name: str) -> Path:
        return self.folder / f"{name}.{'db' if self.is_sqlite else 'dump'}"

    def sealed_again(self) -> None:
        """Another key than the one of this database."""
        (self.folder / "aftercare.key").rename(self.folder / "right.key")
        vault.create_key_file(self.folder / "aftercare.key")


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


@pytest.fixture
async def desk(
    tmp_path: Path,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> AsyncIterator[Desk]:
    for name in ("DATABASE_URL", "DATA_DIR", "KEY_FILE", "MESSAGES_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    start = SystemClock().now()
    async with post(tmp_path, start, database_url=database_url) as sending:
        monkeypatch.setenv("DATABASE_URL", sending.deps.database.url)
        yield Desk(sending, tmp_path, monkeypatch, capsys)


async def test_a_backup_comes_back_held_and_is_released(desk: Desk) -> None:
    ana, patient = await desk.sending.patient("Ana")
    now = desk.sending.clock.now()
    async with desk.sending.deps.database.write() as session:
        row = await bring_on(session, patient, "d1", now)
        # By the machine's clock it may be night.
        row.asked = True
        await dispatch.dispatch(session, [patient.id or 0], now)
    await desk.sending.queue(patient, Lane.REPLY)
    saved = desk.backup("one")
    code, out, err = await desk.runs("backup", str(saved))
    assert (code, err) == (0, "")
    assert KEY_APART in out
    assert mode(saved) == 0o600
    assert [each.name for each in desk.folder.glob(".*")] == []
    assert await desk.refuses("backup", str(saved)) == (
        f"{saved} is there already; nothing is overwritten"
    )
    marked = desk.ask("SELECT value FROM vital WHERE key = 'backup_at'")
    assert bool(marked) is not desk.is_sqlite

    await desk.sending.pump()
    await desk.sending.patient("Ben")
    assert len(ana.received) == 2
    assert desk.ask("SELECT count(*) FROM patient") == [(2,)]
    said = await desk.refuses("release")
    assert said == "sending is not held; there is nothing to release"

    said = await desk.refuses("restore", str(saved))
    assert said == "nobody can be asked here; to replace the database say --yes"
    # The database is let go of, as by a bot that was stopped.
    await desk.sending.deps.database.close()
    code, out, err = await desk.runs("restore", str(saved), "--yes")
    assert (code, err) == (0, "")
    (kept,) = re.findall(r"The one before is kept in (.*)\.\n", out)
    assert mode(Path(kept)) == 0o600
    assert desk.ask("SELECT count(*) FROM patient") == [(1,)]
    assert desk.ask("SELECT DISTINCT state FROM message WHERE id > 0") == [("queued",)]
    assert not list(desk.folder.glob("*.restoring*"))
    code, out, _ = await desk.runs("doctor", "--json")
    assert code == 1
    assert "as a backup was restored; run: aftercare release" in json.loads(out)["sending"]

    await desk.sending.pump()
    assert len(ana.received) == 2
    code, out, _ = await desk.runs("release", "--json")
    seen = json.loads(out)
    assert (code, seen["why"], "Ana" in out) == (0, "restored", False)
    assert {(each["kind"], each["goes"]) for each in seen["waiting"]} == {
        ("care", True),
        ("reply", False),
    }
    assert seen["backup_at"] <= seen["since"] <= seen["now"]
    assert "nobody can be asked" in (await desk.runs("release"))[2]
    code, out, err = await desk.runs("release", "--yes")
    assert (code, err) == (0, "")
    assert "is not in this database: stops, new patients" in out
    desk.sending.clock.passes((SystemClock().now() - desk.sending.clock.now()).total_seconds() + 70)
    await desk.sending.pump()
    assert "this message may reach you twice" in ana.received[-1].text
    assert len(ana.received) == 3

    # What was kept can be brought back in the same way.
    await desk.sending.deps.database.close()
    code, _, err = await desk.runs("restore", kept, "--yes")
    assert (code, err) == (0, "")
    assert desk.ask("SELECT count(*) FROM patient") == [(2,)]


async def test_a_restore_refuses_what_would_do_harm_and_changes_nothing(desk: Desk) -> None:
    await desk.sending.patient("Ana")
    saved = desk.backup("one")
    assert (await desk.runs("backup", str(saved)))[0] == 0
    await desk.sending.patient("Ben")

    assert await desk.sending.deps.database.own()
    said = await desk.refuses("restore", str(saved), "--yes")
    assert said == "a bot works with this database; stop it first"
    await desk.sending.deps.database.close()

    assert await desk.refuses("restore", "nix", "--yes") == "there is no backup nix"
    half = desk.folder / "half"
    half.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
    text_ = desk.folder / "letter"
    text_.write_text("Dear Nour, " * 100)
    for wrong in (half, text_):
        said = await desk.refuses("restore", str(wrong), "--yes")
        assert "damaged" in said or "no sound backup" in said or "cannot be restored" in said

    desk.sealed_again()
    said = await desk.refuses("restore", str(saved), "--yes")
    assert "put back the one that init made" in said
    (desk.folder / "right.key").rename(desk.folder / "aftercare.key")

    desk.ask("UPDATE alembic_version SET version_num = '9999'")
    newer = desk.backup("newer")
    assert (await desk.runs("backup", str(newer)))[0] == 0
    desk.ask(f"UPDATE alembic_version SET version_num = '{schema.newest()}'")
    said = await desk.refuses("restore", str(newer), "--yes")
    assert "has schema 9999, which is newer than this program's" in said
    assert desk.ask("SELECT count(*) FROM patient") == [(2,)]
    assert desk.ask("SELECT value FROM vital WHERE key = 'held'") == []
    assert not list(desk.folder.glob("*.restoring*"))


async def test_a_backup_brings_a_clinic_to_a_new_machine(desk: Desk) -> None:
    if not desk.is_sqlite:
        pytest.skip("a new machine is the same server, or an operator's matter")
    await desk.sending.patient("Ana")
    saved = desk.backup("one")
    await desk.runs("backup", str(saved))
    new = desk.folder / "new"
    desk.monkeypatch.setenv("DATA_DIR", str(new))
    desk.monkeypatch.setenv("DATABASE_URL", "")
    said = await desk.refuses("restore", str(saved), "--yes")
    assert "key file" in said
    assert not list(new.glob("*.db"))
    new.mkdir(exist_ok=True)
    (new / "aftercare.key").write_bytes((desk.folder / "aftercare.key").read_bytes())
    (new / "aftercare.key").chmod(0o600)
    assert (await desk.runs("restore", str(saved), "--yes"))[0] == 0
    with closing(sqlite3.connect(new / "aftercare.db")) as there:
        assert there.execute("SELECT count(*) FROM patient").fetchall() == [(1,)]
        assert there.execute("SELECT value FROM vital WHERE key = 'held'").fetchall() == [("1",)]
    assert mode(new / "aftercare.db") == 0o600


async def test_a_damaged_database_is_kept_and_replaced(desk: Desk) -> None:
    if not desk.is_sqlite:
        pytest.skip("the server's own files are the server's matter")
    await desk.sending.patient("Ana")
    saved = desk.backup("one")
    await desk.runs("backup", str(saved))
    await desk.sending.deps.database.close()
    file = desk.folder / "aftercare.db"
    broken = bytearray(file.read_bytes())
    broken[4096:40960] = os.urandom(36864)
    file.write_bytes(broken)
    assert "malformed" in await desk.refuses("backup", str(desk.backup("two")))
    assert not desk.backup("two").exists()
    code, out, _ = await desk.runs("restore", str(saved), "--yes")
    assert code == 0
    (kept,) = re.findall(r"The one before is kept in (.*)\.\n", out)
    assert (desk.folder / Path(kept).name).read_bytes()[4096:40960] == bytes(broken[4096:40960])
    assert desk.ask("SELECT count(*) FROM patient") == [(1,)]


async def test_a_migration_makes_a_backup_first(desk: Desk) -> None:
    await desk.sending.patient("Ana")
    await desk.sending.deps.database.close()
    url = desk.sending.deps.database.url
    await schema.migrate(url, "0001")
    old = desk.backup("old")
    assert (await desk.runs("backup", str(old)))[0] == 0
    assert "run: aftercare migrate" in await desk.refuses("release")

    # A bot that works with it is not pulled from under its feet.
    owner = Database(url, vault.open_key_file(desk.folder / "aftercare.key"))
    assert await owner.own()
    assert "stop it first" in await desk.refuses("migrate")
    await owner.close()

    code, out, err = await desk.runs("migrate")
    assert (code, err) == (0, "")
    assert f"Migrated to {schema.newest()}." in out
    (saved,) = (desk.folder / "backups").iterdir()
    assert re.fullmatch(f"before-{schema.newest()}-{STAMP}\\.(db|dump)", saved.name)
    assert str(saved) in out
    assert mode(saved) == 0o600
    assert (await desk.runs("migrate"))[1] == "The schema is up to date.\n"
    assert len(list((desk.folder / "backups").iterdir())) == 1

    # A backup of the schema before comes back as the newest one.
    assert (await desk.runs("restore", str(saved), "--yes"))[0] == 0
    assert await schema.present(url) == schema.newest()
    assert desk.ask("SELECT value FROM vital WHERE key = 'held'") == [("1",)]
    assert desk.ask("SELECT count(*) FROM patient") == [(1,)]


async def test_a_migration_without_a_backup_must_be_asked_for(desk: Desk) -> None:
    await desk.sending.deps.database.close()
    await schema.migrate(desk.sending.deps.database.url, "0001")
    # Somebody has put a file where the backups belong.
    (desk.folder / "backups").write_text("")
    assert "backups" in await desk.refuses("migrate")
    assert await schema.present(desk.sending.deps.database.url) == "0001"
    assert (await desk.runs("migrate", "--no-backup"))[1] == f"Migrated to {schema.newest()}.\n"


async def test_a_dump_needs_the_programs_of_the_server(desk: Desk) -> None:
    if desk.is_sqlite:
        pytest.skip("SQLite needs no other program")
    desk.monkeypatch.setenv("PATH", str(desk.folder))
    said = await desk.refuses("backup", "one.dump")
    assert re.fullmatch(
        r"pg_dump is not here; install PostgreSQL's client programs, version \d+ or newer", said
    )
    old = desk.folder / "pg_dump"
    old.write_text("#!/bin/sh\necho 'pg_dump (PostgreSQL) 9.6.1'\n")
    old.chmod(0o755)
    assert "9.6.1 is older than the server; install" in await desk.refuses("backup", "one.dump")
    assert not list(desk.folder.glob("*one.dump*"))
