"""Owning a database: one process at a time, on either kind, and noticed when it is lost."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from bot.storage.database import Database
from bot.storage.ownership import FileOwnership, NotOwned, Overtaken
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
