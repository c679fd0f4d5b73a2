"""The heartbeat: an address that is called once a minute while all is well, so silence alarms."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import httpx

log = logging.getLogger(__name__)

EVERY_S = 60.0
_WITHIN_S = 10.0


class Heartbeat:
    """Calls the operator's address, which knows nothing of us but that we are well.

    The address may hold a secret: it is never logged, and neither is what a failing call says.
    """

    def __init__(
        self, url: str, well: Callable[[], Awaitable[bool]], every_s: float = EVERY_S
    ) -> None:
        """Call ``url`` while ``well`` answers yes."""
        self._url = url
        self._well = well
        self._every_s = every_s
        self._stopping = asyncio.Event()
        self._calling: asyncio.Task[None] | None = None
        self._fails = False

    async def run(self) -> None:
        """Beat until :meth:`stop`."""
        async with httpx.AsyncClient(timeout=_WITHIN_S, follow_redirects=True) as http:
            while not self._stopping.is_set():
                with suppress(asyncio.CancelledError):
                    await self._beat(http)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), self._every_s)

    def stop(self) -> None:
        """Call no more, and cut off a call under way."""
        self._stopping.set()
        if self._calling is not None:
            self._calling.cancel()

    async def _beat(self, http: httpx.AsyncClient) -> None:
        try:
            # Never cut off: it reads the database, and would leave its connection open.
            if not await self._well() or self._stopping.is_set():
                return
            self._calling = asyncio.ensure_future(self._call(http))
            await self._calling
        except Exception as error:
            # Whatever it is: who cannot be called well is not called, and asked again.
            if not self._fails:
                log.warning(
                    "the heartbeat does not arrive",
                    extra={"action": "heartbeat_failed", "cause": type(error).__name__},
                )
            self._fails = True
        else:
            self._fails = False

    async def _call(self, http: httpx.AsyncClient) -> None:
        async with asyncio.timeout(_WITHIN_S):
            (await http.get(self._url)).raise_for_status()
