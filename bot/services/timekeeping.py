"""What follows when the machine's clock is set: nothing waits too long, nothing expires unseen."""

import asyncio
import logging
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Cause
from bot.logs import Outages
from bot.services import holding, trouble
from bot.services.deps import Deps
from bot.services.holding import Why
from bot.storage.database import Priority
from bot.storage.queries import outbox

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
# Less than this is a clock that is kept right, not one that was set.
_NOTABLE = timedelta(minutes=1)
# Whatever rests was told until when by the clock before: soon after a step it is looked at again.
_SOON = timedelta(seconds=60)


class Timekeeper:
    """Watches over the clock for as long as it runs."""

    def __init__(self, deps: Deps) -> None:
        """Prepare to watch over the clock of ``deps``."""
        self._deps = deps
        self._stopping = asyncio.Event()
        self._outages = Outages(log)
        # Held because of the doubt that lasts: once nothing holds any more, it was released.
        self._holds = False

    async def run(self) -> None:
        """Look every second until :meth:`stop`."""
        while not self._stopping.is_set():
            try:
                await self.look()
                self._outages.over("clock_failed")
            except Exception as error:
                self._outages.failed("the clock could not be kept", error, "clock_failed")
            try:
                await asyncio.wait_for(self._stopping.wait(), LOOK_EVERY_S)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    async def look(self) -> None:
        """Hold sending when the clock is in doubt, go on when that was released, note a step."""
        if self._deps.clock.doubted():
            await self._doubted()
        else:
            self._holds = False
        if abs(stepped := self._deps.clock.stepped()) >= _NOTABLE:
            await self._set(stepped)

    async def _doubted(self) -> None:
        ahead = self._deps.clock.doubted()
        async with self._deps.database.write(Priority.RESULT) as session:
            held = await holding.held(session)
            if held is None:
                if self._holds:
                    self._holds = False
                    self._deps.clock.believe()
                    self._deps.bells.ring()
                    return
                now = self._deps.clock.now()
                await holding.hold(session, Why.CLOCK, now)
                await self._tell(session, now, now + ahead, held=True)
                log.error(
                    "the clock was set far ahead; sending is held",
                    extra={"action": "clock_held", "seconds": int(ahead.total_seconds())},
                )
                self._holds = True
            elif held.why is Why.CLOCK:
                self._holds = True
            # Else it is held for another reason, whose release says nothing about the clock.

    async def _set(self, stepped: timedelta) -> None:
        log.warning(
            "the clock was set",
            extra={"action": "clock_set", "seconds": int(stepped.total_seconds())},
        )
        now = self._deps.clock.now()
        async with self._deps.database.write(Priority.RESULT) as session:
            await outbox.bring_forward(session, now + _SOON)
            await self._tell(session, now - stepped, now, held=False)
        self._deps.bells.ring()

    async def _tell(
        self, session: AsyncSession, before: datetime, after: datetime, *, held: bool
    ) -> None:
        values = {"since_at": before, "until_at": after, "held": held}
        await trouble.raise_(session, Cause.CLOCK, self._deps.clock.now(), values)
