"""The heartbeat: called while all is well, silent otherwise, and never a word of its address."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bot.web.heartbeat import Heartbeat

SECRET = "planted-check-id"


class Listener:
    """A service elsewhere that waits for heartbeats."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.status = 200
        self.answers = True
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.requests.append(head.decode())
        if self.answers:
            writer.write(f"HTTP/1.1 {self.status} x\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            await reader.read()
        writer.close()

    async def hears(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.requests) < count:  # noqa: ASYNC110 - it has no bell
                await asyncio.sleep(0.005)


@asynccontextmanager
async def listener() -> AsyncIterator[Listener]:
    service = Listener()
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    service.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{SECRET}"
    try:
        yield service
    finally:
        server.close()


async def test_it_is_called_while_all_is_well_and_is_silent_otherwise() -> None:
    well = asyncio.Event()
    looks = 0

    async def is_well() -> bool:
        nonlocal looks
        looks += 1
        return well.is_set()

    async with listener() as service:
        heartbeat = Heartbeat(service.url, is_well, every_s=0.01)
        beating = asyncio.ensure_future(heartbeat.run())
        async with asyncio.timeout(10):
            while looks < 5:  # noqa: ASYNC110 - it has no bell
                await asyncio.sleep(0.005)
        assert service.requests == []
        well.set()
        await service.hears(2)
        heartbeat.stop()
        await beating
        assert all(each.startswith(f"GET /{SECRET} HTTP/1.1\r\n") for each in service.requests)


async def test_one_that_fails_is_one_line_an_outage_and_stops_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "bot")

    async def is_well() -> bool:
        return True

    async with listener() as service:
        service.status = 500
        heartbeat = Heartbeat(service.url, is_well, every_s=0.01)
        beating = asyncio.ensure_future(heartbeat.run())
        await service.hears(4)
        service.status = 200
        heard = len(service.requests)
        await service.hears(heard + 2)
        service.status = 503
        heard = len(service.requests)
        await service.hears(heard + 3)
        service.answers = False
        heard = len(service.requests)
        await service.hears(heard + 1)
        # In the middle of a call that nobody answers.
        heartbeat.stop()
        async with asyncio.timeout(8):
            await beating
    actions = [each.__dict__.get("action") for each in caplog.records]
    assert actions == ["heartbeat_failed"] * 2
    assert SECRET not in caplog.text
    assert {each.__dict__["cause"] for each in caplog.records} == {"HTTPStatusError"}


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://nowhere.invalid/x", "http://[x/"])
async def test_an_address_that_leads_nowhere_stops_nothing(url: str) -> None:
    looks = 0

    async def is_well() -> bool:
        nonlocal looks
        looks += 1
        return True

    heartbeat = Heartbeat(url, is_well, every_s=0.01)
    beating = asyncio.ensure_future(heartbeat.run())
    async with asyncio.timeout(8):
        while looks < 3:  # noqa: ASYNC110 - it has no bell
            await asyncio.sleep(0.005)
    heartbeat.stop()
    await beating
    assert looks >= 3
