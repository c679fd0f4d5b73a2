"""From a finger to what it brings: with nothing else to do, and while very many reminders leave."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

from benchmarks import clinics, patients
from bot import rehearsal
from bot.clock import SystemClock
from bot.demo.chats import Message
from bot.demo.people import Person
from bot.rehearsal import Rehearsal

# So many patients take turns, so that nobody's chat is talked to faster than Telegram lets it be,
# and nobody's second report is taken for the first one pressed twice.
_PATIENTS = 10
# Between two reports, for the one chat of the practitioner who hears of them all.
_PAUSE_S = 2.0
_UNDER_WAY = 30
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Answered:
    """Seconds from a patient's finger.

    To a menu's answer; from "Something is wrong" to the list under the phone numbers; from the tap
    on a sign of danger to what to do now, and to the practitioner's alert.
    """

    answer: list[float]
    numbers: list[float]
    advice: list[float]
    alert: list[float]


async def while_it_leaves(folder: Path, crowd: int, reports: int) -> tuple[Answered, Answered]:
    """Return what patients wait for alone, and while so many others' reminders leave.

    So many reports in each half, at Telegram's pace, in one process with the local Telegram.
    Raises RuntimeError when the reminders had all left before the last report.
    """
    now = SystemClock().now()
    zone = clinics.midday_zone(now)
    async with rehearsal.rehearsal(folder, clinic=rehearsal.demo_clinic(timezone=zone)) as (
        whole,
        _,
    ):
        nour, few = await patients.joined(whole, min(_PATIENTS, reports))
        idle = await _ask(whole, nour, few, reports)
        others = [whole.telegram.person("Crowd") for _ in range(crowd)]
        for person in others:
            person.started = person.chat_opened = True
        # Due since this moment, all of them.
        await clinics.fill(folder, crowd, clinics.yesterday(now), others[0].id, on_time=True)
        sent = len(whole.telegram.calls_of("sendMessage"))
        whole.app.deps.bells.ring()
        async with asyncio.timeout(_PATIENCE_S):
            while len(whole.telegram.calls_of("sendMessage")) < sent + min(_UNDER_WAY, crowd):  # noqa: ASYNC110 - the bot is not told that anybody waits
                await asyncio.sleep(0.05)
        busy = await _ask(whole, nour, few, reports)
        if all(person.received for person in others):
            raise RuntimeError("the reminders were gone before the last report: make them more")
    return idle, busy


async def _ask(whole: Rehearsal, nour: Person, few: Sequence[Person], reports: int) -> Answered:
    found = Answered([], [], [], [])
    english = partial(whole.app.deps.catalogue.label, "en")
    menu, wrong = english("buttons", "limits_still_on"), english("buttons", "something_wrong")
    sign, mine = english("buttons", "group_breathing"), english("buttons", "i_am_on_it")
    called, seen = english("buttons", "i_have_called"), english("buttons", "close_report")
    # Whoever has just joined was talked to a moment ago.
    await asyncio.sleep(_PAUSE_S)
    for ana in few:
        last = ana.last_message
        began = time.perf_counter()
        await ana.presses(menu)
        await ana.hears(lambda _: True, after=last, within=_PATIENCE_S)
        found.answer.append(time.perf_counter() - began)
    for ana in islice(cycle(few), reports):
        await asyncio.sleep(_PAUSE_S)
        last, alerted = ana.last_message, nour.last_message
        began = time.perf_counter()
        await ana.presses(wrong)
        signs = await ana.hears(_with(sign), after=last, within=_PATIENCE_S)
        found.numbers.append(time.perf_counter() - began)
        began = time.perf_counter()
        await ana.taps(sign, signs)
        await ana.hears(_with(called), after=signs, within=_PATIENCE_S)
        found.advice.append(time.perf_counter() - began)
        alert = await nour.hears(_with(mine), after=alerted, within=_PATIENCE_S)
        found.alert.append(time.perf_counter() - began)
        # Taken, so that it is not repeated among those to come.
        await nour.taps(mine, alert)
        await nour.hears(_with(seen), after=alert, within=_PATIENCE_S)
    return found


def _with(label: str) -> Callable[[Message], bool]:
    return lambda message: label in message.labels
