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


def binaries() -> Path | None:
    """Return the folder of the newest installed server's programs, or nothing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


class PostgresServer:
    """A running server; each database on it is thrown away with it."""

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
        """Create the cluster and start it; durability off, as nothing here outlives the tests."""
        if self._account:
            owner = pwd.getpwnam("postgres")
            os.chown(self._folder, owner.pw_uid, owner.pw_gid)
        data = str(self._folder / "data")
        self._run("initdb", "-D", data, "-U", "care", "-A", "trust", "--no-sync", "-E", "UTF8")
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c fsync=off"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", data, "-w", "-o", options, "-l", log, "start")

    def stop(self) -> None:
        """Stop the server at once."""
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "stop")

    def database(self) -> str:
        """Create an empty database and return its address."""
        name = f"care_{uuid.uuid4().hex[:12]}"
        self._run("createdb", "-h", str(self._folder), "-U", "care", name)
        return f"postgresql+psycopg://care@/{name}?host={self._folder}"


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
