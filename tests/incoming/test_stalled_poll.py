"""Polling cannot die silently: a poll that hangs is cut, and the next has fresh connections."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bot.incoming.telegram_http import PollError, Source, poll_request
from tests.incoming.conftest import Desk

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n"


class Sluggish:
    """A server that takes every connection, reads what is asked and answers as badly as told."""

    def __init__(self) -> None:
        self.drips = False
        self.well = False
        self.connections = 0
        self.url = ""
        self.writers: list[asyncio.StreamWriter] = []
        self.ended: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                if self.well:
                    body = json.dumps({"ok": True, "result": [{"update_id": 7}]}).encode()
                    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
                    writer.write(b"HTTP/1.1 200 OK\r\n" + length + body)
                elif self.drips:
                    writer.write(HEAD)
                    while not writer.is_closing():
                        writer.write(b" ")
                        await writer.drain()
                        await asyncio.sleep(0.01)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        self.ended.append(writer)


@asynccontextmanager
async def sluggish() -> AsyncIterator[Sluggish]:
    slow = Sluggish()
    server = await asyncio.start_server(slow.serve, "127.0.0.1", 0)
    slow.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/bot1:x"
    try:
        yield slow
    finally:
        server.close()
        for writer in slow.writers:
            writer.transport.abort()
        async with asyncio.timeout(20):
            while len(slow.ended) < len(slow.writers):  # noqa: ASYNC110 - it has no bell
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("drips", [False, True])
async def test_a_poll_that_hangs_is_cut_and_the_next_is_asked_on_other_connections(
    *, drips: bool
) -> None:
    async with sluggish() as slow:
        slow.drips = drips
        source = Source(slow.url, poll_request(), grace_s=0.2)
        await source.request.initialize()
        # More often than the pool has connections.
        for cut in range(1, 7):
            before = source.request
            with pytest.raises(PollError) as refused:
                await source.updates(None, wait_s=0)
            assert refused.value.kind == "stalled"
            assert source.request is not before
            assert slow.connections == cut
        slow.well = True
        assert await source.updates(None, wait_s=0) == [{"update_id": 7}]
        await source.close()


async def test_the_poller_says_so_and_goes_on(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    desk.source.grace_s = 0.3
    hanging = desk.telegram.faults.hang("getUpdates", times=2)
    desk.polls()
    await desk.until(lambda: desk.poller.trouble == "stalled")
    await desk.ana.says("Are you there?")
    await desk.until(lambda: hanging.hits == 2)
    await desk.telegram.wait_for(lambda: not desk.telegram.updates.waiting)
    await desk.until(lambda: desk.poller.trouble is None)
    actions = [each.__dict__.get("action") for each in caplog.records]
    assert actions.count("poll_stalled") == 2
    assert desk.poller.last_ok_s is not None
