"""The local Telegram on a free port, a clock that is moved by hand, and a plain HTTP caller."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import Caller, Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telegram(clock: Clock) -> LocalTelegram:
    return LocalTelegram(now=clock.now)


@pytest.fixture
def ana(telegram: LocalTelegram) -> Person:
    return telegram.person("Ana", username="ana", language_code="es")


@pytest_asyncio.fixture
async def server(telegram: LocalTelegram) -> AsyncIterator[Server]:
    async with telegram.serve() as running:
        yield running


@pytest_asyncio.fixture
async def api(telegram: LocalTelegram, server: Server) -> AsyncIterator[Caller]:
    # plain HTTP on loopback: loading certificates would cost 30 ms a test
    plain = httpx.AsyncClient(trust_env=False, verify=False, timeout=5)  # noqa: S501
    async with plain as http:
        yield Caller(http, server.base_url, telegram.token)
