"""``aftercare run`` killed at random and at named instants while messages go out.

Nothing is lost, and what came twice was foreseen. CI kills a few times; the full form is
``make prove-kills``, and a failure once more ``AFTERCARE_SEED=12345`` in front of either.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from itertools import takewhile
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.demo.chats import Message as Shown
from bot.demo.people import Person
from bot.demo.telegram import Call
from tests.faults import instants
from tests.faults.process import (
    ALSO,
    SOME_DAY,
    WORDS,
    Story,
    fill,
    finish,
    passed_on,
    running_story,
    template_of,
)
from tests.faults.record import proved
from tests.faults.zygote import zygote

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("AFTERCARE_KILLS", "12"))
PATIENTS = int(os.environ.get("AFTERCARE_PATIENTS", "48"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# To make a patient takes longer than to send a message: a large clinic says more to each.
LARGE = 1000
TWICE = "this message may reach you twice"


class Witness:
    """Looks at each copy when it arrives: was it on disk before that it may be a second one?"""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._patients = {person.id: person for person in story.patients}
        self.copies: Counter[tuple[int, str]] = Counter()
        self.unforeseen: list[str] = []
        self._seen: Counter[int] = Counter()
        self._last: Call | None = None

    async def watch(self) -> None:
        while True:
            self.look()
            await self._story.telegram.bell.wait()

    def look(self) -> None:
        # The log keeps the last calls only: how many there were says nothing.
        calls = self._story.telegram.calls
        unseen = takewhile(lambda call: call is not self._last, reversed(calls))
        new = {call.chat or 0 for call in unseen}
        self._last = calls[-1] if calls else None
        for number in new & self._patients.keys():
            person = self._patients[number]
            received = person.received
            for message in received[self._seen[number] :]:
                template = template_of(message)
                if template is not None:
                    self._arrived(person, template, message)
            self._seen[number] = len(received)

    def _arrived(self, person: Person, template: str, message: Shown) -> None:
        self.copies[person.id, template] += 1
        copies = self.copies[person.id, template]
        if copies == 1:
            return
        (row,) = self._story.ask(
            "SELECT maybe_copies FROM message"
            f" WHERE chat_id = {person.id} AND template = '{template}'"
        )
        marked = TWICE in message.text or not template.startswith("steps/")
        if row[0] < copies - 1 or not marked:
            self.unforeseen.append(f"{template}: copy {copies}, {row[0]} foreseen, {marked=}")


def drawn(dice: random.Random, kills: int, chances: int) -> list[str]:
    """Which instant each kill hits: every named one as often as any other, some by chance."""
    kinds = [*instants.SENDING, *instants.HANDLING, *[""] * chances]
    deck: list[str] = []
    while len(deck) < kills:
        dice.shuffle(kinds)
        deck += kinds
    return deck[:kills]


@pytest.mark.timeout(180 + 5 * KILLS + PATIENTS)
async def test_killed_at_any_instant_nothing_is_lost_and_nothing_comes_twice_unforeseen(
    tmp_path: Path, chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    began_s = SystemClock().monotonic()
    dice = random.Random(SEED)  # noqa: S311 - dice
    also = list(ALSO.values()) if PATIENTS >= LARGE else []
    async with zygote() as quick, running_story(tmp_path, chosen_database_url) as story:
        story.zygote = quick
        await fill(story, PATIENTS, also)
        # Each kill has its share of what is to be sent: all of it would be gone by the first few.
        await story.falls_due(story.patients, SOME_DAY)
        (waiting,) = story.ask("SELECT count(*) FROM message")
        # With a card and its second bubble for everybody; on average half of it is skipped.
        story.share = 2 * (waiting[0] + 2 * PATIENTS) // KILLS
        # Those with no other answer on its way write something, each once.
        writers = [person for number, person in enumerate(story.patients) if number % 3 == 0]
        said: list[str] = []
        witness = Witness(story)
        watching = asyncio.ensure_future(witness.watch())
        # A message and its try: what no start has looked at yet is not in the air again.
        in_the_air: set[tuple[int, int]] = set()
        reached: Counter[str] = Counter()
        for kill, name in enumerate(drawn(dice, KILLS, 4)):
            await story.falls_due(story.patients[kill::KILLS], story.deps.clock.now())
            for person in writers[kill::KILLS]:
                said.append(f"My note number {len(said)}.")
                await person.says(said[-1])
            instant = (instants.SENDING | instants.HANDLING).get(name, instants.by_chance)
            if name in instants.HANDLING and not story.telegram.updates.pending():
                instant, name = instants.by_chance, ""
            async with instant(story, dice) as hit:
                await story.dies()
            reached[name or "by chance"] += hit
            story.telegram.faults.clear()
            in_the_air |= set(story.ask("SELECT id, attempts FROM message WHERE state = 'sending'"))
            # First in line it would be hit at every kill, and after six of them be left for good.
            story.a_minute_goes_by(resting_from=4)

        killed_s = SystemClock().monotonic() - began_s
        await finish(story)
        watching.cancel()
        witness.look()

        # Nothing is lost: each message arrived, each reminder says so, each text became one row.
        assert story.ask("SELECT DISTINCT state FROM message") == [("sent",)]
        assert story.ask("SELECT DISTINCT state FROM reminder WHERE message_id IS NOT NULL") == [
            ("sent",)
        ]
        queued = story.ask("SELECT chat_id, template, maybe_copies FROM message")
        arrived = witness.copies
        known = {*WORDS.values(), *ALSO.values()}
        lost = [each for each in queued if each[1] in known and not arrived[each[0], each[1]]]
        assert lost == []
        assert await passed_on(story) == Counter(said)
        assert story.ask("SELECT DISTINCT state FROM inbox") == [("handled",)]

        # What came twice was in the air at a kill, and was on record before it came again.
        assert witness.unforeseen == []
        foreseen = sum(maybe for _, _, maybe in queued)
        twice = sum(copies - 1 for copies in arrived.values())
        assert foreseen == len(in_the_air)
        assert twice <= len(in_the_air)
        for chat, template, maybe in queued:
            assert arrived[chat, template] <= 1 + maybe, (chat, template)
        log.warning("%d in the air at %d kills, %d came twice", len(in_the_air), KILLS, twice)
        figures = {
            "seed": SEED,
            "kills": KILLS,
            **{f"kills: {name}": count for name, count in sorted(reached.items())},
            "messages": len(queued),
            "lost": len(lost),
            "in the air at a kill": len(in_the_air),
            "came twice": twice,
            "most copies of one": max(arrived.values()),
            "copies that were not foreseen": len(witness.unforeseen),
            "seconds of killing": round(killed_s),
            "seconds": round(SystemClock().monotonic() - began_s),
        }
        log.warning("%s", figures)
        proved("kills", figures, chosen_database_url)


async def test_a_stop_lets_land_what_is_in_the_air_and_keeps_what_came_in(
    tmp_path: Path, chosen_database_url: str
) -> None:
    async with running_story(tmp_path, chosen_database_url) as story:
        await fill(story, 6)
        story.telegram.faults.slow("sendMessage", 0.25)
        await story.starts()
        await story.telegram.wait_for(lambda: story.telegram.in_hand >= 3, 20)
        await story.patients[0].says("One more thing.")
        code = await story.stops()
        assert code == 0, (story.folder / "log").read_text()
        states = Counter(state for (state,) in story.ask("SELECT state FROM message"))
        assert states["sending"] == 0
        sent = sum(len(person.received) for person in (*story.patients, *story.practitioners))
        assert states["sent"] == sent >= 3
        assert story.ask("SELECT sum(maybe_copies) FROM message") == [(0,)]

        story.telegram.faults.clear()
        await story.starts()
        await story.patients[0].hears("I passed your message", within=20)
        assert await passed_on(story) == Counter(["One more thing."])
        assert await story.stops() == 0
