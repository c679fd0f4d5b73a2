"""Updates that Telegram posts to us: committed before the 200, and watched over in between."""

import asyncio
import hmac
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from telegram import Bot
from telegram.error import InvalidToken, TelegramError

from bot.clock import Clock
from bot.logs import Outages
from bot.settings import WEBHOOK_PATH

log = logging.getLogger(__name__)

PATH = f"{WEBHOOK_PATH}{{rest:path}}"
LONGEST_BODY = 1_000_000
BODY_WITHIN_S = 10.0
_LOOK_EVERY_S = 30.0
_OF_LATE = timedelta(minutes=5)
_HEADER = "X-Telegram-Bot-Api-Secret-Token"

InTouch = Callable[[bool], Awaitable[None]]
Receive = Callable[[Sequence[dict[str, Any]]], Awaitable[int]]


def route(secret: str, receive: Receive, body_within_s: float = BODY_WITHIN_S) -> Route:
    """Return the route that hands each posted update to ``receive`` and then answers 200.

    A body that has not arrived in time is given up: half-sent ones must not pile up.
    """

    outages = Outages(log)

    async def post(request: Request) -> Response:
        # Compared in constant time, and before anything of the body is read (promises.md B16).
        given = request.headers.get(_HEADER, "")
        if not hmac.compare_digest(given.encode(), secret.encode()):
            return Response(status_code=403)
        body = bytearray()
        try:
            async with asyncio.timeout(body_within_s):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > LONGEST_BODY:
                        return Response(status_code=413)
        except TimeoutError:
            return Response(status_code=408)
        except ClientDisconnect:
            return Response(status_code=400)
        except asyncio.CancelledError:
            # The server ends: what has not been read is posted again, to whoever listens then.
            return Response(status_code=503)
        try:
            update = json.loads(bytes(body))
        except (ValueError, RecursionError):
            return Response(status_code=400)
        if not isinstance(update, dict) or type(update.get("update_id")) is not int:
            return Response(status_code=400)
        try:
            await receive([update])
        except Exception as error:
            outages.failed("a posted update could not be stored", error, "inbox_failed")
            # Telegram posts it again.
            return Response(status_code=500)
        outages.over("inbox_failed")
        return Response(status_code=200)

    return Route(PATH, post, methods=["POST"])


class Watch:
    """Asks now and then whether Telegram is there and still posts to us: nothing polls here."""

    def __init__(
        self, telegram_bot: Bot, url: str, clock: Clock, in_touch: InTouch | None = None
    ) -> None:
        """Watch over the webhook at ``url``; ``in_touch`` is told when all is well, and if anew."""
        self._bot = telegram_bot
        self._url = url
        self._clock = clock
        self._in_touch = in_touch
        self._silent = True
        self._outages = Outages(log)
        self._stopping = asyncio.Event()
        self.trouble: str | None = None
        self.last_ok_s: float | None = None

    async def run(self) -> None:
        """Look until :meth:`stop`."""
        while not self._stopping.is_set():
            await self.look()
            await self.note()
            try:
                await asyncio.wait_for(self._stopping.wait(), _LOOK_EVERY_S)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Look no more."""
        self._stopping.set()

    async def note(self) -> None:
        """Keep when Telegram was last there and reached us."""
        if self.trouble is not None:
            self._silent = True
            return
        try:
            if self._in_touch is not None:
                await self._in_touch(self._silent)
        except Exception as error:
            self._outages.failed("the contact could not be noted", error, "tick_failed")
            self._silent = True
            return
        self._outages.over("tick_failed")
        self._silent = False

    async def look(self) -> None:
        """Find out: ``unreachable``, ``refused``, ``webhook`` if it is another's.

        ``webhook_failing`` while updates wait that Telegram could not post of late.
        """
        try:
            info = await self._bot.get_webhook_info()
        except InvalidToken:
            self.trouble = "refused"
        except TelegramError:
            self.trouble = "unreachable"
        else:
            failed_at = info.last_error_date
            if info.url != self._url:
                self.trouble = "webhook"
            elif (
                info.pending_update_count and failed_at and self._clock.now() - failed_at < _OF_LATE
            ):
                self.trouble = "webhook_failing"
            else:
                self.trouble = None
            self.last_ok_s = self._clock.monotonic()
