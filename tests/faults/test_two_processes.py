"""Two bots on one database, or with one token: one works, the other stands by and takes over.

The long form, and a failure once more:

    AFTERCARE_MINUTES=10 python -m pytest tests/faults/test_two_processes.py -k in_turn
    AFTERCARE_SEED=12345 python -m pytest tests/faults/test_two_processes.py -k in_turn
"""

import asyncio
import logging
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.process import WORDS, Story, fill, passed_on, running_story, template_of
from tests.faults.record import proved
from tests.faults.test_kills import SEED, Witness
from tests.web.test_webhook import free_port

log = logging.getLogger(__name__)

MINUTES = float(os.environ.get("AFTERCARE_MINUTES", "0.4"))
# About 50 deliveries a minute: a card, its second bubble and some answers each.
JOINING = max(12, round(MINUTES * 17.5))
TAKES_OVER_WITHIN_S = 60


@asynccontextmanager
async def standing_by(story: Story, name: str) -> AsyncIterator[tuple[Story, httpx.AsyncClient]]:
    """One more bot on the same database, and its health pages once it says why it waits."""
    other = replace(story, process=None)
    at = f"127.0.0.1:{free_port()}"
    await other.starts(name, HTTP_BIND=at, LOG_LEVEL="INFO")
    try:
        async with httpx.AsyncClient(base_url=f"http://{at}", trust_env=False) as http:
            body = await readyz(http, 503)
            assert (body["ready"], body["trouble"]) == (False, "standing_by")
            yield other, http
    finally:
        await other.dies()


async def readyz(http: httpx.AsyncClient, status: int) -> dict[str, Any]:
    """What the page says once it answers with this status."""
    async with asyncio.timeout(30):
        while True:
            try:
                answer = await http.get("/readyz")
            except httpx.ConnectError:
                await asyncio.sleep(0.04)
                continue
            if answer.status_code == status:
                body: dict[str, Any] = answer.json()
                return body
            await asyncio.sleep(0.04)


async def test_a_bot_whose_lock_file_was_deleted_goes_on_and_stays_alone(tmp_path: Path) -> None:
    async with running_story(tmp_path, "") as story:
        await fill(story, 2)
        await story.starts(LOG_LEVEL="INFO")
        await story.patients[0].says("The first thing.")
        await story.patients[0].hears("I passed your message", within=30)
        (lock,) = story.folder.glob("*.lock")
        lock.unlink()
        await story.patients[1].says("The second thing.")
        await story.patients[1].hears("I passed your message", within=30)
        assert lock.exists()
        async with standing_by(story, "second") as (second, _):
            assert await second.stops() == 0
        assert await passed_on(story) == Counter(["The first thing.", "The second thing."])
        assert story.ask("SELECT sum(maybe_copies) FROM message") == [(0,)]
        assert await story.stops() == 0


async def test_a_lock_file_that_cannot_be_opened_ends_the_start_with_one_sentence(
    tmp_path: Path,
) -> None:
    async with running_story(tmp_path, "") as story:
        await fill(story, 1)
        lock = story.folder / "aftercare.db.lock"
        lock.mkdir()
        await story.starts()
        assert story.process is not None
        async with asyncio.timeout(30):
            assert await story.process.wait() == 1
        (said,) = (story.folder / "log").read_text().splitlines()
        assert said.startswith(f"aftercare: {lock} cannot be opened (")
        assert "give it to the account that runs the bot" in said


def arrived(story: Story) -> Counter[tuple[int, str]]:
    """How often each phone has received each message."""
    return Counter(
        (person.id, template)
        for person in story.patients
        for message in person.received
        if (template := template_of(message)) is not None
    )


async def test_the_second_waits_sends_nothing_and_takes_over_after_a_kill(
    tmp_path: Path, chosen_database_url: str
) -> None:
    async with running_story(tmp_path, chosen_database_url) as story:
        await fill(story, 6)
        slow = story.telegram.faults.slow("sendMessage", 0.5)
        await story.starts()
        await story.telegram.wait_for(lambda: story.telegram.in_hand >= 3, 20)
        async with standing_by(story, "second") as (second, http):
            # One that waits ends at once when it is told to.
            async with standing_by(story, "third") as (third, _):
                assert await third.stops() == 0
            async with asyncio.timeout(60):
                while story.unfinished():  # noqa: ASYNC110 - another process has no bell of ours
                    await asyncio.sleep(0.04)
            story.telegram.faults.take_off(slow)
            queued = story.ask("SELECT chat_id, template FROM message")
            assert arrived(story) == Counter(
                (chat, template) for chat, template in queued if template in WORDS.values()
            )
            assert story.ask("SELECT sum(maybe_copies) FROM message") == [(0,)]
            said = (tmp_path / "second").read_text()
            assert said.count("another process has this database") == 1
            assert (await readyz(http, 503))["trouble"] == "standing_by"

            await story.dies()
            await story.patients[0].says("Is anybody there?")
            await story.patients[0].hears("I passed your message", within=30)
            assert (await readyz(http, 200))["trouble"] is None
            assert await passed_on(story) == Counter(["Is anybody there?"])
            assert set(arrived(story).values()) == {1}
            assert await second.stops() == 0
        assert "Traceback" not in (tmp_path / "second").read_text()
        assert (tmp_path / "third").read_text().count("\n") == 1


