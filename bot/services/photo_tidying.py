"""Photo files and their rows brought together again, and what nobody agreed to let go."""

import asyncio
import logging
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Cause
from bot.logs import Outages
from bot.services import trouble
from bot.services.deps import Deps
from bot.storage.database import Priority
from bot.storage.queries import photos as queries

log = logging.getLogger(__name__)

# A question left open so long was answered: what waits for it is let go.
_UNANSWERED = timedelta(days=7)


class Tidier:
    """Tidies for the loop that keeps photos, between two of them."""

    def __init__(self, deps: Deps) -> None:
        """Prepare to look; the leads know of nothing yet."""
        self._deps = deps
        self._missing_told = False
        self._outages = Outages(log)

    async def tidy(self, now: datetime) -> None:
        """Remove files without a row, end rows without a file, let unanswered ones go.

        Where most files are missing, nothing is removed or ended, and the leads are told: it is
        the folder then, which somebody may still mend.
        """
        files = self._deps.photos
        # Before the rows: nobody but that loop adds any, so what is stored has its file by now. A
        # file whose row ends meanwhile is removed once more.
        kept = await self._listed()
        async with self._deps.database.write(Priority.PLAN) as session:
            await queries.refuse_unanswered(session, now - _UNANSWERED)
            stored = await queries.stored_refs(session)
            lost = stored if kept is None else stored - kept
            if lost:
                log.error(
                    "photos have no file any more",
                    extra={"action": "photos_lost", "count": len(lost)},
                )
            folder_gone = len(stored) < 2 * len(lost)
            if folder_gone:
                await self._tell_missing(session, len(lost), now)
            else:
                await queries.end(session, lost)
        self._missing_told = folder_gone
        self._deps.bells.outbox.set()
        if kept is None or folder_gone:
            return
        for ref in kept - stored:
            files.remove(ref)
        files.clear_unfinished()

    async def _listed(self) -> set[str] | None:
        """Return the references of all photo files; nothing when nobody can say."""
        try:
            kept = await asyncio.to_thread(self._deps.photos.kept)
        except OSError as error:
            self._outages.failed("the photo folder cannot be read", error, "photo_folder")
            return None
        self._outages.over("photo_folder")
        return kept

    async def _tell_missing(self, session: AsyncSession, n_missing: int, now: datetime) -> None:
        # Once: what is lost for good stays missing until its time is over, which may be months.
        if not self._missing_told:
            await trouble.raise_(session, Cause.PHOTOS, now, {"how_many": n_missing})
