"""Two bots on one database: one works, the other stands by and takes over."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from tests.faults.test_kills import WORDS, Story, fill, passed_on, running_story, template_of
from tests.web.test_webhook import free_port


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
