"""Bringing a database to the newest schema, and saying which one it has."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.storage import database

SCRIPTS = Path(__file__).parent / "migrations"


class SchemaError(RuntimeError):
    """The database cannot be opened, or its schema is not one that this program can work with."""


def _config(scripts: Path = SCRIPTS, connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts))
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def newest() -> str:
    """Return the revision that this program was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise SchemaError("this installation has no migrations")
    return head


def _present(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known(scripts: Path = SCRIPTS) -> set[str]:
    revisions = ScriptDirectory.from_config(_config(scripts)).walk_revisions()
    return {script.revision for script in revisions}


def is_newer(found: str) -> bool:
    """Say whether revision ``found`` was made by a newer version of the program."""
    return found not in _known()


def problem(found: str | None) -> str:
    """Return what to do about a database with revision ``found``; empty when it is the newest."""
    if found is None:
        return "the database is empty; run: aftercare init"
    if is_newer(found):
        return (
            f"the database has schema {found}, which is newer than this program's {newest()}; "
            "install the newer program again"
        )
    if found != newest():
        return f"the database has schema {found}, not {newest()}; run: aftercare migrate"
    return ""


@asynccontextmanager
async def _connected(url: str, *, changes: bool = False) -> AsyncIterator[AsyncConnection]:
    """Give a connection in one transaction, committed when the block ends well."""
    engine = database.schema_engine(url, changes=changes)
    try:
        async with engine.begin() as connection:
            yield connection
    except DBAPIError as error:
        first = str(error.orig).partition("\n")[0]
        raise SchemaError(f"the database cannot be worked with: {first}") from error
    finally:
        await engine.dispose()


async def present(url: str) -> str | None:
    """Return the revision of the database at ``url``, or nothing when it is empty or not there.

    Creates no file. Raises :class:`SchemaError` when the database cannot be opened.
    """
    file = database.sqlite_file(url)
    if file is not None and not file.exists():
        return None
    async with _connected(url) as connection:
        return await connection.run_sync(_present)


async def has_tables(url: str) -> bool:
    """Say whether anything is in the database at ``url``."""
    async with _connected(url) as connection:
        return await connection.run_sync(lambda each: bool(inspect(each).get_table_names()))


async def migrate(url: str, target: str = "head", scripts: Path = SCRIPTS) -> None:
    """Bring the database at ``url`` to ``target`` in one transaction: all of it or nothing.

    Raises :class:`SchemaError` when it was written by a newer version of the program.
    """
    async with _connected(url, changes=True) as connection:
        await connection.run_sync(_migrate, target, scripts)


def _migrate(connection: Connection, target: str, scripts: Path) -> None:
    found, known = _present(connection), _known(scripts)
    if found is not None and found not in known:
        raise SchemaError(problem(found))
    config = _config(scripts, connection)
    if target == "base" or (target in known and found is not None and target < found):
        command.downgrade(config, target)
    else:
        command.upgrade(config, target)
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        if broken:
            tables = ", ".join(sorted({str(row[0]) for row in broken}))
            raise SchemaError(f"the migration would tear rows apart in {tables}; nothing changed")
