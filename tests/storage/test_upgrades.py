"""Upgrades of a database that is in use: no row is lost, and it is the old schema or the new one.

CI kills a few times. The long form, and a failure once more:

    AFTERCARE_UPGRADE_KILLS=50 python -m pytest tests/storage/test_upgrades.py
    AFTERCARE_SEED=12345 python -m pytest tests/storage/test_upgrades.py
"""

import asyncio
import hashlib
import logging
import os
import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text

from bot.storage import schema
from bot.storage.schema import SchemaError
from tests.storage.test_migrations import look

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("AFTERCARE_UPGRADE_KILLS", "4"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PATIENTS = 1_000
THEN = "2026-03-10 13:30:00.000000"

# A later migration as they come: a table that others lead to is made anew.
REBUILD = """
import time
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0900", "{head}", None, None


def upgrade() -> None:
    op.execute("UPDATE vital SET value = 'after' WHERE key = 'upgrade'")
    with op.batch_alter_table("patient", recreate="auto" if {keep} else "always") as batch:
        batch.add_column(sa.Column("nickname", sa.String(), nullable=False, server_default=""))
    {then}


def downgrade() -> None:
    op.drop_column("patient", "nickname")
"""


def scripts(folder: Path, then: str = "pass", *, sqlite: bool) -> Path:
    """The migrations of this program, and one more behind them."""
    made = folder / "migrations"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(schema.SCRIPTS, made, ignore=ignored, dirs_exist_ok=True)
    words = REBUILD.format(head=schema.newest(), keep=not sqlite, then=then)
    (made / "versions" / "v0900_later.py").write_text(words)
    return made


def fill(connection: Connection) -> None:
    """A clinic with a practitioner and a thousand patients, each with a course, visit and more."""
    tables = {
        "clinic": {"id": "1", "ref": "'clinic'", "created_at": f"'{THEN}'"},
        "practitioner": {"id": "1", "ref": "'nour'", "clinic_id": "1", "created_at": f"'{THEN}'"},
        "protocol_version": {"id": "1", "clinic_id": "1", "content": "'{}'"},
        "vital": {"key": "'upgrade'", "value": "'before'"},
    }
    for table, known in tables.items():
        _insert(connection, table, known, "")
    each = {"id": "n.i", "ref": "'r' || n.i", "clinic_id": "1", "patient_id": "n.i"}
    each |= {"practitioner_id": "1", "created_at": f"'{THEN}'", "visit_id": "n.i"}
    each |= {"session_id": "n.i", "course_id": "n.i", "protocol_version_id": "1"}
    each |= {"telegram_id": "10000000000 + n.i", "state": "'planned'", "chat_id": "n.i"}
    each |= {"message_id": "n.i", "reminder_id": "n.i", "update_id": "n.i", "sealed": "NULL"}
    for table in ("patient", "course", "visit", "message", "reminder", "answer", "consent"):
        _insert(connection, table, each, _numbers())


def _numbers() -> str:
    return (
        " FROM (WITH RECURSIVE k(i) AS (SELECT 1 UNION ALL"
        f" SELECT i + 1 FROM k WHERE i < {PATIENTS}) SELECT i FROM k) n"
    )


def _insert(connection: Connection, table: str, known: dict[str, str], source: str) -> None:
    values = {}
    for column in inspect(connection).get_columns(table):
        name, kind = column["name"], str(column["type"]).upper()
        if name in known:
            values[name] = known[name]
        elif column["nullable"] or column["default"] is not None or name == "id":
            continue
        elif "BOOL" in kind:
            values[name] = "false"
        elif "INT" in kind:
            values[name] = "1"
        else:
            stamp = "TIME" in kind or kind == "DATE"
            values[name] = f"'{THEN}'" if stamp else "'x'"
    stamps = {
        column["name"]: str(column["type"])
        for column in inspect(connection).get_columns(table)
        if connection.dialect.name == "postgresql"
    }
    shown = [f"CAST({value} AS {stamps[name]})" if name in stamps else value
             for name, value in values.items()]  # fmt: skip
    names = ", ".join(f'"{name}"' for name in values)
    connection.execute(text(f"INSERT INTO {table} ({names}) SELECT {', '.join(shown)}{source}"))


Contents = dict[tuple[str, tuple[str, ...]], tuple[int, str]]


def contents(connection: Connection) -> Contents:
    """Of each table and its columns: how many rows, and a hash of them."""
    seen = inspect(connection)
    tables = set(seen.get_table_names()) - {"alembic_version", "vital"}
    columns = {table: sorted(each["name"] for each in seen.get_columns(table)) for table in tables}
    return _contents(connection, columns)


def _contents(connection: Connection, columns: Mapping[str, Sequence[str]]) -> Contents:
    found = {}
    for table, names in columns.items():
        kept = ", ".join(f'"{name}"' for name in names)
        rows = sorted(
            repr(tuple(row)) for row in connection.execute(text(f"SELECT {kept} FROM {table}"))
        )
        hashed = hashlib.sha256("".join(rows).encode()).hexdigest()
        found[table, tuple(names)] = len(rows), hashed
    return found


async def kept(url: str, before: Contents) -> bool:
    """Whether every table of before is there, with every row and all that its columns held."""
    return before == await look(url, partial(_contents, columns=dict(before.keys())))


def sign(connection: Connection) -> str:
    return str(
        connection.execute(text("SELECT value FROM vital WHERE key = 'upgrade'")).scalar_one()
    )


async def populated(url: str, revision: str) -> Contents:
    await schema.migrate(url, revision)
    await look(url, fill)
    found = await look(url, contents)
    rows = {table: count for (table, _), (count, _) in found.items()}
    assert rows["patient"] == rows["reminder"] == rows["answer"] == PATIENTS
    return found


async def test_every_schema_comes_to_the_newest_with_every_row(url: str) -> None:
    before = await populated(url, "0001")
    await schema.migrate(url)
    assert await schema.present(url) == schema.newest()
    assert await kept(url, before)


async def test_a_table_that_is_made_anew_takes_no_row_along(url: str, tmp_path: Path) -> None:
    before = await populated(url, "head")
    later = scripts(tmp_path, sqlite=url.startswith("sqlite"))
    await schema.migrate(url, scripts=later)
    assert await kept(url, before)
    assert (await schema.present(url), await look(url, sign)) == ("0900", "after")
    columns = await look(
        url, lambda each: {c["name"] for c in inspect(each).get_columns("patient")}
    )
    assert "nickname" in columns
    # The views that look at it are there, and so are its indexes.
    assert await look(url, lambda each: each.execute(text("SELECT * FROM v_reminder")).all())
    indexes = await look(
        url, lambda each: {i["name"] for i in inspect(each).get_indexes("patient")}
    )
    assert "patient_one_account" in indexes


@pytest.mark.parametrize(
    "then",
    ["raise RuntimeError('half way')", "op.execute('SELECT nonsense')"],
)
async def test_an_upgrade_that_fails_half_way_leaves_the_old_version_as_it_was(
    url: str, tmp_path: Path, then: str
) -> None:
    before = await populated(url, "head")
    with pytest.raises((RuntimeError, SchemaError)):
        await schema.migrate(url, scripts=scripts(tmp_path, then, sqlite=url.startswith("sqlite")))
    assert await kept(url, before)
    assert await look(url, sign) == "before"
    assert schema.problem(await schema.present(url)) == ""


async def test_an_upgrade_that_tears_rows_apart_is_refused(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'aftercare.db'}"
    before = await populated(url, "head")
    torn = scripts(tmp_path, "op.execute('DELETE FROM patient WHERE id = 7')", sqlite=True)
    with pytest.raises(SchemaError, match="would tear rows apart in answer, consent, course"):
        await schema.migrate(url, scripts=torn)
    assert await kept(url, before)
    assert schema.problem(await schema.present(url)) == ""


@pytest.mark.timeout(120 + 10 * KILLS)
async def test_killed_in_an_upgrade_it_is_the_old_schema_or_the_new_one(
    url: str, tmp_path: Path
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice = random.Random(SEED)  # noqa: S311 - dice
    before = await populated(url, "head")
    begun = tmp_path / "begun"
    later = scripts(
        tmp_path,
        f"open({str(begun)!r}, 'w').close(); time.sleep(0.05)",
        sqlite=url.startswith("sqlite"),
    )
    code = (
        "import asyncio, sys; from pathlib import Path; from bot.storage import schema;"
        " asyncio.run(schema.migrate(sys.argv[1], scripts=Path(sys.argv[2])))"
    )
    ends = {schema.newest(): 0, "0900": 0}
    for _ in range(KILLS):
        begun.unlink(missing_ok=True)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, url, str(later))
        while not begun.exists() and process.returncode is None:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.002)
        await asyncio.sleep(dice.uniform(0, 0.12))
        if process.returncode is None:
            process.kill()
        await process.wait()
        assert await kept(url, before)
        found = await schema.present(url)
        assert found is not None
        assert await look(url, sign) == ("after" if found == "0900" else "before")
        ends[found] += 1
        if found == "0900":
            await schema.migrate(url, schema.newest(), scripts=later)
            await look(
                url,
                lambda each: each.execute(
                    text("UPDATE vital SET value = 'before' WHERE key = 'upgrade'")
                ),
            )
    log.warning("killed in an upgrade: %s", ends)
    assert sum(ends.values()) == KILLS
