"""Owning a database: one process at a time works with it, any other stands by."""

import asyncio
import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

LOOK_EVERY_S = 1.0
# How long a server may take to say that our lock still stands.
_PATIENCE_S = 2.0
# Ours among the advisory locks of a PostgreSQL database; each schema is a database of its own.
_LOCK = "pg_try_advisory_lock(1633906532, hashtext(current_schema()))"

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

    async def take(self) -> bool:
        """Become the owner; false when another process is."""
        lock = os.open(self._beside, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._lock = lock
        self._owned = (_identity(self._file), _identity(lock))
        if self.lost:
            # The file was taken away between opening and locking it: what is locked is nobody's.
            await self.leave()
            return False
        return True

    @property
    def lost(self) -> str:
        """Why the database is no longer ours; empty while it is."""
        owned = self._owned
        if owned is None or owned == (_identity(self._file), _identity(self._beside)):
            return ""
        return (
            f"{self._file.name} or {self._beside.name} was deleted or replaced while the bot ran; "
            "put the file back, or stop the bot, restore the database and start it again"
        )

    async def look(self) -> str:
        """Return why the database is no longer ours; empty while it is."""
        return self.lost

    async def leave(self) -> None:
        """Own nothing any more."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = self._owned = None


def _identity(file: Path | int) -> _Identity:
    """Return what stays the same of a file as long as it is not replaced."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class SessionOwnership:
    """A PostgreSQL database, owned by a lock that lives as long as one connection."""

    # The owner before may have lost its connection without having noticed.
    grace_s = LOOK_EVERY_S + _PATIENCE_S

    def __init__(self, url: str) -> None:
        """Prepare to own the database at ``url``."""
        self._engine = create_async_engine(
            url, poolclass=NullPool, isolation_level="AUTOCOMMIT", hide_parameters=True
        )
        self._connection: AsyncConnection | None = None
        self.lost = ""

    async def take(self) -> bool:
        """Become the owner; false when another process is."""
        connection = await self._engine.connect()
        try:
            ours = (await connection.exec_driver_sql(f"SELECT {_LOCK}")).scalar_one()
        except BaseException:
            await self._drop(connection)
            raise
        if not ours:
            await self._drop(connection)
            return False
        self._connection, self.lost = connection, ""
        return True

    async def look(self) -> str:
        """Return why the database is no longer ours; empty while it is.

        Once lost it is taken again as soon as that can be; :class:`Overtaken` if another has it.
        """
        try:
            async with asyncio.timeout(_PATIENCE_S):
                if self._connection is not None:
                    await self._connection.exec_driver_sql("SELECT 1")
                elif not await self.take():
                    raise Overtaken("another process took this database over")
        except (SQLAlchemyError, OSError):
            connection, self._connection = self._connection, None
            self.lost = "the connection that owns the database was lost; it is tried again"
            if connection is not None:
                await self._drop(connection)
        return self.lost

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
