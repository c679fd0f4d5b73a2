"""Opening the database: engines, pragmas, and the two ways into a transaction."""

import asyncio
import heapq
import itertools
import os
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from enum import IntEnum
from pathlib import Path
from typing import Any

from sqlalchemy import event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import DatabaseError, InterfaceError, InternalError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.protocol import Protocol
from bot.storage import ownership
from bot.storage.ownership import FileOwnership, NotOwned, SessionOwnership
from bot.storage.vault import Vault

BUSY_TIMEOUT_MS = 5000
_READERS = 4


class Priority(IntEnum):
    """Who may write first when several wait.

    Storing what people said, then claims and results of sends, then turns, then plans: a backlog
    of updates must not keep back what was decided already, least of all danger.
    """

    INBOX = 0
    RESULT = 1
    TURN = 2
    PLAN = 3


class _WriteLock:
    """One writer at a time; the most urgent of those waiting goes next."""

    def __init__(self) -> None:
        self._held = False
        self._order = itertools.count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    @asynccontextmanager
    async def held(self, priority: Priority) -> AsyncIterator[None]:
        if self._held:
            place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._order), place))
            try:
                await place
            except asyncio.CancelledError:
                if place.done() and not place.cancelled():
                    self._pass_on()
                raise
        self._held = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            place = heapq.heappop(self._waiting)[2]
            if not place.done():
                # Still held: it goes from hand to hand, so nobody slips in between.
                place.set_result(None)
                return
        self._held = False


class Database:
    """The engines of one database and the vault of its sealed columns."""

    def __init__(self, url: str, vault: Vault) -> None:
        """Prepare (not yet open) the database at ``url``, an SQLAlchemy async address."""
        self.vault = vault
        self.url = url
        self.is_sqlite = make_url(url).get_backend_name() == "sqlite"
        self._lock = _WriteLock()
        # Nobody's until :meth:`own` was asked: the operator's commands work beside a bot.
        self._ownership: FileOwnership | SessionOwnership | None = None
        self._fails = False
        # Parsed protocols by their stored row: a version's content never changes.
        self._protocols: dict[int, Protocol] = {}
        if self.is_sqlite:
            self._writer = _sqlite_engine(url, size=1, begin="BEGIN IMMEDIATE")
            self._reader = _sqlite_engine(url, size=_READERS, begin="BEGIN")
        else:
            self._writer = _postgres_engine(url)
            self._reader = self._writer

    @asynccontextmanager
    async def write(self, priority: Priority = Priority.PLAN) -> AsyncIterator[AsyncSession]:
        """Give a session whose work is committed when the block ends well, else rolled back.

        Never talk to Telegram inside: on SQLite every other writer waits. Raises
        :class:`NotOwned` when the database was owned and is lost.
        """
        if self.lost:
            raise NotOwned(self.lost)
        try:
            async with AsyncExitStack() as stack:
                if self.is_sqlite:
                    await stack.enter_async_context(self._lock.held(priority))
                session = await stack.enter_async_context(self._session(self._writer))
                await stack.enter_async_context(session.begin())
                yield session
        except (OperationalError, InterfaceError):
            self._fails = True
            raise
        self._fails = False

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Give a session that only reads."""
        async with self._session(self._reader) as session:
            yield session

    def _session(self, engine: AsyncEngine) -> AsyncSession:
        session = AsyncSession(engine, expire_on_commit=False)
        session.info["vault"] = self.vault
        session.info["protocols"] = self._protocols
        return session

    async def own(self) -> bool:
        """Become the one process that works with this database; false when another is."""
        if self._ownership is None:
            file = sqlite_file(self.url)
            self._ownership = SessionOwnership(self.url) if file is None else FileOwnership(file)
        return await self._ownership.take()

    @property
    def grace_s(self) -> float:
        """For how many seconds an owner before us may not have noticed that it is none."""
        return 0.0 if self._ownership is None else self._ownership.grace_s

    async def own_next(self) -> None:
        """Return once this process owns the database; to be called when another did."""
        if self._ownership is not None:
            await ownership.stand_by(self._ownership)
        # The file may have been replaced meanwhile, by a restore: what is open is the old one.
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()

    async def look(self) -> str:
        """Return why the database is no longer ours; empty while it is."""
        return "" if self._ownership is None else await self._ownership.look()

    @property
    def well(self) -> bool:
        """Whether the last that was written could be written, and more may be."""
        return not self._fails and not self.lost

    @property
    def lost(self) -> str:
        """Why nothing is written any more; empty while all is well."""
        return "" if self._ownership is None else self._ownership.lost

    async def fold_log(self) -> bool:
        """Leave nothing of what was before in SQLite's log; false while somebody still reads it."""
        file = sqlite_file(self.url)
        return file is None or await asyncio.to_thread(_fold_log, file)

    async def close(self) -> None:
        """Close every connection, and let another process own the database."""
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()
        if self._ownership is not None:
            await self._ownership.leave()


def _fold_log(file: Path) -> bool:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _postgres_engine(url: str) -> AsyncEngine:
    # Bound values stay out of error texts, and so out of logs.
    engine = create_async_engine(url, pool_size=10, pool_pre_ping=True, hide_parameters=True)
    event.listen(engine.sync_engine, "handle_error", _as_trouble, retval=True)
    return engine


def _as_trouble(context: ExceptionContext) -> BaseException | None:
    """Name alike what the database itself cannot do: it concerns everybody, and may pass.

    A server that only reads is an internal error to PostgreSQL, a damaged file just one to SQLite.
    """
    error = context.sqlalchemy_exception
    if isinstance(error, InternalError) or type(error) is DatabaseError:
        return OperationalError(
            error.statement, None, context.original_exception, hide_parameters=True
        )
    return None


def _sqlite_engine(
    url: str, *, size: int, begin: str, references: Sequence[str] = ("foreign_keys=ON",)
) -> AsyncEngine:
    engine = create_async_engine(
        url,
        poolclass=AsyncAdaptedQueuePool,
        pool_size=size,
        max_overflow=0,
        pool_timeout=60,
        hide_parameters=True,
    )

    event.listen(engine.sync_engine, "handle_error", _as_trouble, retval=True)

    @event.listens_for(engine.sync_engine, "connect")
    def _on_connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        # The driver must not open transactions of its own: BEGIN IMMEDIATE is ours to say.
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            *references,
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _on_begin(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine


def schema_engine(url: str, *, changes: bool) -> AsyncEngine:
    """Return an engine for the schema: its ``changes`` are all or nothing, on SQLite too.

    A look waits for no writer.

    Left alone, SQLite's driver would begin no transaction for ``CREATE TABLE``. A table that is
    made anew is dropped first, and with its references enforced every row that leads to it would
    go too: they are checked at the end instead, by whoever uses this.
    """
    if sqlite_file(url) is None:
        return _postgres_engine(url)
    # Both must be said before the transaction begins. By the second, a table that is renamed in
    # the place of one that was dropped is not looked for in the views meanwhile.
    references = ("foreign_keys=OFF", "legacy_alter_table=ON")
    begin = "BEGIN IMMEDIATE" if changes else "BEGIN"
    return _sqlite_engine(url, size=1, begin=begin, references=references)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite address, or nothing for another database."""
    address = make_url(url)
    if address.get_backend_name() != "sqlite" or not address.database:
        return None
    return Path(address.database)


def guard_files(url: str, data_dir: Path) -> None:
    """Make the data folder 0700 and the database 0600, creating both where they are missing."""
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    data_dir.chmod(0o700)
    file = sqlite_file(url)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        file.chmod(0o600)
