"""The receiving half of a bot: poller and inbox, with a handler of the story's own."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from telegram import Bot, Update
from telegram.request import HTTPXRequest

from bot import founding, parts
from bot.clock import SystemClock
from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from bot.incoming import telegram_http
from bot.incoming.inbox import Inbox
from bot.incoming.poll import Poller
from bot.incoming.safety_text import SafetyText
from bot.incoming.telegram_http import Source
from bot.rehearsal import demo_clinic, local_settings
from bot.services.deps import Deps
from bot.storage.tables import Patient, Practitioner
from tests.begun import begin
from tests.faults.world import add_patient, add_practitioner

Handler = Callable[[str], Awaitable[None]]


@dataclass(slots=True, repr=False)
class Desk:
    """What comes in and how it is worked off; ``heard`` is what the handler was given, in order."""

    deps: Deps
    telegram: LocalTelegram
    server: Server
    source: Source
    poller: Poller
    inbox: Inbox
    nour: Person
    ana: Person
    ben: Person
    practitioner: Practitioner
    patients: dict[str, Patient]
    heard: list[str] = field(default_factory=list)
    handler: Handler | None = None
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def process(self, update: Update) -> None:
        """What the bot's handlers are in the running program."""
        message = update.effective_message
        said = (message.text or "") if message is not None else ""
        if self.handler is not None:
            await self.handler(said)
        self.heard.append(said)

    def polls(self) -> None:
        """Updates are fetched from now on."""
        self.tasks.append(asyncio.ensure_future(self.poller.run()))

    def works(self) -> None:
        """What was fetched is worked off from now on."""
        self.tasks.append(asyncio.ensure_future(self.inbox.run()))

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """What an operator's query answers."""
        async with self.deps.database.read() as session:
            found = await session.exec(text(sql))  # type: ignore[call-overload] # plain SQL
            return [dict(row) for row in found.mappings()]

    async def states(self) -> dict[int, str]:
        """The state of each stored update."""
        return {row["update_id"]: row["state"] for row in await self.rows("SELECT * FROM v_update")}

    async def until(self, done: Callable[[], bool]) -> None:
        """Wait for something that no bell of ours announces."""
        async with asyncio.timeout(10):
            while True:
                if done():
                    return
                await asyncio.sleep(0.005)

    async def settled(self, count: int) -> None:
        """Wait until so many updates are stored and none of them waits any more."""
        async with asyncio.timeout(10):
            while True:
                states = await self.states()
                if len(states) >= count and "received" not in states.values():
                    return
                await asyncio.sleep(0.005)


@asynccontextmanager
async def running_desk(folder: Path, database_url: str) -> AsyncIterator[Desk]:
    """A clinic with Nour, Ana and Ben; nothing is fetched or worked off yet."""
    clock = SystemClock()
    telegram = LocalTelegram(now=clock.now)
    async with telegram.serve() as server:
        options = local_settings(server, telegram.token, folder)
        options = options.model_copy(update={"database_url": database_url})
        await begin(folder, database_url)
        await founding.init(options, demo_clinic(), clock)
        deps = parts.open_deps(options, clock)
        nour, ana, ben = (telegram.person(name) for name in ("Nour", "Ana", "Ben"))
        now = clock.now()
        async with deps.database.write() as session:
            practitioner = await add_practitioner(session, nour, now)
            patients = {
                person.first_name: await add_patient(session, deps, person, practitioner, now)
                for person in (ana, ben)
            }
        request = HTTPXRequest(httpx_kwargs={"trust_env": False})
        polling = telegram_http.poll_request()
        async with Bot(
            telegram.token,
            f"{server.base_url}/bot",
            request=request,
            get_updates_request=polling,
        ) as bot:
            desk: Desk

            async def process(update: Update) -> None:
                await desk.process(update)

            source = Source(f"{server.base_url}/bot{telegram.token}", polling)
            poller = Poller(deps, source, SafetyText(deps, bot), first_backoff_s=0.01)
            inbox = Inbox(deps, bot, process)
            desk = Desk(
                *(deps, telegram, server, source, poller, inbox),
                *(nour, ana, ben, practitioner, patients),
            )
            try:
                yield desk
            finally:
                poller.stop()
                await inbox.stop()
                await asyncio.gather(*desk.tasks)
                await source.close()
                await deps.database.close()


@pytest.fixture
async def desk(
    tmp_path: Path, failures: list[str], chosen_database_url: str, one_processor: None
) -> AsyncIterator[Desk]:
    """The receiving half of a bot."""
    async with running_desk(tmp_path, chosen_database_url) as running:
        yield running


@pytest.fixture
async def either_desk(
    tmp_path: Path, failures: list[str], database_url: str, one_processor: None
) -> AsyncIterator[Desk]:
    """The receiving half on SQLite and on PostgreSQL."""
    async with running_desk(tmp_path, database_url) as running:
        yield running
