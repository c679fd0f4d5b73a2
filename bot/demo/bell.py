"""The one bell that rings at every change, so that nobody who waits has to sleep."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """Rings at every change; `closed` once the server goes away, and then nobody waits any more."""

    def __init__(self) -> None:
        self.rings = 0
        self.closed = False
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Everybody who waits looks again."""
        self.rings += 1
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def close(self) -> None:
        """Everybody who waits looks a last time and leaves."""
        self.closed = True
        self.ring()

    async def wait(self, seconds: float | None = None) -> None:
        """Returns at the next ring, or after so many real seconds."""
        if self.closed:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass
        finally:
            self._waiting.discard(future)

    async def wait_for(
        self, predicate: Callable[[], T | None], seconds: float, what: str = ""
    ) -> T:
        """The predicate's first true value; a TimeoutError that says what was missed, after so
        many real seconds.
        """
        end = asyncio.get_running_loop().time() + seconds
        while True:
            value = predicate()
            if value:
                return value
            left = end - asyncio.get_running_loop().time()
            if left <= 0 or self.closed:
                raise TimeoutError(f"not within {seconds:g} s: {what or 'the awaited change'}")
            await self.wait(left)
