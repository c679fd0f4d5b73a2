"""Migrations: up, down and up again on both databases; what they make equals the tables."""

import ast
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from bot.storage import schema, tables
from bot.storage.schema import SchemaError

T = TypeVar("T")

MIGRATIONS = Path(schema.__file__).parent / "migrations"
REVISIONS = sorted(
    path.name.partition("_")[0].removeprefix("v")
    for path in (MIGRATIONS / "versions").glob("v*.py")
)


async def look(url: str, see: Callable[[Connection], T]) -> T:
    """What ``see`` finds through a connection that knows nothing of the bot; then committed."""
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(see)
    finally:
        await engine.dispose()


def names(connection: Connection) -> set[str]:
    """The tables and views of the database."""
    found = inspect(connection)
    return {*found.get_table_names(), *found.get_view_names()}


def indexes(connection: Connection) -> dict[str, str]:
    """Every index by name, in the database's own words, its condition among them."""
    if connection.dialect.name == "sqlite":
        sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    else:
        sql = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
    rows = connection.execute(text(sql)).all()
    return {name: " ".join(words.split()) for name, words in rows if name != "alembic_version_pkc"}


def execute(sql: str) -> Callable[[Connection], None]:
    """Some SQL, to be run."""

    def run(connection: Connection) -> None:
        connection.execute(text(sql))

    return run


def differences(connection: Connection) -> list[object]:
    """What Alembic would change to get from the database to the tables in the code."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, SQLModel.metadata))


async def test_each_revision_goes_up_down_and_up_again(url: str) -> None:
    assert await schema.present(url) is None
    for before, revision in zip(["base", *REVISIONS], REVISIONS, strict=False):
        for target in (revision, before, revision):
            await schema.migrate(url, target)
            assert await schema.present(url) == (None if target == "base" else target)
    assert REVISIONS[-1] == schema.newest()
    assert schema.problem(schema.newest()) == ""
    await schema.migrate(url, "base")
    assert await look(url, names) == {"alembic_version"}


async def test_the_migrated_schema_equals_the_tables(url: str) -> None:
    await schema.migrate(url)
    assert await look(url, differences) == []
    migrated = await look(url, indexes)
    assert set(SQLModel.metadata.tables) == {
        name for name in await look(url, names) if name[:2] != "v_" and name != "alembic_version"
    }

    await schema.migrate(url, "base")
    await look(url, SQLModel.metadata.create_all)
    assert migrated == await look(url, indexes)
    assert "reminder_one_unfinished" in migrated
    assert tables.Vital.__tablename__ == "vital"


async def test_a_newer_schema_is_refused_and_left_alone(url: str) -> None:
    await schema.migrate(url)
    before = await look(url, names)
    await look(url, execute("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaError) as refused:
        await schema.migrate(url)
    assert str(refused.value) == (
        f"the database has schema 9999, which is newer than this program's {schema.newest()}; "
        "install the newer program again"
    )
    assert schema.problem(await schema.present(url)) == str(refused.value)
    assert await look(url, names) == before


async def test_a_migration_that_fails_half_way_leaves_nothing_behind(url: str) -> None:
    # The last table that the first migration makes is there already: all before it must go.
    await look(url, execute("CREATE TABLE answer (id INTEGER)"))
    with pytest.raises(SchemaError, match="answer"):
        await schema.migrate(url)
    assert await look(url, names) == {"answer"}
    assert schema.problem(await schema.present(url)) == (
        "the database is empty; run: aftercare init"
    )


async def test_a_database_that_cannot_be_opened_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "aftercare.db"
    missing = f"sqlite+aiosqlite:///{tmp_path / 'nowhere' / 'aftercare.db'}"
    assert await schema.present(missing) is None
    assert not (tmp_path / "nowhere").exists()
    file.write_bytes(b"this is no database, but a text that somebody put there" * 40)
    for url in (f"sqlite+aiosqlite:///{file}", "postgresql+psycopg://care@127.0.0.1:1/care"):
        with pytest.raises(SchemaError, match=r"^the database cannot be worked with: [^\n]+$"):
            await schema.present(url)


def test_migrations_stand_alone() -> None:
    for path in MIGRATIONS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                modules = ["bot" if node.level else node.module or ""]
            assert not any(module.split(".")[0] == "bot" for module in modules), path.name
