"""``aftercare run`` killed while messages come in: each update is kept, and has its effect once.

CI kills a few times; the full form is ``make prove-updates``.
"""

import asyncio
import logging
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.demo.people import Person
from tests.faults import instants
from tests.faults.process import Story, fill, finish, passed_on, running_story
from tests.faults.record import proved
from tests.faults.zygote import zygote

log = logging.getLogger(__name__)

KILLS = int(os.environ.get("AFTERCARE_KILLS", "6"))
UPDATES = int(os.environ.get("AFTERCARE_UPDATES", "80"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# What each patient does: a tap under the card, and texts.
ACTS = 4
TAP = "Got it"
KINDS = [*instants.HANDLING, *instants.HANDLING, "while they come in", "by chance"]


class Fingers:
    """What the patients do, in an order that the dice give, and what each update should lead to."""

    def __init__(self, story: Story, dice: random.Random) -> None:
        self._acts = [(person, act) for person in story.patients for act in range(ACTS)]
        dice.shuffle(self._acts)
        self.said: list[str] = []
        self.taps = 0

    async def act(self, number: int) -> None:
        """So many of the acts that are left are done."""
        for _ in range(min(number, len(self._acts))):
            await self._do(*self._acts.pop())

    async def _do(self, person: Person, act: int) -> None:
        if act == 0:
            self.taps += 1
            await person.taps(TAP)
        else:
            self.said.append(f"Note {len(self.said)} of {person.id}.")
            await person.says(self.said[-1])


def said(story: Story) -> Counter[str]:
    """How often the bot said what, but for what it tells the lead about being killed."""
    rows = story.ask("SELECT template FROM message WHERE template NOT LIKE 'practitioner/trouble%'")
    return Counter(template for (template,) in rows)


def has_card(person: Person) -> bool:
    """Whether there is something to tap."""
    return any(TAP in message.labels for message in person.received)


@pytest.mark.timeout(180 + 5 * KILLS + UPDATES)
async def test_killed_while_updates_come_in_each_is_kept_and_works_once(
    tmp_path: Path, chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    began_s = SystemClock().monotonic()
    dice = random.Random(SEED)  # noqa: S311 - dice
    async with zygote() as quick, running_story(tmp_path, chosen_database_url) as story:
        story.zygote = quick
        await fill(story, UPDATES // ACTS)
        # Their cards first: there is nothing to tap before.
        while not all(has_card(person) for person in story.patients):
            # A slow start may not have come to the plans when nothing waits any more.
            await finish(story)
        before = said(story)
        fingers = Fingers(story, dice)
        batch = -(-UPDATES // KILLS)
        reached: Counter[str] = Counter()
        for kill in range(KILLS):
            name = KINDS[kill % len(KINDS)]
            # Some wait when it starts, the others come while it works.
            early = batch - dice.randint(0, batch // 2)
            await fingers.act(early)
            instant = instants.HANDLING.get(name, instants.by_chance)
            if name == "while they come in":
                await story.starts(quickly=True)
                await fingers.act(batch - early)
                await asyncio.sleep(dice.uniform(0.2, 0.8))
                await story.dies()
                reached[name] += 1
            else:
                async with instant(story, dice) as hit:
                    await fingers.act(batch - early)
                    await asyncio.sleep(0)
                    await story.dies()
                reached[name] += hit
            story.telegram.faults.clear()
            story.a_minute_goes_by()
        await fingers.act(UPDATES)
        await finish(story)

        numbers = {int(update["update_id"]) for update in story.telegram.updates.history}
        stored = story.ask("SELECT update_id, state FROM inbox")
        assert len(stored) == len(numbers) == len(fingers.said) + fingers.taps
        assert {number for number, _ in stored} == numbers
        assert {state for _, state in stored} == {"handled"}
        # Each text was passed on once and answered once; each tap was counted once and answered.
        assert await passed_on(story) == Counter(fingers.said)
        answers = story.ask("SELECT update_id FROM answer")
        assert len(answers) == len(set(answers)) == fingers.taps
        after = said(story)
        assert after - before == Counter(
            {
                "alerts/passed_on": len(fingers.said),
                "patient/text_passed": len(fingers.said),
                "patient/got_it": fingers.taps,
            }
        )
        figures = {
            "seed": SEED,
            "kills": KILLS,
            **{f"kills: {name}": count for name, count in sorted(reached.items())},
            "updates": len(numbers),
            "texts": len(fingers.said),
            "taps": fingers.taps,
            "lost": len(numbers) - len(stored),
            "with an effect twice": len(answers) - len(set(answers)),
            "seconds": round(SystemClock().monotonic() - began_s),
        }
        log.warning("%s", figures)
        proved("updates", figures, chosen_database_url)
