"""One token, two bots: the newcomer listens first, takes nothing away, and waits its turn."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.incoming.alone import Alone
from bot.incoming.telegram_http import Source, poll_request
from tests.incoming.conftest import Desk

LISTEN_S = 1.4


@asynccontextmanager
async def newcomer(desk: Desk, listen_s: float = LISTEN_S) -> AsyncIterator[Alone]:
    """One more bot with the same token."""
    source = Source(desk.source.base_url, poll_request())
    yield Alone(source, listen_s, look_again_s=0.1)
    await source.close()


async def test_nobody_else_polls(desk: Desk) -> None:
    await desk.ana.says("Is anybody there?")
    async with newcomer(desk) as alone:
        await alone.wait()
        assert alone.trouble is None
        # Looked at, and confirmed by nobody.
        (waiting,) = desk.telegram.updates.waiting
        assert waiting.handed_over
        polls = desk.telegram.calls_of("getUpdates")
        assert {call.params.get("offset") for call in polls} == {None}
        assert len(polls) >= 2


async def test_it_does_not_listen_when_it_is_not_asked_to(desk: Desk) -> None:
    async with newcomer(desk, 0.0) as alone:
        await alone.wait()
    assert desk.telegram.calls_of("getUpdates") == []


async def test_the_newcomer_waits_until_the_first_one_is_gone_and_the_first_goes_on(
    desk: Desk, caplog: pytest.LogCaptureFixture, failures: list[str]
) -> None:
    desk.polls()
    desk.works()
    await desk.until(lambda: desk.poller.last_ok_s is not None)
    async with newcomer(desk) as alone:
        waiting = asyncio.ensure_future(alone.wait())
        await desk.until(lambda: alone.trouble == "conflict")
        for number in range(5):
            await desk.ana.says(f"note {number}")
            await desk.settled(number + 1)
        assert not waiting.done()
        desk.poller.stop()
        async with asyncio.timeout(10):
            await waiting
        assert alone.trouble is None
        assert desk.heard == [f"note {number}" for number in range(5)]
        said = [each for each in caplog.records if each.__dict__.get("action") == "standing_by"]
        assert len(said) == 1
        failures.clear()


async def test_it_is_not_alone_because_telegram_cannot_be_reached(
    desk: Desk, caplog: pytest.LogCaptureFixture, failures: list[str]
) -> None:
    caplog.set_level(logging.INFO)
    await desk.server.goes_away()
    async with newcomer(desk) as alone:
        waiting = asyncio.ensure_future(alone.wait())
        await desk.until(lambda: alone.trouble == "unreachable")
        assert not waiting.done()
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await desk.server.listens()
        failures.clear()
