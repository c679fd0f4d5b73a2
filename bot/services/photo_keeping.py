"""Keeping photos: fetched, judged in a child, stored encrypted, deleted when their time is over."""

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import TypeVar

from sqlalchemy import ColumnElement
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlmodel.ext.asyncio.session import AsyncSession
from telegram import Bot

from bot.domain.states import PhotoState
from bot.logs import Outages
from bot.outgoing import fetching
from bot.outgoing.fetching import Missed
from bot.pictures import child
from bot.pictures.wire import READABLE, Answer, Task, Verdict
from bot.services import holding, photo_answers
from bot.services.deps import Deps
from bot.services.photo_tidying import Tidier
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import people
from bot.storage.queries import photos as queries
from bot.storage.tables import Photo
from bot.storage.vault import VaultError

log = logging.getLogger(__name__)

T = TypeVar("T")

# An album is so many updates, and nothing says how many: it is whole when none came for so long.
ALBUM_WAIT = timedelta(seconds=2)
MOST_ATTEMPTS = 3
# No clinic keeps photos for less.
_SHORTEST_KEEPING = timedelta(days=1)
_LOOK_S = 30.0
_REST_S = 30.0
_LONGEST_REST_S = 3600.0
_TIDY_S = 3600.0


class _Stopped(Exception):
    """The bot ends; what was under way is begun anew by the next start."""


