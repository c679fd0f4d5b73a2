"""``aftercare run`` on a machine whose clock is set: nothing twice, nothing stale, soon noticed.

CI sets it a few times; the full form is ``make prove-clock``, and a failure once more
``AFTERCARE_SEED=12345`` in front of either.
"""

import asyncio
import json
import logging
import os
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from bot.clock import FARTHEST
from bot.demo.people import Person
from bot.services import holding
from bot.storage.queries import people
from tests.faults.process import Story, running_story
from tests.faults.record import proved
from tests.faults.world import add_patient, add_practitioner

log = logging.getLogger(__name__)

JUMPS = int(os.environ.get("AFTERCARE_JUMPS", "3"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
NOTICED_WITHIN_S = 60
_LOOK_S = 0.05
_EXPIRED = "SELECT id, expires_at FROM reminder WHERE state = 'expired'"
# From the claim until the result is on record.
_LONGEST_SEND = timedelta(seconds=15)


@dataclass(slots=True)
class Machine:
    """The machine that the bot runs on: its clock alone is set, the seconds gone by are real."""

    story: Story
    ahead: timedelta = timedelta()
    longest_s: float = 0.0
    held: int = 0
    # By the real time: how far ahead the clock was before and after.
    sets: list[tuple[datetime, timedelta, timedelta]] = field(default_factory=list)
    patients: list[Person] = field(default_factory=list)

    @property
    def file(self) -> Path:
        return self.story.folder / "clock"

    def is_set(self, delta: timedelta) -> None:
        before = self.ahead
        self.ahead += delta
        # In one step: a file that is empty for a moment would be one more clock.
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.ahead.total_seconds():+.0f}\n")
        fresh.replace(self.file)
        self.sets.append((self.story.deps.clock.now(), before, self.ahead))

    def in_the_air(self, sent_at: datetime, expires_at: datetime) -> bool:
        """Whether a message left by the time before, in time, and was recorded by that after."""
        return any(
            timedelta() <= sent_at - ahead - real < _LONGEST_SEND and real + before < expires_at
            for real, before, ahead in self.sets
        )

    def noticed(self) -> Counter[str]:
        """How often the log says that the clock was set, or is held."""
        text = (self.story.folder / "log").read_text()
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return Counter(line.get("action", "") for line in lines)

    async def wait_for(self, action: str, before: int) -> None:
        """The bot has noticed within the promised time."""
        began = time.monotonic()
        async with asyncio.timeout(NOTICED_WITHIN_S):
            while self.noticed()[action] <= before:  # noqa: ASYNC110 - another process has no bell of ours
                await asyncio.sleep(_LOOK_S)
        self.longest_s = max(self.longest_s, time.monotonic() - began)

    async def joins(self) -> None:
        """One more patient, by the time that the bot has: the card is due now."""
        deps = self.story.deps
        now = deps.clock.now() + self.ahead
        person = self.story.telegram.person(f"Patient {len(self.patients)}")
        self.patients.append(person)
        while True:
            # Two processes write to one file here: on a busy machine one may wait in vain.
            with suppress(OperationalError):
                async with deps.database.write() as session:
                    clinic = await people.the_clinic(session)
                    assert clinic is not None
                    (doctor,) = await people.practitioners(session, clinic.id or 0)
                    await add_patient(session, deps, person, doctor, now)
                # Nobody rings a bell for another process: it looks itself when something is due.
                return

    async def release(self) -> None:
        """The operator says that the time is right."""
        while True:
            with suppress(OperationalError):
                async with self.story.deps.database.write() as session:
                    await holding.end(session)
                return

    async def settles(self) -> None:
        """Nothing is due any more, or all that is due is held."""
        async with asyncio.timeout(120):
            while self.story.unfinished():  # noqa: ASYNC110 - as above
                await asyncio.sleep(_LOOK_S)


def _instant(stored: str | datetime) -> datetime:
    found = datetime.fromisoformat(stored) if isinstance(stored, str) else stored
    return found if found.tzinfo else found.replace(tzinfo=UTC)


@pytest.mark.skipif(FAKETIME is None, reason="no libfaketime here; install Debian's faketime")
@pytest.mark.timeout(180 + 30 * JUMPS)
async def test_a_clock_that_is_set_repeats_nothing_and_sends_nothing_stale(
    tmp_path: Path, chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice = random.Random(SEED)  # noqa: S311 - dice
    async with running_story(tmp_path, chosen_database_url) as story:
        machine = Machine(story)
        machine.is_set(timedelta())
        async with story.deps.database.write() as session:
            nour = story.telegram.person("Nour")
            await add_practitioner(session, nour, story.deps.clock.now())
        await machine.joins()
        await story.starts(
            LD_PRELOAD=str(FAKETIME),
            FAKETIME_TIMESTAMP_FILE=str(machine.file),
            FAKETIME_NO_CACHE="1",
            FAKETIME_DONT_FAKE_MONOTONIC="1",
            LOG_LEVEL="WARNING",
            LOG_FORMAT="json",
        )
        await machine.patients[0].hears("your care card", within=60)
        for _ in range(JUMPS):
            delta = timedelta(hours=dice.choice((dice.uniform(-48, 24), dice.uniform(24, 720))))
            if abs(delta) < timedelta(minutes=2):
                continue
            before = machine.noticed()
            ahead, expired = machine.ahead, set(story.ask(_EXPIRED))
            machine.is_set(delta)
            if delta > FARTHEST:
                await machine.wait_for("clock_held", before["clock_held"])
                machine.held += 1
                while story.ask("SELECT 1 FROM message WHERE state = 'sending'"):  # noqa: ASYNC110 - as above
                    await asyncio.sleep(_LOOK_S)
                to_patients = (
                    "SELECT count(*) FROM message WHERE state = 'sent' AND practitioner_id IS NULL"
                )
                sent = story.ask(to_patients)
                # Nothing expires, and nobody hears a word, until somebody says that it is right.
                await asyncio.sleep(1)
                by_now = story.deps.clock.now() + ahead
                over = [_instant(at) for _, at in set(story.ask(_EXPIRED)) - expired]
                assert [at for at in over if at > by_now] == []
                assert story.ask(to_patients) == sent
                await machine.release()
            await machine.wait_for("clock_set", before["clock_set"])
            await machine.joins()
            await machine.settles()
        assert await story.stops() == 0

        # At most one message for each step of each round, and each on a phone once.
        assert story.ask("SELECT sum(maybe_copies) FROM message") == [(0,)]
        sent_rows = story.ask("SELECT count(*) FROM message WHERE state = 'sent'")
        phones = sum(len(person.received) for person in (*machine.patients, nour))
        assert sent_rows == [(phones,)]
        doubles = story.ask(
            "SELECT visit_id, step, round FROM reminder WHERE state = 'sent'"
            " GROUP BY visit_id, step, round HAVING count(*) > 1"
        )
        assert doubles == []
        late = (
            "SELECT sent_at, expires_at FROM message WHERE state = 'sent' AND sent_at >= expires_at"
        )
        stale = [tuple(map(_instant, row)) for row in story.ask(late)]
        assert [row for row in stale if not machine.in_the_air(*row)] == []
        odd = story.ask(
            "SELECT count(*) FROM reminder WHERE (state = 'planned') = (final_at IS NOT NULL)"
        )
        assert odd == [(0,)]
        figures = {
            "jumps": JUMPS,
            "held until released": machine.held,
            "messages": phones,
            "came twice": 0,
            "came too late": 0,
            "longest until noticed in seconds": round(machine.longest_s, 1),
        }
        log.warning("clock: %s", figures)
        proved("clock", figures | {"seed": SEED}, chosen_database_url)
