"""Owning a database: one process at a time, on either kind, and noticed when it is lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from bot.storage.database import Database
from bot.storage.ownership import FileOwnership, LockFileError, NotOwned, Overtaken
from bot.storage.queries import vitals


def cut_off(database: Database) -> None:
    """The server ends every other connection, as when it is started anew."""
    address = make_url(database.url)
    with psycopg.connect(
        host=str(address.query["host"]), dbname=address.database, user="care", autocommit=True
    ) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@dataclass
class Line:
    """A network between a bot and its server, which can go silent and come back."""

    url: str
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.up.wait()
                sink.write(data)
            await self.up.wait()
        finally:
            sink.close()
            with suppress(OSError):
                await sink.wait_closed()


def socket_of(database: Database) -> Path:
    """Where the tests' server listens."""
    folder = Path(str(make_url(database.url).query["host"]))
    (socket,) = (found for found in folder.glob(".s.PGSQL.*") if found.suffix != ".lock")
    return socket


def put_away(file: Path) -> None:
    """A file is renamed, and an empty one is in its place."""
    file.rename(file.with_name("away"))
    file.touch()


@asynccontextmanager
async def line_to(database: Database) -> AsyncIterator[Line]:
    """The same database, reached over a network."""
    line, socket = Line(""), socket_of(database)
    line.up.set()
    carrying: set[asyncio.Task[None]] = set()

    async def connected(near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_unix_connection(socket)
        carrying.add(asyncio.ensure_future(line.carry(near, to_far)))
        carrying.add(asyncio.ensure_future(line.carry(far, to_near)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    over = make_url(database.url).set(host="127.0.0.1", port=port, query={"sslmode": "disable"})
    line.url = over.render_as_string(hide_password=False)
    try:
        yield line
    finally:
        line.up.set()
        server.close()
        for task in carrying:
            task.cancel()
        await asyncio.gather(*carrying, return_exceptions=True)


async def test_one_owns_it_and_the_next_takes_over_when_it_leaves(opened: Database) -> None:
    other = Database(opened.url, opened.vault)
    assert await opened.own()
    assert not await other.own()
    waiting = asyncio.ensure_future(other.own_next())
    await asyncio.sleep(0)
    assert not waiting.done()
    assert await opened.look() == ""
    await opened.close()
    async with asyncio.timeout(30):
        await waiting
    assert await other.look() == ""
    async with other.write() as session:
        await vitals.put(session, "held", "1")
    await other.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_loses_the_servers_lock_writes_nothing_until_it_is_back(
    opened: Database, tmp_path: Path
) -> None:
    assert await opened.own()
    cut_off(opened)
    assert "lost" in await opened.look()
    with pytest.raises(NotOwned, match="lost"):
        async with opened.write():
            pytest.fail("it wrote")
    assert await opened.look() == ""
    async with opened.write() as session:
        await vitals.put(session, "held", "1")

    # Another was quicker: this one never writes again.
    other = Database(opened.url, opened.vault)
    cut_off(opened)
    assert "lost" in await opened.look()
    assert await other.own()
    with pytest.raises(Overtaken):
        await opened.look()
    with pytest.raises(NotOwned):
        async with opened.write():
            pytest.fail("it wrote")
    await other.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_does_not_hear_that_it_lost_the_lock_stops_before_the_next_begins(
    opened: Database,
) -> None:
    async with line_to(opened) as line:
        far = Database(line.url, opened.vault)
        assert await far.own()
        assert await far.look() == ""
        assert not await opened.own()
        heir = asyncio.ensure_future(opened.own_next())
        line.up.clear()
        cut_off(opened)
        looking = asyncio.ensure_future(far.look())
        async with asyncio.timeout(60):
            await heir
        assert far.lost
        # The look itself ended as well: it did not wait for the driver to give up.
        assert looking.done()
        assert "lost" in looking.result()
        line.up.set()
        with pytest.raises(Overtaken):
            await far.look()
        await far.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_the_server_ends_an_owner_who_is_silent_though_its_connection_stands(
    opened: Database,
) -> None:
    async with line_to(opened) as line:
        far = Database(line.url, opened.vault)
        assert await far.own()
        assert not await opened.own()
        line.up.clear()
        async with asyncio.timeout(60):
            await opened.own_next()
        await far.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_lost_the_line_takes_its_own_lock_again_though_the_server_still_holds_it(
    opened: Database,
) -> None:
    async with line_to(opened) as line:
        far = Database(line.url, opened.vault)
        assert await far.own()
        line.up.clear()
        assert "lost" in await far.look()
        # What went before stays stuck on the way; what comes now goes through.
        line.up = asyncio.Event()
        line.up.set()
        assert not await opened.own()
        assert await far.look() == ""
        async with far.write() as session:
            await vitals.put(session, "held", "1")
        assert not await opened.own()
        await far.close()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_who_was_frozen_writes_nothing_before_the_server_was_asked_twice(
    opened: Database,
) -> None:
    assert await opened.own()
    assert await opened.look() == ""
    async with asyncio.timeout(30):
        while opened.lost == "":  # noqa: ASYNC110 - it is time alone that makes it so
            await asyncio.sleep(0.1)
    with pytest.raises(NotOwned):
        async with opened.write():
            pytest.fail("it wrote")
    # It was ours all the time; that somebody was refused must be told all the same.
    assert await opened.look() != ""
    assert await opened.look() == opened.lost == ""


async def test_a_lock_file_that_alone_was_deleted_is_locked_anew(sqlite: Database) -> None:
    lock = f"{make_url(sqlite.url).database}.lock"
    other = Database(sqlite.url, sqlite.vault)
    assert await sqlite.own()
    os.unlink(lock)
    with pytest.raises(NotOwned):
        async with sqlite.write():
            pytest.fail("it wrote")
    assert "deleted" in await sqlite.look()
    assert not await other.own()
    assert await sqlite.look() == sqlite.lost == ""
    async with sqlite.write() as session:
        await vitals.put(session, "held", "1")

    # Another was quicker: this one never writes again.
    os.unlink(lock)
    assert await other.own()
    with pytest.raises(Overtaken):
        await sqlite.look()
    with pytest.raises(NotOwned):
        async with sqlite.write():
            pytest.fail("it wrote")
    await other.close()


async def test_a_database_file_that_was_replaced_is_not_taken_again(sqlite: Database) -> None:
    file = Path(str(make_url(sqlite.url).database))
    assert await sqlite.own()
    put_away(file)
    for _ in range(3):
        assert "replaced" in await sqlite.look()


async def test_a_lock_file_that_cannot_be_opened_is_named_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "aftercare.db"
    file.touch()
    ownership = FileOwnership(file)
    beside = tmp_path / "aftercare.db.lock"
    beside.mkdir()
    with pytest.raises(LockFileError) as raised:
        await ownership.take()
    assert str(raised.value).startswith(f"{beside} cannot be opened (")
    assert "give it to the account that runs the bot" in str(raised.value)


async def test_a_file_is_owned_once_by_whatever_name_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    file, link = tmp_path / "kept" / "aftercare.db", tmp_path / "aftercare.db"
    file.touch()
    link.symlink_to(file)
    first, second = FileOwnership(file), FileOwnership(link)
    assert await first.take()
    assert not await second.take()
    await first.leave()
    assert await second.take()
    await second.leave()
