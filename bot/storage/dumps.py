"""Backups of a PostgreSQL database, by the server's own programs: made, looked at, restored."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from psycopg.conninfo import make_conninfo
from sqlalchemy import create_engine, make_url, text

from bot.storage.backup import BackupError, new_file

# In one transaction, which ends with the backup whole and held, or as if nothing had been. What
# an extension has put into the schema stays.
_EMPTY = """
SET lock_timeout = '10s';
BEGIN;
DO $$
DECLARE each record;
BEGIN
    FOR each IN
        SELECT c.oid::regclass AS name, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END AS kind
        FROM pg_class c
        WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v')
        AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
        ORDER BY c.relkind = 'v' DESC
    LOOP
        EXECUTE format('DROP %s IF EXISTS %s CASCADE', each.kind, each.name);
    END LOOP;
END $$;
"""
_SIGN = "INSERT INTO {schema}.vital (key, value) VALUES ({key}, {value})"
_REPLACES = " ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_PSQL = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-")
_SQL = ("--no-owner", "--no-privileges", "--file=-")
_LISTED = re.compile(r"^\d+; \d+ \d+ TABLE (\S+) alembic_version ", re.MULTILINE)
_COPIED = re.compile(
    r"^COPY \S+\.(\w+) \([^)]*\) FROM stdin;\n(.*?)^\\\.$", re.MULTILINE | re.DOTALL
)


class _Server:
    """How the programs reach the database; the password is never among their arguments."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        engine = create_engine(address, hide_parameters=True)
        settings = address.translate_connect_args(username="user", database="dbname")
        settings |= address.query
        # What programs say is read by us, and shown to an operator who reads English.
        self.environment = os.environ | {"LC_ALL": "C"}
        if (password := settings.pop("password", None)) is not None:
            self.environment["PGPASSWORD"] = str(password)
        self.where = f"--dbname={make_conninfo(**settings)}"
        try:
            with engine.connect() as connection:
                schema = connection.execute(text("SELECT current_schema()")).scalar_one()
                number = connection.execute(text("SHOW server_version_num")).scalar_one()
        finally:
            engine.dispose()
        self.version = int(number) // 10_000
        if schema is None:
            raise BackupError("DATABASE_URL leads to a schema that is not there; create it first")
        self.schema = str(schema)

    @property
    def quoted(self) -> str:
        """The schema, as SQL and as a pattern that fits nothing else."""
        return '"' + self.schema.replace('"', '""') + '"'


def check_programs(url: str) -> None:
    """Raise :class:`BackupError` with what to install unless the server's programs are here."""
    server = _Server(url)
    wanted = f"install PostgreSQL's client programs, version {server.version} or newer"
    for program in ("pg_dump", "pg_restore", "psql"):
        if shutil.which(program) is None:
            raise BackupError(f"{program} is not here; {wanted}")
        told = _run(server, [program, "--version"])
        found = re.search(r"\d+", told)
        if found is None or int(found.group()) < server.version:
            raise BackupError(f"{told.strip()} is older than the server; {wanted}")


def _program(name: str) -> str:
    return shutil.which(name) or name


