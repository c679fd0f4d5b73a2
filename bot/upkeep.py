"""The operator's side of data: backup, restore, migration with a backup before it, release."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError

from bot.clock import SystemClock
from bot.parts import StartError, check_schema, open_deps
from bot.services import erasing, holding, releasing
from bot.services.holding import Why
from bot.services.releasing import Review
from bot.settings import Settings
from bot.storage import backup, database, dumps, erased, photo_copies, schema, sealed, vault
from bot.storage.backup import BackupError, Progress
from bot.storage.database import Database
from bot.storage.ownership import LOOK_EVERY_S
from bot.storage.photos import FOLDER, PhotoFiles
from bot.storage.queries import people, photos, vitals

log = logging.getLogger(__name__)

# In the copy, when it was made. In PostgreSQL's own database too, as the dump is made of it; one
# that is older than the dump only makes the time in doubt longer.
BACKUP_AT = "backup_at"


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore came to: when the backup was made, and where the database before is kept.

    ``photos`` counts those that came back, and is nothing when the backup holds none; ``lost`` are
    those that the database names and that lie nowhere.
    """

    backup_at: datetime | None
    kept: Path | None
    zone: ZoneInfo
    photos: int | None
    lost: int


@dataclass(frozen=True, slots=True)
class Saved:
    """How many photos a backup holds, and in which file beside it, if not in its own."""

    photos: int
    beside: Path | None


async def save(
    options: Settings, target: Path, progress: Progress, *, with_photos: bool = True
) -> Saved:
    """Save database and photos in the file ``target``, beside a bot that may run.

    Nothing is overwritten. A PostgreSQL dump has its photos in a file beside it.
    """
    if await schema.present(options.database) is None:
        raise StartError("the database is empty; there is nothing to save")
    signs = {BACKUP_AT: vitals.as_text(SystemClock().now())}
    file = database.sqlite_file(options.database)
    # As they are: a backup is made without the key.
    files = PhotoFiles(options.data_dir / FOLDER, None)
    made: list[Saved] = []

    def into(copy: Path) -> None:
        if with_photos:
            made.append(Saved(photo_copies.add(copy, files), None))

    def beside() -> None:
        if with_photos and photo_copies.listed(files):
            there = photo_copies.beside(target)
            made.append(Saved(photo_copies.save(there, files), there))

    try:
        if file is None:
            await asyncio.to_thread(dumps.save, options.database, target, signs, beside)
        else:
            await asyncio.to_thread(backup.save, file, target, signs, progress, into)
    except BackupError:
        for each in made:
            if each.beside is not None:
                each.beside.unlink(missing_ok=True)
        raise
    return made[0] if made else Saved(0, None)


async def migrate(
    options: Settings, progress: Progress, saved: Callable[[Path], None], *, with_backup: bool
) -> str:
    """Bring the database to the newest schema and return it, ``""`` when it had it already.

    ``saved`` is told of the backup before anything is changed.
    """
    found = await schema.present(options.database)
    if found is None or schema.is_newer(found):
        raise StartError(schema.problem(found))
    if found == (newest := schema.newest()):
        return ""
    async with _owned(options):
        if with_backup:
            target = _beside(options, f"before-{newest}")
            await save(options, target, progress, with_photos=False)
            saved(target)
        await schema.migrate(options.database)
    return newest


@asynccontextmanager
async def _owned(options: Settings) -> AsyncIterator[None]:
    """Own the database meanwhile, as a bot does; raises :class:`StartError` while one has it."""
    owner = Database(options.database, vault.open_key_file(options.keys))
    try:
        if not await owner.own():
            raise StartError("a bot works with this database; stop it first")
        watching = asyncio.ensure_future(_stay_owner(owner))
        try:
            yield
        finally:
            watching.cancel()
    finally:
        await owner.close()


async def _stay_owner(owner: Database) -> None:
    # An owner that says nothing for a while is ended by its server.
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        await owner.look()


def _beside(options: Settings, name: str) -> Path:
    """Return a new file's path among the backups that are made without being asked for."""
    folder = options.data_dir / "backups"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ending = "dump" if database.sqlite_file(options.database) is None else "db"
    return folder / f"{name}-{_stamp()}.{ending}"


def _stamp() -> str:
    # To the microsecond: what is done twice within a second must not be refused for its name.
    return f"{SystemClock().now():%Y%m%dT%H%M%S-%fZ}"


async def restore(options: Settings, source: Path, progress: Progress) -> Restored:
    """Put a backup in the place of the database, held; what was there before is kept.

    Nothing has changed when it fails, or is killed, before that one moment.
    """
    keys = vault.open_key_file(options.keys)
    file = database.sqlite_file(options.database)
    options.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    async with _owned(options):
        await _list_erased(options, keys)
        if file is None:
            return await _restore_dump(options, source, keys)
        return await _restore_file(options, source, file, keys, progress)


async def _list_erased(options: Settings, keys: vault.Vault) -> None:
    """Have the list name whom the database of now has erased; what cannot be read has no say.

    A bot that was stopped right after an erasure has not written it there.
    """
    try:
        if await schema.present(options.database) is None:
            return
        now = Database(options.database, keys)
        try:
            async with now.read() as session:
                refs = await erasing.unfinished(session)
        finally:
            await now.close()
    except (schema.SchemaError, SQLAlchemyError):
        log.warning("the database of now cannot be read", extra={"action": "erased_unread"})
        return
    erased.add(options.data_dir, refs)


