"""A script of faults over a running bot: whatever comes, everything ends in one state.

CI plays a few scenes; the full form is ``make prove-script``.
"""

import asyncio
import logging
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.demo.refusals import Json
from bot.storage.queries import vitals
from tests.faults.process import Story, fill, finish, passed_on, running_story
from tests.faults.record import proved
from tests.faults.test_kills import Witness
from tests.faults.zygote import zygote
from tests.postgres import PostgresServer

log = logging.getLogger(__name__)

SCENES = int(os.environ.get("AFTERCARE_SCRIPT", "24"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PATIENTS = 12 + SCENES // 6
FULL = SCENES > 100
LOCKED_S = 30.0 if FULL else 3.0
# What Telegram would never give, and what must not stop anybody else.
MALFORMED: tuple[Json, ...] = (
    {"message": {"chat": 5, "from": "nobody"}},
    {"callback_query": {"id": 1, "from": {"id": "x"}, "data": ["y"]}},
    {"message": None, "edited_message": {"date": "yesterday"}},
)


class Script:
    """The scenes: a fault is switched on, people go on, the fault is switched off."""

    def __init__(self, story: Story, dice: random.Random) -> None:
        self.story = story
        self.dice = dice
        self.faults = story.telegram.faults
        self.said: list[str] = []
        self.malformed = 0
        self.played: Counter[str] = Counter()
        self.scenes: dict[str, Callable[[], Awaitable[None]]] = {
            "refuse": self._refuses,
            "reset": self._resets,
            "drop": lambda: self._hit(self.faults.drop, delivered=self._after),
            "hang": lambda: self._hit(self.faults.hang, delivered=self._after),
            "half an answer": lambda: self._hit(self.faults.half_answer),
            "HTML 502": lambda: self._hit(self.faults.bad_gateway, delivered=self._after),
            "500": lambda: self._hit(self.faults.restart, delivered=self._after),
            "504": lambda: self._code(504, "timed out", delivered=self._after),
            "429": lambda: self._flood(),
            "401": lambda: self._refused(401),
            "400": lambda: self._code(400, "BUTTON_DATA_INVALID", chat=self._somebody),
            "403": lambda: self._code(403, "bot was blocked by the user", chat=self._somebody),
            "slow": self._slow,
            "twice": lambda: self._polled(self.faults.updates_twice),
            "backwards": lambda: self._polled(self.faults.updates_backwards),
            "malformed": self._malformed,
            "killed": self._killed,
            "database locked": self._locked,
        }

    @property
    def _after(self) -> bool:
        return self.dice.random() < 0.5

    @property
    def _somebody(self) -> int:
        return self.dice.choice(self.story.patients).id

    async def play(self, name: str) -> None:
        """One scene: the fault, people in the middle of it, and a moment of peace."""
        self.played[name] += 1
        await self.scenes[name]()
        self.faults.clear()
        self.story.a_minute_goes_by()

    async def people(self) -> None:
        """Some write, and the fault has a moment to hit."""
        for person in self.dice.sample(self.story.patients, 3):
            self.said.append(f"Line {len(self.said)}.")
            await person.says(self.said[-1])
        await asyncio.sleep(self.dice.uniform(0.1, 0.5))

    async def _hit(self, switch: Callable[..., object], **how: bool) -> None:
        switch(self.dice.choice((None, "sendMessage")), times=self.dice.randint(1, 4), **how)
        await self.people()

    async def _code(
        self, code: int, words: str, *, chat: int | None = None, delivered: bool = False
    ) -> None:
        self.faults.error("sendMessage", code, words, chat=chat, delivered=delivered)
        await self.people()

    async def _flood(self) -> None:
        self.faults.flood("sendMessage", 1, times=self.dice.randint(1, 4))
        await self.people()

    async def _refused(self, code: int) -> None:
        self.faults.error(None, code, "", times=None)
        await self.people()

    async def _refuses(self) -> None:
        await self.story.server.goes_away()
        await self.people()
        await self.story.server.listens()

    async def _resets(self) -> None:
        self.faults.down = True
        await self.people()

    async def _slow(self) -> None:
        self.faults.slow(None, 0.2)
        await self.people()

    async def _polled(self, switch: Callable[[int | None], object]) -> None:
        switch(None)
        await self.people()

    async def _malformed(self) -> None:
        self.story.telegram.updates.inject(self.dice.choice(MALFORMED))
        self.malformed += 1
        await self.people()

    async def _killed(self) -> None:
        await self.people()
        await self.story.dies()
        polls = self.story.telegram.updates.polls
        await self.story.starts(quickly=True)
        # A start whose token is refused ends, as it should: the next scene is for one that runs.
        await self.story.telegram.wait_for(
            lambda: self.story.telegram.updates.polls > polls, 60, "the bot asks for updates"
        )

    async def _locked(self) -> None:
        with self.story.locked():
            await self.people()
            await asyncio.sleep(LOCKED_S)


@asynccontextmanager
async def played(folder: Path, database_url: str) -> AsyncIterator[Script]:
    """A running bot with patients, and what must hold once all faults are over."""
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice = random.Random(SEED)  # noqa: S311 - dice
    async with zygote() as quick, running_story(folder, database_url) as story:
        story.zygote = quick
        await fill(story, PATIENTS)
        witness = Witness(story)
        script = Script(story, dice)
        await story.starts(quickly=True)
        await story.telegram.wait_for(lambda: story.telegram.calls_of("sendMessage"), 30)
        yield script
        await story.dies()
        assert story.process is not None
        ended = (folder / "log").read_text()[-1000:]
        assert story.process.returncode == -signal.SIGKILL, f"it ended by itself: {ended}"
        story.a_minute_goes_by()
        await finish(story)
        witness.look()
        await check(script, witness)


async def check(script: Script, witness: Witness) -> None:
    """Everything is in one final state, nothing is lost, and nothing came twice unforeseen."""
    story = script.story
    messages = story.ask("SELECT chat_id, template, state, maybe_copies FROM message")
    assert {state for _, _, state, _ in messages} <= {"sent", "unconfirmed", "failed", "dropped"}
    stored = Counter(state for (state,) in story.ask("SELECT state FROM inbox"))
    assert stored == Counter(
        {"handled": len(script.said)}
        | ({"quarantined": script.malformed} if script.malformed else {})
    )
    assert await passed_on(story) == Counter(script.said)
    assert story.ask("SELECT ref FROM message WHERE sent_at >= expires_at AND state = 'sent'") == []
    async with story.deps.database.read() as session:
        assert await vitals.unbalanced(session) == []
    copies: Counter[tuple[int, str]] = Counter()
    maybe: Counter[tuple[int, str]] = Counter()
    for chat, template, _, foreseen in messages:
        copies[chat, template] += 1
        maybe[chat, template] += foreseen
    unforeseen = {
        each: count for each, count in witness.copies.items() if count > copies[each] + maybe[each]
    }
    assert unforeseen == {}


@pytest.mark.timeout(300 + 4 * SCENES + 30 * SCENES * FULL)
async def test_whatever_fails_each_message_and_each_update_ends_in_one_state(
    tmp_path: Path, chosen_database_url: str
) -> None:
    began_s = SystemClock().monotonic()
    async with played(tmp_path, chosen_database_url) as script:
        names = sorted(script.scenes)
        deck: list[str] = []
        while len(deck) < SCENES:
            script.dice.shuffle(names)
            deck += names
        for name in deck[:SCENES]:
            await script.play(name)
    figures = {
        "seed": SEED,
        "faults": SCENES,
        **{f"faults: {name}": count for name, count in sorted(script.played.items())},
        "updates": len(script.said) + script.malformed,
        "set aside (malformed)": script.malformed,
        "seconds": round(SystemClock().monotonic() - began_s),
    }
    log.warning("%s", figures)
    proved("script", figures, chosen_database_url)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of its own, with little room."""
    mounted = folder / "small"
    mounted.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,mode=0700", "none", str(mounted)],
        check=False,
        capture_output=True,
    )
    if made.returncode:
        pytest.skip("only root may mount a small file system here")
    try:
        yield mounted
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=True)


@pytest.mark.sqlite
@pytest.mark.timeout(300)
async def test_a_full_disk_loses_nothing(tmp_path: Path, chosen_database_url: str) -> None:
    with small_disk(tmp_path) as folder:
        async with played(folder, chosen_database_url) as script:
            await script.people()
            ballast = folder / "ballast"
            for _ in range(3):
                with ballast.open("wb", buffering=0) as filling:
                    try:
                        while filling.write(bytes(4096)):
                            continue
                    except OSError:
                        log.warning("the disk is full")
                await script.people()
                await asyncio.sleep(2)
                ballast.unlink()
                await script.people()


@pytest.mark.postgres
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
@pytest.mark.timeout(300)
async def test_a_server_that_restarts_again_and_again_loses_nothing(
    tmp_path: Path, database_url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.keep_commits(database_url)
    async with played(tmp_path, database_url) as script:
        for _ in range(20 if FULL else 3):
            await script.people()
            await asyncio.to_thread(postgres_server.restart)
            await script.people()
            await asyncio.sleep(script.dice.uniform(1, 5))
