"""Owning a database: one process at a time works with it, any other stands by."""

import asyncio
import fcntl
import math
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

LOOK_EVERY_S = 1.0
# How long a server may take to say that our lock still stands.
_PATIENCE_S = 2.0
# Ours among the advisory locks of a PostgreSQL database; each schema is a database of its own.
_LOCK = "pg_try_advisory_lock(1633906532, hashtext(current_schema()))"
# The server ends a silent owner, whose host is lost or that is frozen: it would keep all others
# out for hours. Servers before 14 know no such setting.
_END_IF_SILENT = (
    "SELECT set_config('idle_session_timeout', '10s', false)"
    " FROM pg_settings WHERE name = 'idle_session_timeout'"
)
# A process number comes again; with the moment it began it does not.
_WHO = "SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_END = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE pid = %s AND backend_start::text = %s"
)
_END_AGAIN_S = 0.1
# How soon a server that went silent is noticed over a network; an address may say otherwise.
_NETWORK = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_Identity = tuple[int, int] | None


class NotOwned(OperationalError):
    """Nothing may be written: this process does not own the database, or no longer."""

    def __init__(self, why: str) -> None:
        """Say ``why``, for the operator."""
        super().__init__(None, None, RuntimeError(why))
        self.why = why

    def __str__(self) -> str:
        return self.why


class Overtaken(RuntimeError):
    """Another process took the database over while this one had lost it."""


class LockFileError(OSError):
    """The file beside the database cannot be locked; the text names it and says what to do."""


