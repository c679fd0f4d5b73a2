"""The line to Telegram: whether it answers, and what may leave until it does again."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from telegram import Bot

from bot.outgoing import sender
from bot.outgoing.pace import Pace
from bot.outgoing.sender import Outcome

log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 10.0


class Line:
    """Knows from each outcome whether Telegram answers; asks it until it does."""

    def __init__(self, telegram_bot: Bot, pace: Pace, ring: Callable[[], object]) -> None:
        """Ask through ``telegram_bot``, slow ``pace`` down, ``ring`` once an answer is known."""
        self._bot = telegram_bot
        self._pace = pace
        self._ring = ring
        # After a send that got no answer nothing but danger leaves until Telegram answers again:
        # an outage must not use up the one repeat of everything that falls due in it.
        self._in_doubt = False
        self._probing: asyncio.Task[None] | None = None
        self._pause_s = _FIRST_PAUSE_S
        self.refused: str | None = None

    @property
    def asking(self) -> bool:
        """Whether Telegram is being asked just now."""
        return self._probing is not None

    @property
    def down(self) -> bool:
        """Whether Telegram gives no answer, so that everything but danger waits for it."""
        return self._in_doubt and self._pace.closed_s > 0

    @property
    def danger_only(self) -> bool:
        """Whether only danger may leave now: no answer, or Telegram asked us to wait."""
        return self._in_doubt or self._pace.closed_s > 0

    def heed(self, chat_id: int, outcome: Outcome) -> None:
        """Slow down, or wait for the line, as the outcome of one send asks for."""
        match outcome:
            case sender.Delivered():
                self._pace.flows()
            case sender.NotSent(wait=wait, flood=True):
                self._pace.flood(chat_id, (wait or timedelta()).total_seconds())
            case sender.NotSent() | sender.Unknown():
                self._in_doubt = True
            case sender.Refused(cause=cause):
                self._in_doubt = True
                self.refused = cause
                log.error("Telegram refuses this bot", extra={"action": "refused", "cause": cause})

    def probe_if_doubtful(self) -> None:
        """Ask Telegram something harmless, unless it answers or asked us to wait."""
        if self._in_doubt and self._probing is None and self._pace.closed_s == 0:
            self._probing = asyncio.create_task(self._probe())  # noqa: TID251 - kept in _probing, cancelled by close

    def close(self) -> None:
        """Ask no more."""
        if self._probing is not None:
            self._probing.cancel()

    async def _probe(self) -> None:
        try:
            trouble = await sender.probe(self._bot)
        finally:
            self._probing = None
            self._ring()
        self.refused = trouble.cause if isinstance(trouble, sender.Refused) else None
        self._in_doubt = trouble is not None
        if trouble is None:
            self._pause_s = _FIRST_PAUSE_S
            return
        log.warning(
            "Telegram gives no answer", extra={"action": "line_down", "cause": trouble.cause}
        )
        self._pace.close(self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)