class Keeper:
    """Fetches and stores what patients sent, one photo at a time, beside everything else."""

    def __init__(self, deps: Deps, telegram_bot: Bot) -> None:
        """Prepare to fetch through ``telegram_bot``."""
        self._deps = deps
        self._bot = telegram_bot
        self._stopping = asyncio.Event()
        self._working = False
        self._rest_until_s = 0.0
        self._resting: dict[str, float] = {}
        self._broken: dict[str, int] = {}
        self._tidy_at_s = 0.0
        self._tidier = Tidier(deps)
        self._outages = Outages(log)
        self.ended = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing is being fetched and nobody asked for a look."""
        return not self._working and not self._deps.bells.photos.is_set()

    async def run(self) -> None:
        """Look whenever the bell rings, and twice a minute, until :meth:`stop`."""
        bell = self._deps.bells.photos
        while not self._stopping.is_set():
            self._working = True
            bell.clear()
            wait_s = _LOOK_S
            try:
                wait_s = await self._round()
                self._outages.over("photos_failed")
            except _Stopped:
                return
            except Exception as error:
                self._outages.failed("photos could not be kept", error, "photos_failed")
            self._working = False
            self.ended.set()
            try:
                await asyncio.wait_for(bell.wait(), wait_s)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """End at once; a photo that is not stored yet waits for the next start."""
        self._stopping.set()
        self._deps.bells.photos.set()

    async def _round(self) -> float:
        """Keep what is ready; return the seconds until there may be more."""
        now, now_s = self._deps.clock.now(), self._deps.clock.monotonic()
        async with self._deps.database.read() as session:
            rows = await queries.waiting(session)
            nothing = not rows and now_s < self._tidy_at_s
            if nothing or await holding.held(session) is not None:
                return _LOOK_S
        if now_s >= self._tidy_at_s:
            await self._tidier.tidy(now)
            self._tidy_at_s = now_s + _TIDY_S
        if now_s < self._rest_until_s:
            return min(self._rest_until_s - now_s, _LOOK_S)
        wait_s = _LOOK_S
        failed = 0
        rows = [row for row in rows if self._resting.get(row.ref, 0.0) <= now_s]
        # What failed before comes last: it must not keep everybody else's waiting for good.
        rows.sort(key=lambda row: (row.ref in self._resting, *_together(row)))
        for _, group in groupby(rows, key=_together):
            several = list(group)
            whole_at = max(each.received_at for each in several) + ALBUM_WAIT
            if several[0].album is not None and now < whole_at:
                wait_s = min(wait_s, (whole_at - now).total_seconds() + 0.05)
                continue
            for row in await self._in_order(several):
                if await self._tried(row):
                    self._resting.pop(row.ref, None)
                    self._broken.pop(row.ref, None)
                    continue
                # It holds up nobody; when nothing succeeds it is the line, and everybody waits.
                n_broken = self._broken.get(row.ref, 0)
                self._resting[row.ref] = now_s + min(_REST_S * 2**n_broken, _LONGEST_REST_S)
                failed += not n_broken
                if failed >= MOST_ATTEMPTS:
                    self._rest_until_s = now_s + _REST_S
                    return _REST_S
        return wait_s

    async def _tried(self, row: Photo) -> bool:
        """Keep one photo; trouble of the machine's (a full disk) is tried again like the line's.

        What fails by itself holds up nobody: it rests, longer each time.
        """
        try:
            done = await self._keep(row)
        except OSError as error:
            self._outages.failed("a photo could not be kept", error, "photo_failed")
            return False
        except (_Stopped, OperationalError, InterfaceError):
            raise
        except Exception:
            self._broken[row.ref] = self._broken.get(row.ref, 0) + 1
            log.exception(
                "a photo could not be brought to its end",
                extra={"action": "photo_broken", "photo": row.ref},
            )
            return False
        self._outages.over("photo_failed")
        return done

    async def _in_order(self, rows: Sequence[Photo]) -> list[Photo]:
        """Return photos in the order in which the patient sent them, however they arrived."""
        async with self._deps.database.read() as session:
            try:
                return sorted(
                    rows, key=lambda row: int(sealed.read(session, row).get("number") or 0)
                )
            except (VaultError, ValueError):
                # As they came: the one that nobody can read ends by itself.
                return list(rows)

    async def _keep(self, row: Photo) -> bool:
        """Bring one photo to its end; false when it has to be tried again later."""
        try:
            async with self._deps.database.read() as session:
                notes = sealed.read(session, row)
        except VaultError:
            # Nobody can say any more where it is fetched.
            log.exception(
                "a photo's notes cannot be read",
                extra={"action": "photo_broken", "photo": row.ref},
            )
            return await self._settle(row, Answer(Verdict.NOT_A_PICTURE))
        if int(notes.get("size") or 0) > fetching.MOST_BYTES:
            return await self._settle(row, Answer(Verdict.TOO_LARGE))
        got = await self._unless_stopping(fetching.fetch(self._bot, str(notes.get("file_id", ""))))
        if got is Missed.LATER:
            return False
        if isinstance(got, Missed):
            large = got is Missed.TOO_LARGE
            return await self._settle(
                row, Answer(Verdict.TOO_LARGE if large else Verdict.NOT_A_PICTURE)
            )
        try:
            answer = await self._unless_stopping(child.ask(Task.JUDGE, [got.data]))
        except child.ChildFailed as error:
            log.warning(
                "a picture ended the child that read it",
                extra={"action": "picture_child", "cause": str(error), "photo": row.ref},
            )
            if await self._count_failure(row) < MOST_ATTEMPTS:
                return False
            answer = Answer(Verdict.NOT_A_PICTURE)
        return await self._settle(row, answer)

    async def _unless_stopping(self, work: Awaitable[T]) -> T:
        """Return what ``work`` brings; an end of the bot does not wait for it."""
        doing = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({doing, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                raise _Stopped
            return doing.result()
        finally:
            for each in (doing, stop):
                each.cancel()
            await asyncio.gather(doing, stop, return_exceptions=True)

    async def _count_failure(self, row: Photo) -> int:
        async with self._deps.database.write(Priority.PLAN) as session:
            photo = await queries.by_ref(session, row.ref)
            if photo is None:
                return MOST_ATTEMPTS
            photo.attempts += 1
            session.add(photo)
            return photo.attempts

    async def _settle(self, row: Photo, answer: Answer) -> bool:
        """Store or refuse a photo; whoever sent it hears of all that came together, once."""
        now = self._deps.clock.now()
        if answer.verdict in READABLE:
            # The file first: a row must never speak of a photo that is not there.
            await asyncio.to_thread(self._deps.photos.put, row.ref, answer.jpeg)
        stored = False
        async with self._deps.database.write(Priority.PLAN) as session:
            await people.locked_patient(session, row.patient_id)
            photo = await queries.by_ref(session, row.ref)
            # Meanwhile the patient may have taken the yes back, or have been erased.
            if photo is not None and photo.state is PhotoState.WAITING:
                stored = await self._end(session, photo, answer.verdict, now)
        if not stored:
            await asyncio.to_thread(self._deps.photos.remove, row.ref)
        self._deps.bells.outbox.set()
        return True

    async def _end(
        self, session: AsyncSession, photo: Photo, verdict: Verdict, now: datetime
    ) -> bool:
        again = verdict in photo_answers.TAKE_AGAIN and not await photo_answers.asked_again(
            session, photo, now
        )
        stored = verdict in READABLE and not again
        if stored:
            photo.angle = await photo_answers.next_angle(session, photo)
            photo.state, photo.stored_at = PhotoState.STORED, now
            sealed.write(session, photo, {})
        else:
            photo.state = PhotoState.REFUSED
            sealed.write(session, photo, {"verdict": verdict.value})
        session.add(photo)
        await session.flush()
        several = await queries.together(session, photo)
        if not any(each.state is PhotoState.WAITING for each in several):
            await photo_answers.tell(session, self._deps, several, now)
        return stored


def waits(now: datetime) -> ColumnElement[bool]:
    """Whether a photo is kept for so long that its clinic may want it deleted."""
    return queries.any_kept_since(now - _SHORTEST_KEEPING)


async def delete_over(deps: Deps, now: datetime) -> int:
    """Delete the photos whose time is over; return how many there were."""
    async with deps.database.read() as session:
        if not await queries.over(session, now):
            return 0
    async with deps.database.write(Priority.PLAN) as session:
        refs = await queries.over(session, now)
        await queries.end(session, refs)
    for ref in refs:
        await asyncio.to_thread(deps.photos.remove, ref)
    return len(refs)


def _together(row: Photo) -> tuple[int, str]:
    return row.patient_id, row.album or row.ref