@dataclass(slots=True)
class Instance:
    """One of two bots, with its health pages."""

    story: Story
    at: str
    log_file: str

    async def starts(self, *, listens: bool = False, **settings: str) -> None:
        log_file, settings = self.log_file, {"HTTP_BIND": self.at, "LOG_LEVEL": "INFO", **settings}
        await self.story.starts(log_file, quickly=False, listens=listens, **settings)

    async def says(self, wanted: set[str | None], within_s: float = 30) -> float:
        """Wait until its page names one of these troubles (none: all is well); how long it took."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with (
            asyncio.timeout(within_s),
            httpx.AsyncClient(base_url=f"http://{self.at}", trust_env=False) as http,
        ):
            while True:
                try:
                    body = (await http.get("/readyz")).json()
                except httpx.TransportError:
                    body = {"trouble": "no answer"}
                if body["trouble"] in wanted and (None not in wanted or body["ready"]):
                    return loop.time() - began
                await asyncio.sleep(0.04)


def instance(story: Story, name: str) -> Instance:
    return Instance(replace(story, process=None), f"127.0.0.1:{free_port()}", name)


@pytest.mark.timeout(240 + 120 * MINUTES)
async def test_two_bots_are_killed_in_turn_and_nothing_comes_twice_unforeseen(
    tmp_path: Path, chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice = random.Random(SEED)  # noqa: S311 - dice
    loop = asyncio.get_running_loop()
    async with running_story(tmp_path, chosen_database_url) as story:
        await fill(story, JOINING)
        (total,) = story.ask("SELECT count(*) FROM message")[0]
        # So slow that the last one leaves near the end.
        (expected,) = story.ask("SELECT count(*) FROM patient")[0]
        rate = str(max(0.5, (total + 2 * expected) / (60 * MINUTES)))
        witness = Witness(story)
        watching = asyncio.ensure_future(witness.watch())
        owner, other = instance(story, "one"), instance(story, "two")
        in_the_air: set[tuple[int, int]] = set()
        takeovers: list[float] = []
        said: list[str] = []
        ends = loop.time() + 60 * MINUTES
        try:
            await owner.starts(SEND_RATE=rate)
            await owner.says({None})
            while True:
                await other.starts(SEND_RATE=rate)
                await other.says({"standing_by"})
                if (left_s := ends - loop.time()) <= 0:
                    break
                await asyncio.sleep(min(left_s, dice.uniform(3, 30)))
                said.append(f"My note number {len(said)}.")
                await dice.choice(story.patients).says(said[-1])
                await asyncio.sleep(dice.uniform(0, 0.3))
                await owner.story.dies()
                in_the_air |= set(
                    story.ask("SELECT id, attempts FROM message WHERE state = 'sending'")
                )
                takeovers.append(await other.says({None}, TAKES_OVER_WITHIN_S))
                story.a_minute_goes_by()
                owner, other = other, owner
            async with asyncio.timeout(60 + 30 * MINUTES):
                while story.unfinished():  # noqa: ASYNC110 - another process has no bell of ours
                    await asyncio.sleep(0.04)
            assert await other.story.stops() == 0
            assert await owner.story.stops() == 0
        finally:
            await owner.story.dies()
            await other.story.dies()
            watching.cancel()
        witness.look()
        assert await passed_on(story) == Counter(said)
        assert witness.unforeseen == []
        twice = sum(copies - 1 for copies in witness.copies.values())
        assert twice <= len(in_the_air)
        (maybe,) = story.ask("SELECT sum(maybe_copies) FROM message")[0]
        assert maybe == len(in_the_air)
        waited = sum(
            (tmp_path / each).read_text().count("another process has this database")
            for each in ("one", "two")
        )
        assert waited == len(takeovers) + 1
        figures = {
            "minutes": MINUTES,
            "deliveries": sum(witness.copies.values()),
            "kills": len(takeovers),
            "in the air at a kill": len(in_the_air),
            "came twice": twice,
            "longest takeover in seconds": round(max(takeovers), 1),
        }
        log.warning("two instances: %s", figures)
        proved("instances", figures | {"seed": SEED}, chosen_database_url)


@pytest.mark.sqlite
@pytest.mark.timeout(180)
async def test_a_copy_of_the_data_with_the_same_token_stands_by_and_takes_over(
    tmp_path: Path,
) -> None:
    async with running_story(tmp_path / "first", "") as story:
        await fill(story, 4)
        first = instance(story, "log")
        await first.starts()
        await first.says({None})
        async with asyncio.timeout(60):
            while story.unfinished():  # noqa: ASYNC110 - another process has no bell of ours
                await asyncio.sleep(0.04)
        assert await first.story.stops() == 0
        # Not by this process: closing the file would give up the locks of its own connections.
        copying = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "import shutil, sys; shutil.copytree(*sys.argv[1:])"),
            *(story.folder, tmp_path / "second"),
        )
        assert await copying.wait() == 0
        before = arrived(story)

        # The one that listens hears nobody, though Telegram may still hold an old poll of ours.
        await first.starts(listens=True)
        await first.says({None})
        copied = tmp_path / "second" / "aftercare.db"
        second = instance(replace(story, folder=tmp_path / "second"), "log")
        await second.starts(listens=True, DATABASE_URL=f"sqlite:///{copied}")
        try:
            await second.says({"conflict"})
            # The one that was there first goes on, and answers.
            await first.says({None})
            await story.patients[0].says("Who of you is it?")
            await story.patients[0].hears("I passed your message", within=30)
            assert await passed_on(story) == Counter(["Who of you is it?"])

            await first.story.dies()
            await second.says({None}, TAKES_OVER_WITHIN_S)
            await story.patients[1].says("And now?")
            await story.patients[1].hears("I passed your message", within=30)
            assert await second.story.stops() == 0
        finally:
            await first.story.dies()
            await second.story.dies()
        assert arrived(story) == before
        told = (tmp_path / "second" / "log").read_text()
        assert told.count("another bot polls with this token") == 1
        assert "Traceback" not in told