def _run(server: _Server, command: list[str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own words
        [_program(command[0]), *command[1:]],
        env=server.environment,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        raise BackupError(_first_line(done.stderr) or f"{command[0]} failed")
    return done.stdout


def _first_line(said: str) -> str:
    lines = [line for line in said.splitlines() if line.strip()]
    # What went wrong, before what it was about.
    errors = [line for line in lines if "error" in line.lower() or "FATAL" in line]
    return (errors or lines or [""])[0]


def save(url: str, target: Path, signs: Mapping[str, str], also: Callable[[], None]) -> None:
    """Save the database at ``url`` in the file ``target``, after writing vital ``signs`` into it.

    Whatever was committed before is in it. A bot may write meanwhile: it waits for nothing.
    ``also`` is done before the file has its name: whoever sees it finds that too.
    """
    check_programs(url)
    server = _Server(url)
    with new_file(target) as growing:
        if signs:
            _write_signs(url, server, signs)
        _run(
            server,
            [
                *("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--no-password"),
                *(f"--schema={server.quoted}", f"--file={growing}", server.where),
            ],
        )
        _run(server, ["pg_restore", "--list", str(growing)])
        also()


def _write_signs(url: str, server: _Server, signs: Mapping[str, str]) -> None:
    engine = create_engine(url, hide_parameters=True)
    statement = _SIGN.format(schema=server.quoted, key=":key", value=":value") + _REPLACES
    try:
        with engine.begin() as connection:
            connection.execute(
                text(statement), [{"key": key, "value": value} for key, value in signs.items()]
            )
    finally:
        engine.dispose()


def look(url: str, file: Path) -> tuple[str | None, dict[str, str]]:
    """Return the schema revision and the vital signs in a dump; it must fit the schema at ``url``.

    Raises :class:`BackupError` when it is no dump. Nothing is changed.
    """
    check_programs(url)
    server = _Server(url)
    if not file.is_file():
        raise BackupError(f"there is no backup {file}")
    try:
        listed = _run(server, ["pg_restore", "--list", str(file)])
    except BackupError as error:
        raise BackupError(f"{file} is no sound backup of a PostgreSQL database ({error})") from None
    schemas = _LISTED.findall(listed)
    if not schemas:
        return None, {}
    if schemas != [server.schema]:
        raise BackupError(
            f"{file} holds schema {schemas[0]}, and DATABASE_URL leads to {server.schema}"
        )
    tables = ["--table=vital", "--table=alembic_version"]
    rows = _run(server, ["pg_restore", "--data-only", *tables, "--file=-", str(file)])
    content = dict(_COPIED.findall(rows))
    revision = content.get("alembic_version", "").strip() or None
    signs = [line.split("\t", 1) for line in content.get("vital", "").splitlines()]
    return revision, dict(signs)


def restore(url: str, file: Path, signs: Mapping[str, str], newest: str) -> None:
    """Put the dump in the place of the database at ``url``, with vital ``signs`` written into it.

    The sign ``newest`` is given the id of the newest message. All of it happens or nothing.
    """
    server = _Server(url)
    with tempfile.TemporaryFile() as said:
        psql = subprocess.Popen(  # noqa: S603 - our own words
            [_program("psql"), *_PSQL, server.where],
            env=server.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
        )
        assert psql.stdin is not None  # noqa: S101 - it was asked for
        # What reads stops early when it is refused, and then says why.
        with suppress(BrokenPipeError):
            whole = _pour(server, file, psql.stdin, said)
            if whole:
                # Only now is there a COMMIT: a restore that is killed has changed nothing.
                psql.stdin.write(_ending(server, signs, newest).encode())
        with suppress(BrokenPipeError):
            psql.stdin.close()
        code = psql.wait()
        said.seek(0)
        trouble = _first_line(said.read().decode(errors="replace"))
    if code != 0 or not whole:
        raise BackupError(f"nothing was changed; the backup cannot be restored ({trouble})")


def _pour(server: _Server, file: Path, into: IO[bytes], said: IO[bytes]) -> bool:
    """Write the dump's SQL; say whether it was read to its end."""
    into.write(_EMPTY.encode())
    into.flush()
    reading = subprocess.Popen(  # noqa: S603 - our own words
        [_program("pg_restore"), *_SQL, f"--schema={server.schema}", str(file)],
        env=server.environment,
        stdout=subprocess.PIPE,
        stderr=said,
    )
    assert reading.stdout is not None  # noqa: S101 - it was asked for
    try:
        with reading.stdout:
            shutil.copyfileobj(reading.stdout, into)
    except BrokenPipeError:
        reading.kill()
        reading.wait()
        return False
    return reading.wait() == 0


def _ending(server: _Server, signs: Mapping[str, str], newest: str) -> str:
    lines = [
        _SIGN.format(schema=server.quoted, key=_literal(key), value=_literal(value)) + _REPLACES
        for key, value in signs.items()
    ]
    lines.append(
        f"INSERT INTO {server.quoted}.vital (key, value)"  # noqa: S608 - our own words
        f" SELECT {_literal(newest)}, COALESCE(max(id), 0)::text FROM {server.quoted}.message"
        + _REPLACES
    )
    return "".join(f"{line};\n" for line in [*lines, "COMMIT"])


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