async def _restore_file(
    options: Settings, source: Path, file: Path, keys: vault.Vault, progress: Progress
) -> Restored:
    staged = file.with_name(f"{file.name}.restoring")
    url = f"sqlite+aiosqlite:///{staged}"
    try:
        await asyncio.to_thread(backup.stage, source, staged, progress)
        _refuse_foreign(await schema.present(url), source)
        copy = Database(url, keys)
        try:
            async with copy.read() as session:
                await sealed.check_key(session)
            await schema.migrate(url)
            made = await _hold(copy, SystemClock().now())
            await _erase_again(copy, options)
            named = await _named(copy)
        finally:
            await copy.close()
        # Before the one moment: what a restore that fails has brought is tidied away by the bot. So
        # is a folder found out that cannot be read.
        files = PhotoFiles(options.data_dir / FOLDER, keys)
        await asyncio.to_thread(photo_copies.listed, files)
        put = await asyncio.to_thread(
            photo_copies.put_back, staged, files, lambda ref: ref in named
        )
        await asyncio.to_thread(photo_copies.drop, staged)
        kept = file.with_name(f"{file.name}.before-restore-{_stamp()}")
        was_there = await asyncio.to_thread(backup.replace, file, staged, kept)
    finally:
        backup.discard(staged)
    return Restored(
        made,
        kept if was_there else None,
        await _zone(options),
        None if put is None else len(put),
        len(named - files.kept()),
    )


async def _named(copy: Database) -> set[str]:
    """Return the references of the photos that a database says are kept."""
    async with copy.read() as session:
        return await photos.stored_refs(session)


async def _erase_again(copy: Database, options: Settings) -> None:
    """Erase from what is restored whoever has erased their data since the backup."""
    async with copy.write() as session:
        await erasing.again(session, erased.read(options.data_dir), SystemClock().now())


async def _hold(copy: Database, now: datetime) -> datetime | None:
    """Hold what the restored database would send; return when the backup was made."""
    async with copy.write() as session:
        before = await holding.held(session)
        signs = {key: await vitals.get(session, key) or "" for key in (BACKUP_AT, vitals.LAST_TICK)}
        made = _made_at(signs)
        if before is not None and before.backup_at is not None and made is not None:
            # A backup of a database that was held itself: its doubts are older.
            made = min(made, before.backup_at)
        await holding.end(session)
        # Of this backup, and of no copy that another program makes of what is restored.
        await vitals.forget(session, (BACKUP_AT,))
        await holding.hold(session, Why.RESTORED, now, backup_at=made)
    return made


def _made_at(signs: Mapping[str, str]) -> datetime | None:
    """Return when a copy was made; of one that another program made, when the bot last ticked."""
    found = signs.get(BACKUP_AT) or signs.get(vitals.LAST_TICK)
    return datetime.fromisoformat(found) if found else None


async def _restore_dump(options: Settings, source: Path, keys: vault.Vault) -> Restored:
    found, signs = await asyncio.to_thread(dumps.look, options.database, source)
    _refuse_foreign(found, source)
    sealed.check_mark(keys, signs.get(sealed.KEY_MARK))
    kept = None
    if await schema.present(options.database) is not None:
        kept = _beside(options, "before-restore")
        await asyncio.to_thread(dumps.save, options.database, kept, {}, lambda: None)
    elif await schema.has_tables(options.database):
        raise BackupError("DATABASE_URL leads to tables that are not of this program")
    made = _made_at(signs)
    now = SystemClock().now()
    held = holding.signs(Why.RESTORED, now, backup_at=made) | {BACKUP_AT: ""}
    files, beside, put = (
        PhotoFiles(options.data_dir / FOLDER, keys),
        photo_copies.beside(source),
        None,
    )
    # One that cannot be read is found out before the database is changed.
    await asyncio.to_thread(photo_copies.listed, files)
    if beside.is_file():
        put = await asyncio.to_thread(photo_copies.put_back, beside, files, lambda _ref: True)
    await asyncio.to_thread(dumps.restore, options.database, source, held, holding.ABOVE)
    # It is held already; an older schema only keeps the bot from starting.
    await schema.migrate(options.database)
    restored = Database(options.database, keys)
    try:
        # A bot that is started after a kill before this does the same.
        await _erase_again(restored, options)
        named = await _named(restored)
    finally:
        await restored.close()
    for ref in (put or set()) - named:
        files.remove(ref)
    return Restored(
        made,
        kept,
        await _zone(options),
        None if put is None else len(put & named),
        len(named - files.kept()),
    )


async def _zone(options: Settings) -> ZoneInfo:
    """Return the zone by whose clocks the operator reads times."""
    deps = open_deps(options, SystemClock())
    try:
        async with deps.database.read() as session:
            clinic = await people.the_clinic(session)
    finally:
        await deps.database.close()
    return ZoneInfo(clinic.timezone if clinic else "UTC")


def _refuse_foreign(found: str | None, source: Path) -> None:
    if found is None:
        raise BackupError(f"{source} is no backup of this program")
    if schema.is_newer(found):
        raise BackupError(
            f"{source} has schema {found}, which is newer than this program's "
            f"{schema.newest()}; install the newer program first"
        )


async def review(options: Settings) -> Review | None:
    """Return what a release would be about; nothing when sending is not held."""
    await check_schema(options)
    deps = open_deps(options, SystemClock())
    try:
        async with deps.database.read() as session:
            return await releasing.review(session, deps.clock.now())
    finally:
        await deps.database.close()


async def release(options: Settings) -> Review | None:
    """End the hold; a bot that runs notices by itself. Nothing is returned without a hold."""
    deps = open_deps(options, SystemClock())
    try:
        async with deps.database.write() as session:
            return await releasing.release(session, deps.clock.now())
    finally:
        await deps.database.close()
