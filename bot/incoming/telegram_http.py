"""Asking Telegram for updates over the library's HTTP seam, with the status codes read by us."""

import asyncio
import json
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

import httpx
from telegram.error import TelegramError
from telegram.request import BaseRequest, HTTPXRequest

POLL_TIMEOUT_S = 25
_POLL_READ_TIMEOUT_S = POLL_TIMEOUT_S + 10.0
# Longer than it may take, however slowly an answer drips in: the read timeout starts anew with
# each byte, and a torn poll may leave its connection taken for ever.
_GRACE_S = 15.0
_CLOSE_WITHIN_S = 5.0
ALLOWED = ["message", "edited_message", "callback_query", "my_chat_member"]
_FLOOD_WAIT_S = 5.0
_LONGEST_FLOOD_S = 300.0


class PollError(RuntimeError):
    """Telegram did not give updates; ``kind`` says what follows."""

    def __init__(self, kind: str, retry_after_s: float = 0.0) -> None:
        """``kind``: unreachable, stalled, refused (the token), conflict or flood."""
        super().__init__(kind)
        self.kind = kind
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Source:
    """Where updates come from; a poll that hangs is cut, and the next has fresh connections."""

    base_url: str
    request: BaseRequest
    grace_s: float = _GRACE_S
    fresh: Callable[[], BaseRequest] | None = None

    async def updates(
        self, offset: int | None, *, wait_s: int = POLL_TIMEOUT_S
    ) -> list[dict[str, Any]]:
        """Return raw updates from ``offset`` on, waiting up to ``wait_s`` seconds for one.

        Asking with an offset confirms everything below it at Telegram. Raises :class:`PollError`.
        """
        asked = {"timeout": str(wait_s), "allowed_updates": json.dumps(ALLOWED)}
        if offset is not None:
            asked["offset"] = str(offset)
        try:
            async with asyncio.timeout(wait_s + self.grace_s):
                status, answer = await self.request.do_request(
                    # In the address: the library's form of a body is made of its private parts.
                    url=f"{self.base_url}/getUpdates?{urlencode(asked)}",
                    method="POST",
                    read_timeout=_POLL_READ_TIMEOUT_S,
                    write_timeout=10.0,
                    connect_timeout=10.0,
                    pool_timeout=10.0,
                )
        except TimeoutError as error:
            await self._begin_afresh()
            raise PollError("stalled") from error
        except TelegramError as error:
            if isinstance(error.__cause__, httpx.PoolTimeout):
                await self._begin_afresh()
                raise PollError("stalled") from error
            raise PollError("unreachable") from error
        if status != HTTPStatus.OK:
            raise _refusal(status, answer)
        try:
            found = json.loads(answer)["result"]
        except (ValueError, KeyError, TypeError) as error:
            raise PollError("unreachable") from error
        if not isinstance(found, list):
            raise PollError("unreachable")
        return found

    async def _begin_afresh(self) -> None:
        """Give the connections up, whatever became of them, and open others with the next poll."""
        torn, self.request = self.request, (self.fresh or poll_request)()
        await self.request.initialize()
        await _close(torn)

    async def close(self) -> None:
        """Close every connection."""
        await _close(self.request)


async def _close(request: BaseRequest) -> None:
    # What is torn may not even close; it is left to the system then.
    with suppress(TimeoutError, httpx.HTTPError, OSError):
        async with asyncio.timeout(_CLOSE_WITHIN_S):
            await request.shutdown()


def _refusal(status: int, answer: bytes) -> PollError:
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND):
        return PollError("refused")
    if status == HTTPStatus.CONFLICT:
        return PollError("conflict")
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        try:
            asked_s = float(json.loads(answer)["parameters"]["retry_after"])
            # However long it asks for: whoever is deaf for longer hears no danger.
            wait_s = min(max(asked_s, 0.0), _LONGEST_FLOOD_S)
        except (ValueError, KeyError, TypeError):
            wait_s = _FLOOD_WAIT_S
        return PollError("flood", wait_s)
    return PollError("unreachable")


@cache
def _certificates(*, trust_env: bool) -> ssl.SSLContext:
    """Return whom a connection trusts, read once: 30 ms of certificates for every pool else."""
    return httpx.create_ssl_context(trust_env=trust_env)


def options(*, trust_env: bool) -> dict[str, Any]:
    """Return what httpx is told for every connection to Telegram.

    With ``trust_env`` it goes through the machine's proxy, if there is one.
    """
    return {"trust_env": trust_env, "verify": _certificates(trust_env=trust_env)}


def poll_request(*, trust_env: bool = False) -> HTTPXRequest:
    """Return a transport for polling; more than one connection, so a torn poll cannot starve it.

    With ``trust_env`` it goes through the machine's proxy, if there is one.
    """
    return HTTPXRequest(connection_pool_size=4, httpx_kwargs=options(trust_env=trust_env))
