"""Making sure at the start that nobody else polls with our token, before anything is sent."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from bot.incoming.telegram_http import PollError, Source

log = logging.getLogger(__name__)

LISTEN_S = 4.0
_LOOK_AGAIN_S = 20.0
_ASK_AGAIN_S = 5.0
_PAUSE_S = 1.0
_CONFLICT = "conflict"


def _numbers(updates: Sequence[dict[str, Any]]) -> set[int]:
    return {number for update in updates if isinstance(number := update.get("update_id"), int)}


class Alone:
    """Finds out whether another instance polls: one with a copy of our data, or with none of it.

    Telegram refuses the older of two polls. So whoever comes second asks at once, which ends the
    long poll of the other, and then waits in a poll of its own: the other comes back within
    seconds, and that poll is refused. The one that was there first only starts its poll again.
    Where updates wait no poll is long; then one that is gone tells of the other, who confirmed it.
    """

    def __init__(
        self, source: Source, listen_s: float = LISTEN_S, look_again_s: float = _LOOK_AGAIN_S
    ) -> None:
        """Prepare to listen for ``listen_s`` seconds through ``source``; for 0 not at all."""
        self._source = source
        self._listen_s = listen_s
        self._look_again_s = look_again_s
        self.trouble: str | None = None

    async def wait(self) -> None:
        """Return once nobody else polls; nothing is confirmed, so nothing is taken from the other.

        Where Telegram gives no answer nothing is known yet: it is asked again.
        """
        while self._listen_s and (why := await self._in_the_way()):
            if why != self.trouble:
                log.error(
                    "another bot polls with this token; standing by until it ends"
                    if why == _CONFLICT
                    else "Telegram does not say whether another bot polls",
                    extra={"action": "standing_by", "cause": why},
                )
            self.trouble = why
            again_s = self._look_again_s if why == _CONFLICT else _ASK_AGAIN_S
            await asyncio.sleep(again_s)
        if self.trouble is not None:
            log.info("nobody else polls any more", extra={"action": "took_over"})
        self.trouble = None

    async def _in_the_way(self) -> str:
        """Return why this bot does not poll yet; empty when it was alone all the while."""
        loop = asyncio.get_running_loop()
        try:
            waits = _numbers(await self._source.updates(None, wait_s=0))
            ends_s = loop.time() + self._listen_s
            while (left_s := ends_s - loop.time()) > 0:
                found = _numbers(await self._source.updates(None, wait_s=max(1, round(left_s))))
                if waits - found:
                    # We confirm nothing, so somebody else did.
                    return _CONFLICT
                if found:
                    # What waits is handed over at once, and nobody had time to be refused.
                    await asyncio.sleep(_PAUSE_S)
                waits = found
        except PollError as error:
            return error.kind
        return ""
