"""From a finger to what it brings: with nothing else to do, and while very many reminders leave."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from benchmarks import clinics, patients
from bot import rehearsal
from bot.clock import SystemClock
from bot.demo.people import Person
from bot.rehearsal import Rehearsal
from bot.services import reports

# Fewer than the fuse lets a patient have in an hour, both halves and the joining together.
_TIMES = 10
_UNDER_WAY = 30
_PATIENCE_S = 120.0
# A report that comes again at once is the same report.
_LATER = reports.SAME_TAP + timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Answered:
    """Seconds from a patient's finger: to a menu's answer, to the numbers, to the alert."""

    answer: list[float]
    numbers: list[float]
    alert: list[float]


async def while_it_leaves(folder: Path, crowd: int) -> tuple[Answered, Answered]:
    """Return what a patient waits for alone, and while so many others' reminders leave.

    At Telegram's pace, in one process with the local Telegram.
    """
    now = SystemClock().now()
    zone = clinics.midday_zone(now)
    async with rehearsal.rehearsal(folder, clinic=rehearsal.demo_clinic(timezone=zone)) as (
        whole,
        _,
    ):
        nour, ana = await patients.joined(whole)
        idle = await _ask(whole, nour, ana)
        first = whole.telegram.person("Crowd")
        for person in (first, *(whole.telegram.person("Crowd") for _ in range(crowd - 1))):
            person.started = person.chat_opened = True
        # Due since this moment, all of them.
        await clinics.fill(folder, crowd, clinics.yesterday(now), first.id, on_time=True)
        sent = len(whole.telegram.calls_of("sendMessage"))
        whole.app.deps.bells.ring()
        async with asyncio.timeout(_PATIENCE_S):
            while len(whole.telegram.calls_of("sendMessage")) < sent + min(_UNDER_WAY, crowd):  # noqa: ASYNC110 - the bot is not told that anybody waits
                await asyncio.sleep(0.05)
        busy = await _ask(whole, nour, ana)
    return idle, busy


async def _ask(whole: Rehearsal, nour: Person, ana: Person) -> Answered:
    found = Answered([], [], [])
    menu = whole.app.deps.catalogue.label("en", "buttons", "limits_still_on")
    for _ in range(_TIMES):
        seen = ana.last_message
        began = time.perf_counter()
        await ana.presses(menu)
        await ana.hears(lambda _: True, after=seen, within=_PATIENCE_S)
        found.answer.append(time.perf_counter() - began)

        seen, alerted = ana.last_message, nour.last_message
        began = time.perf_counter()
        await ana.says("/wrong")
        await ana.hears(lambda _: True, after=seen, within=_PATIENCE_S)
        found.numbers.append(time.perf_counter() - began)
        await nour.hears(lambda _: True, after=alerted, within=_PATIENCE_S)
        found.alert.append(time.perf_counter() - began)
        whole.clock.push(_LATER)
    return found
