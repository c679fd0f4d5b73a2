"""A private PostgreSQL server for the tests, from Debian's packages, on a socket of its own."""

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

# Nothing here outlives the tests, so nothing has to reach the disk; a database has a few
# connections and a few hundred rows, so there is nothing to clean up or to compile either.
_OPTIONS = {
    "listen_addresses": "''",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
}


def binaries() -> Path | None:
    """Return the folder of the newest installed server's programs, or nothing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgresServer:
    """A running server, on which each test has a database of its own."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        # The server refuses to run as root: then Debian's own account runs it.
        self._account = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [*self._account, str(self._programs / program), *arguments],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )

    def start(self) -> None:
        """Create the cluster and start it."""
        if self._account:
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "care", "-A", "trust", "--no-sync", "-E", "UTF8")
        settings = _OPTIONS | {"unix_socket_directories": f"'{self._folder}'"}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-o", options, "-l", log, "start")

    def stop(self) -> None:
        """Stop the server at once."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def restart(self) -> None:
        """Stop the server at once, as in a crash, and start it again; only what is on disk stays.

        A database that this is done to must :meth:`keep_commits`.
        """
        data = str(self._folder / "data")
        self._run("pg_ctl", "-D", data, "-w", "-m", "immediate", "restart")

    def keep_commits(self, address: str) -> None:
        """Let the database lose no commit in a crash; for whoever connects from now on."""
        name = address.partition("@/")[2].partition("?")[0]
        self._do(
            sql.SQL("ALTER DATABASE {} SET synchronous_commit = on").format(sql.Identifier(name))
        )

    @contextmanager
    def database(self, like: str = "") -> Iterator[str]:
        """Give the address of a new database, empty or a copy of the one at ``like``, for a while.

        It is dropped at the end: each is several megabytes, and there are hundreds.
        """
        name = f"care_{uuid.uuid4().hex[:12]}"
        template = sql.Identifier(like.partition("@/")[2].partition("?")[0] or "template1")
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), template)
        self._do(made)
        yield f"postgresql+psycopg://care@/{name}?host={self._folder}"
        self._do(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _do(self, statement: sql.Composed) -> None:
        # A connection for each: the server may have been restarted in between.
        with psycopg.connect(
            host=str(self._folder), user="care", dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement)


@contextmanager
def running() -> Iterator[PostgresServer | None]:
    """Give a server for as long as the block runs; nothing where none is installed."""
    programs = binaries()
    if programs is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="care-pg-"))
    folder.chmod(0o755)
    server = PostgresServer(programs, folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
