"""Opening the database: what every connection keeps to, who writes when, who may read the files."""

import asyncio
import os
import stat
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.storage import database
from bot.storage.database import Database, Priority
from bot.storage.queries import vitals
from bot.storage.tables import Consent, Update
from bot.storage.vault import Vault

NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)
PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: what was acknowledged is on the disk
    "foreign_keys": 1,
    "secure_delete": 1,
    "busy_timeout": 5000,
}


async def pragmas(session: AsyncSession) -> dict[str, object]:
    connection = await session.connection()
    return {
        name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one() for name in PRAGMAS
    }


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_every_connection_to_sqlite_keeps_to_the_same_rules(sqlite: Database) -> None:
    async with AsyncExitStack() as open_at_once:
        for _ in range(4):
            reader = await open_at_once.enter_async_context(sqlite.read())
            assert await pragmas(reader) == PRAGMAS
        writer = await open_at_once.enter_async_context(sqlite.write())
        assert await pragmas(writer) == PRAGMAS


async def test_two_processes_that_read_and_then_write_wait_for_each_other(sqlite: Database) -> None:
    # Had a transaction begun as a reader, the second would be told "database is locked" at once.
    other_process = Database(sqlite.url, sqlite.vault)

    async def count_one_more(process: Database) -> None:
        async with process.write() as session:
            known = int(await vitals.get(session, "count") or 0)
            await asyncio.sleep(0.01)
            await vitals.put(session, "count", str(known + 1))

    await asyncio.gather(*(count_one_more(each) for each in [sqlite, other_process] * 3))
    async with other_process.read() as session:
        assert await vitals.get(session, "count") == "6"
    await other_process.close()


async def test_a_reader_is_not_kept_waiting_by_a_writer(sqlite: Database) -> None:
    async with sqlite.write() as writing:
        await vitals.put(writing, "held", "1")
        await writing.flush()
        async with sqlite.read() as reading:
            assert await vitals.get(reading, "held") is None
    async with sqlite.read() as reading:
        assert await vitals.get(reading, "held") == "1"


async def test_what_fails_leaves_no_trace_and_says_no_values(opened: Database) -> None:
    async def give_consent_for_nobody() -> None:
        async with opened.write() as session:
            await vitals.put(session, "held", "1")
            session.add(
                Consent(
                    patient_id=4711,
                    purpose="planted-purpose",
                    text_version="1",
                    language="en",
                    given_at=NOON,
                )
            )

    with pytest.raises(IntegrityError) as refused:
        await give_consent_for_nobody()
    assert "planted-purpose" not in str(refused.value)
    async with opened.write() as session:
        assert await vitals.get(session, "held") is None


async def test_the_most_urgent_of_those_waiting_writes_next(sqlite: Database) -> None:
    wrote: list[str] = []

    async def write(name: str, priority: Priority) -> None:
        async with sqlite.write(priority):
            wrote.append(name)

    async with sqlite.write():
        waiting = {
            name: asyncio.ensure_future(write(name, priority))
            for name, priority in {
                "plan": Priority.PLAN,
                "turn": Priority.TURN,
                "result": Priority.RESULT,
                "second result": Priority.RESULT,
                "given up": Priority.INBOX,
                "message": Priority.INBOX,
            }.items()
        }
        await asyncio.sleep(0)
        waiting["given up"].cancel()
    await asyncio.gather(*waiting.values(), return_exceptions=True)
    assert wrote == ["message", "result", "second result", "turn", "plan"]


async def test_who_gives_up_when_it_is_their_turn_passes_it_on(sqlite: Database) -> None:
    async def write() -> None:
        async with sqlite.write(Priority.INBOX):
            pytest.fail("it was given up")

    async with sqlite.write():
        gives_up = asyncio.ensure_future(write())
        await asyncio.sleep(0)
    # The lock is already theirs, but they have not run since.
    gives_up.cancel()
    async with asyncio.timeout(20), sqlite.write() as session:
        await vitals.put(session, "held", "1")
    assert gives_up.cancelled()


async def test_only_the_owner_may_read_data_folder_and_database(tmp_path: Path) -> None:
    folder = tmp_path / "clinic" / "data"
    url = f"sqlite+aiosqlite:///{folder / 'aftercare.db'}"
    before = os.umask(0)
    try:
        database.guard_files(url, folder)
        ready = Database(url, Vault([bytes(32)]))
        async with ready.write() as session:
            await (await session.connection()).exec_driver_sql("CREATE TABLE vital (key, value)")
        files = sorted(folder.iterdir())
        assert [file.name[12:] for file in files] == ["", "-shm", "-wal"]
        assert {mode(file) for file in files} == {0o600}
        assert mode(folder) == 0o700
        await ready.close()
    finally:
        os.umask(before)

    folder.chmod(0o755)
    (folder / "aftercare.db").chmod(0o644)
    database.guard_files(url, folder)
    assert (mode(folder), mode(folder / "aftercare.db")) == (0o700, 0o600)


async def test_an_instant_is_aware_and_comes_back_in_utc(opened: Database) -> None:
    in_kathmandu = NOON.astimezone(ZoneInfo("Asia/Kathmandu"))
    async with opened.write() as session:
        session.add(Update(update_id=1, received_at=in_kathmandu))
    async with opened.read() as session:
        found = await session.get(Update, 1)
        assert found is not None
        assert found.received_at == NOON
        assert found.received_at.utcoffset() == timedelta()
        assert found.handled_at is None

    async def store_naive() -> None:
        async with opened.write() as session:
            session.add(Update(update_id=2, received_at=NOON.replace(tzinfo=None)))

    with pytest.raises(StatementError, match="a naive datetime cannot be stored"):
        await store_naive()
