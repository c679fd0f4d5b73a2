"""Instants at which a bot is killed: random ones, and named ones that are reached from outside.

Each starts the bot, says whether the instant was reached, and lets go of what it held.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

from tests.faults.process import Story

Instant = Callable[[Story, random.Random], AbstractAsyncContextManager[bool]]


async def _reached(story: Story, done: Callable[[], bool]) -> bool:
    """Whether it came to it, before everything was done or the bot was too slow."""
    for _ in range(12):
        with suppress(TimeoutError):
            return await story.telegram.wait_for(lambda: done() or None, 0.5)
        if not story.unfinished():
            break
    return done()


@asynccontextmanager
async def by_chance(story: Story, dice: random.Random) -> AsyncIterator[bool]:
    """In a call, before or after its effect, or outside of any."""
    kind = dice.choice(("before", "after", "calls", "calls", "time"))
    faults = story.telegram.faults
    if kind == "time":
        await story.starts(quickly=True)
        await asyncio.sleep(dice.uniform(0.1, 1.5))
        yield True
        return
    if kind == "calls":
        fault = faults.slow("sendMessage", 0, times=dice.randint(1, 1 + story.share))
        await story.starts(quickly=True)
        reached = await _reached(story, lambda: fault.times == 0)
    else:
        times = dice.randint(1, 8)
        fault = faults.hang("sendMessage", times=times, delivered=kind == "after")
        fault.skip = dice.randint(0, story.share)
        await story.starts(quickly=True)
        reached = await _reached(story, lambda: fault.hits > 0)
    await asyncio.sleep(dice.uniform(0, 0.01))
    yield reached


@asynccontextmanager
async def committed_as_sending(story: Story, dice: random.Random) -> AsyncIterator[bool]:
    """Committed as being sent, and Telegram has nothing of it."""
    fault = story.telegram.faults.hang("sendMessage", times=None)
    fault.skip = dice.randint(0, story.share)
    await story.starts(quickly=True)
    yield await _reached(story, lambda: fault.hits > 0)


@asynccontextmanager
async def answered_and_not_recorded(story: Story, dice: random.Random) -> AsyncIterator[bool]:
    """Telegram has answered; the commit of the result waits for the database."""
    fault = story.telegram.faults.hang("sendMessage", times=dice.randint(1, 4), delivered=True)
    fault.skip = dice.randint(0, story.share)
    await story.starts(quickly=True)
    reached = await _reached(story, lambda: fault.hits > 0)
    with story.locked():
        story.telegram.faults.clear()
        reached = reached and await _reached(story, lambda: not story.telegram.in_hand)
        # The answer is on its way through a socket of this machine.
        await asyncio.sleep(0.02)
        yield reached


@asynccontextmanager
async def stored_and_not_confirmed(story: Story, dice: random.Random) -> AsyncIterator[bool]:
    """Updates are stored, and Telegram has not been asked for the next ones."""
    fault = story.telegram.faults.hang("getUpdates", times=None)
    # The first gives what waits, without which there is no such instant.
    fault.skip = 1
    await story.starts(quickly=True)
    reached = await _reached(story, lambda: fault.hits > 0)
    await asyncio.sleep(dice.uniform(0, 0.04))
    yield reached


@asynccontextmanager
async def in_a_transaction(story: Story, dice: random.Random) -> AsyncIterator[bool]:
    """Updates are stored and being handled, and a transaction of the bot is open."""
    fault = story.telegram.faults.hang("getUpdates", times=None)
    fault.skip = 1
    await story.starts(quickly=True)
    reached = await _reached(story, lambda: fault.hits > 0)
    await asyncio.sleep(dice.uniform(0, 0.03))
    yield reached and await _frozen_in_one(story)


async def _frozen_in_one(story: Story) -> bool:
    """Stop the process again and again until it stands in a transaction."""
    assert story.process is not None
    for _ in range(40):
        story.process.send_signal(signal.SIGSTOP)
        while _state(story.process.pid) not in "TZ":  # noqa: ASYNC110 - the kernel has no bell
            await asyncio.sleep(0.001)
        if story.writing():
            return True
        story.process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.004)
    return False


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]


# What needs updates that wait is asked only where some do.
SENDING: dict[str, Instant] = {
    "committed as sending": committed_as_sending,
    "answered, not recorded": answered_and_not_recorded,
}
HANDLING: dict[str, Instant] = {
    "stored, not confirmed": stored_and_not_confirmed,
    "in a transaction": in_a_transaction,
}