class FileOwnership:
    """An SQLite database, owned by a lock on a file beside it; it ends with the process.

    Owned is this very file: what is written to one that was deleted or replaced is gone.
    """

    # The lock of a dead process is gone at once, and so is whatever it was sending.
    grace_s = 0.0

    def __init__(self, file: Path) -> None:
        """Prepare to own the database in ``file``."""
        # One lock a file, by whatever name it is reached.
        self._file = file.resolve()
        self._beside = self._file.with_name(f"{self._file.name}.lock")
        self._lock: int | None = None
        self._owned: tuple[_Identity, _Identity] | None = None
        # Locked anew, which is told at the next look: until then nothing is written.
        self._anew = False

    async def take(self) -> bool:
        """Become the owner; false when another process is."""
        lock = self._locked()
        if lock is None:
            return False
        self._lock = lock
        self._owned = (_identity(self._file), _identity(lock))
        if self.lost:
            # The file was taken away between opening and locking it: what is locked is nobody's.
            await self.leave()
            return False
        return True

    def _locked(self) -> int | None:
        """Return the lock file opened and locked; nothing when another process has it."""
        try:
            lock = os.open(self._beside, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise LockFileError(
                f"{self._beside} cannot be opened ({error.strerror}); "
                "give it to the account that runs the bot, or remove it if it is no file"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise LockFileError(f"{self._beside} cannot be locked ({error.strerror})") from error
        return lock

    @property
    def lost(self) -> str:
        """Why the database is no longer ours; empty while it is."""
        owned = (_identity(self._file), _identity(self._beside))
        if self._owned is None or (owned == self._owned and not self._anew):
            return ""
        return (
            f"{self._file.name} or {self._beside.name} was deleted or replaced while the bot ran; "
            "put the file back, or stop the bot, restore the database and start it again"
        )

    async def look(self) -> str:
        """Return why the database is no longer ours; empty while it is.

        A lock file that alone is gone is made anew; :class:`Overtaken` if another process did.
        """
        self._anew = False
        why = self.lost
        if self._owned is not None and why and _identity(self._file) == self._owned[0]:
            # A folder that takes no file now may take one later.
            with suppress(LockFileError):
                self._lock_anew(self._owned[0])
        return why

    def _lock_anew(self, file: _Identity) -> None:
        lock = self._locked()
        if lock is None:
            raise Overtaken("another process took this database over")
        if self._lock is not None:
            os.close(self._lock)
        self._lock, self._owned, self._anew = lock, (file, _identity(lock)), True

    async def leave(self) -> None:
        """Own nothing any more."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = self._owned = None
            self._anew = False


def _identity(file: Path | int) -> _Identity:
    """Return what stays the same of a file as long as it is not replaced."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SessionOwnership:
    """A PostgreSQL database, owned by a lock that lives as long as one connection."""

    # The owner before may have lost its connection without having noticed: it trusts what the
    # server said for as long as this, and no longer.
    grace_s = LOOK_EVERY_S + _PATIENCE_S

    def __init__(self, url: str) -> None:
        """Prepare to own the database at ``url``."""
        said = make_url(url).query
        self._engine = create_async_engine(
            url,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            hide_parameters=True,
            connect_args={name: value for name, value in _NETWORK.items() if name not in said},
        )
        self._connection: AsyncConnection | None = None
        # Which of the server's sessions had the lock last: it may outlive our connection to it.
        self._session: tuple[Any, ...] | None = None
        # When we asked what the server has answered last.
        self._sure_s = math.inf
        self._why = ""
        self._told = ""
        # Connections that are being given up; a server that is silent takes its time.
        self._ending: set[asyncio.Task[None]] = set()

    async def take(self) -> bool:
        """Become the owner; false when another process is."""
        connection = await self._engine.connect()
        try:
            await self._end_ours(connection)
            who = (await connection.exec_driver_sql(_WHO)).one()
            await connection.exec_driver_sql(_END_IF_SILENT)
            ours = (await connection.exec_driver_sql(f"SELECT {_LOCK}")).scalar_one()
        except BaseException:
            await self._drop(connection)
            raise
        if not ours:
            await self._drop(connection)
            return False
        self._connection, self._session = connection, tuple(who)
        # Looked at from now on; a start may first wait for the owner before.
        self._sure_s, self._why, self._told = math.inf, "", ""
        return True

    async def _end_ours(self, connection: AsyncConnection) -> None:
        # Until the server notices that we are gone from there, we would stand in our own way.
        while self._session is not None:
            if (await connection.exec_driver_sql(_END, self._session)).first() is None:
                self._session = None
            else:
                await asyncio.sleep(_END_AGAIN_S)

    @property
    def lost(self) -> str:
        """Why the database is no longer ours; empty while it is."""
        if self._connection is not None and time.monotonic() - self._sure_s > self.grace_s:
            # Frozen, or very slow: another may own it by now, and have waited for long enough.
            self._why = self._why or "the server has not said for a while that the lock is ours"
        return self._why

    async def look(self) -> str:
        """Return why the database is no longer ours; empty while it is.

        Once lost it is taken again as soon as that can be; :class:`Overtaken` if another has it.
        """
        asked_s, before = time.monotonic(), self._connection
        asking = asyncio.ensure_future(self._ask(before))
        try:
            # Not a timeout around it: the driver takes seconds to give a query up.
            await asyncio.wait({asking}, timeout=_PATIENCE_S)
        finally:
            if not asking.done():
                self._lose(asking, before)
        if not asking.done():
            return self._tell()
        try:
            asking.result()
        except (SQLAlchemyError, OSError):
            self._lose(asking, before)
            return self._tell()
        self._sure_s = asked_s
        if self._told == self._why:
            self._why = ""
        # Else somebody was refused meanwhile: the bot must hear of it before it goes on.
        return self._tell()

    def _tell(self) -> str:
        self._told = self._why
        return self._why

    async def _ask(self, connection: AsyncConnection | None) -> None:
        if connection is not None:
            await connection.exec_driver_sql("SELECT 1")
        elif not await self.take():
            raise Overtaken("another process took this database over")

    def _lose(self, asking: asyncio.Task[None], connection: AsyncConnection | None) -> None:
        self._connection = None
        self._why = "the connection that owns the database was lost; it is tried again"
        ending = asyncio.ensure_future(self._give_up(asking, connection))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    async def _give_up(
        self, asking: asyncio.Task[None], connection: AsyncConnection | None
    ) -> None:
        # Told twice the driver no longer waits for the server, and closes.
        for _ in range(2):
            asking.cancel()
            await asyncio.wait({asking}, timeout=_PATIENCE_S)
        if connection is not None:
            await self._drop(connection)

    async def _drop(self, connection: AsyncConnection) -> None:
        with suppress(SQLAlchemyError, OSError):
            async with asyncio.timeout(_PATIENCE_S):
                await connection.invalidate()
                await connection.close()

    async def leave(self) -> None:
        """Own nothing any more."""
        if self._connection is not None:
            await self._drop(self._connection)
            self._connection = None
        if self._ending:
            await asyncio.wait(self._ending, timeout=_PATIENCE_S)
        await self._engine.dispose()


async def stand_by(ownership: FileOwnership | SessionOwnership) -> None:
    """Return once the database is ours, and nothing of the owner before is under way unnoticed."""
    taken = False
    while not taken:
        await asyncio.sleep(LOOK_EVERY_S)
        # A server that restarts ends nobody's standing by.
        with suppress(SQLAlchemyError):
            taken = await ownership.take()
    await asyncio.sleep(ownership.grace_s)
