"""What was confirmed or sent is on disk before: the system calls of a running bot.

CI looks at a few updates; the full form is ``make prove-disk``.
"""

import asyncio
import logging
import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bot.clock import SystemClock
from bot.demo.telegram import Call
from tests.faults.process import Story, fill, finish, running_story
from tests.faults.record import proved

log = logging.getLogger(__name__)

UPDATES = int(os.environ.get("AFTERCARE_UPDATES", "20"))
CALLS = "fdatasync,fsync,sendto,sendmsg,recvfrom,recvmsg"
_SYNC = re.compile(r"f(?:data)?sync\(\d+<[^>]*-wal>")
_OFFSET = re.compile(r"getUpdates\?\S*offset=(\d+)")
# Before an answer leaves its update was stored, its effect committed, and the row that says
# "sending": each is a commit of its own, and each is on disk.
BEFORE_A_SEND = 3


@dataclass
class Seen:
    """What a trace shows."""

    offsets: int = 0
    sends: int = 0
    syncs: int = 0
    exceptions: list[str] = field(default_factory=list)


def read(trace: Path) -> Seen:
    """Go through the calls in their order; a sync counts once it has come back."""
    seen, since, offset = Seen(), 0, 0
    syncing: set[str] = set()
    for line in trace.read_text(errors="replace").splitlines():
        thread = line.split(maxsplit=1)[0]
        if _SYNC.search(line) or ("sync resumed" in line and thread in syncing):
            syncing.discard(thread)
            if line.endswith("<unfinished ...>"):
                syncing.add(thread)
            elif line.endswith("= 0"):
                since += 1
                seen.syncs += 1
        elif "recv" in line and "update_id" in line:
            since = 0
        elif "send" in line and (asked := _OFFSET.search(line)):
            if int(asked[1]) > offset:
                seen.offsets += 1
                offset = int(asked[1])
                if since < 1:
                    seen.exceptions.append(line)
        elif "send" in line and "/sendMessage HTTP" in line:
            seen.sends += 1
            if since < BEFORE_A_SEND:
                seen.exceptions.append(line)
    return seen


async def one_by_one(story: Story, updates: int) -> None:
    """One text after the other, each only when all that follows from the last one is done."""
    telegram = story.telegram
    for number in range(updates):
        person = story.patients[number % len(story.patients)]
        known = len(sends(story))
        await person.says(f"Line {number}.")
        async with asyncio.timeout(30):
            while len(sends(story)) < known + 2 or telegram.in_hand or story.unfinished():  # noqa: ASYNC110 - another process has no bell of ours
                await asyncio.sleep(0.01)


def sends(story: Story) -> list[Call]:
    return story.telegram.calls_of("sendMessage")


@pytest.mark.sqlite
@pytest.mark.timeout(180 + UPDATES)
async def test_a_sync_goes_before_whatever_depends_on_it(
    tmp_path: Path, chosen_database_url: str
) -> None:
    tracer = shutil.which("strace")
    if tracer is None:
        pytest.skip("strace is not installed here")
    began_s = SystemClock().monotonic()
    trace = tmp_path / "trace"
    async with running_story(tmp_path / "data", chosen_database_url) as story:
        # Enough patients that no chat has to wait for the pace.
        await fill(story, max(20, UPDATES // 10))
        await finish(story)
        # Detached, so that the process that is stopped is the bot's.
        story.under = (
            tracer,
            "-D",
            "-f",
            "-y",
            "-s",
            "400",
            "-e",
            f"trace={CALLS}",
            "-o",
            str(trace),
        )
        await story.starts()
        await one_by_one(story, UPDATES)
        assert story.process is not None
        assert await story.stops() == 0
        # Short numbers are padded.
        ended = re.compile(rf"^{story.process.pid} +\+\+\+ exited", re.MULTILINE)
        async with asyncio.timeout(60):
            while not ended.search(trace.read_text(errors="replace")):  # noqa: ASYNC110 - nor has this
                await asyncio.sleep(0.04)
    seen = read(trace)
    assert seen.offsets >= UPDATES
    assert seen.sends >= 2 * UPDATES
    assert seen.exceptions == []
    figures = {
        "updates": UPDATES,
        "offsets advanced": seen.offsets,
        "messages sent": seen.sends,
        "syncs": seen.syncs,
        "exceptions": len(seen.exceptions),
        "seconds": round(SystemClock().monotonic() - began_s),
    }
    log.warning("%s", figures)
    proved("disk", figures, chosen_database_url)
