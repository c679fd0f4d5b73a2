"""Everything together in any order: people, faults, kills and time, and what must always hold.

CI lives through a few short orders, the same each time; the full form is ``make prove-machine``.
"""

import asyncio
import gc
import logging
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import aiosqlite
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.database import InMemoryExampleDatabase
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Dialect, Engine, event
from sqlmodel import col, select

from bot import founding
from bot.app import App
from bot.clock import PushedClock, SystemClock
from bot.demo.chats import Message as Shown
from bot.demo.telegram import LocalTelegram
from bot.domain.states import MessageState, ReminderState
from bot.rehearsal import Rehearsal, demo_clinic, local_settings
from bot.storage.queries import vitals
from bot.storage.tables import Alert, Consent, Message, Patient, Reminder, Report, Update
from tests.cast import Actor, Clinic
from tests.conftest import LONG_S, START
from tests.faults.record import proved
from tests.postgres import PostgresServer

log = logging.getLogger(__name__)

EXAMPLES = int(os.environ.get("AFTERCARE_EXAMPLES", "3"))
STEPS = int(os.environ.get("AFTERCARE_STEPS", "15" if EXAMPLES < 10 else "50"))
GIVEN = int(os.environ.get("AFTERCARE_SEED", "0"))
SEED = GIVEN or (1 if EXAMPLES < 10 else random.SystemRandom().randrange(1, 10**6))
NAMES = ("Ana", "Ben", "Cem")
# What a phone shows of a step, and which step that is.
STEP_OF = {
    "your care card": "card",
    "day 1 check": "d1",
    "day 3 limits": "d3",
    "day 7 limits": "d7",
    "4-week check": "d28",
}
FAULTS = ("drop", "drop after", "500", "500 after", "page", "half", "flood", "400", "403", "401")
# The same report within ten seconds is the second tap of one finger.
SAME_TAP = timedelta(seconds=10)


class Life:
    """A clinic, three patients and a bot that is killed now and then; what they do and owe."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self.stack = AsyncExitStack()
        self.clock = PushedClock(START)
        self.telegram = LocalTelegram(now=self.clock.now)
        self.others: set[asyncio.Task[object]] = set()
        self.patients: dict[str, Actor] = {}
        self.clinic: Clinic

    async def begins(self) -> None:
        """The clinic is founded, and its lead has opened her link."""
        event.listen(Engine, "do_connect", _from_any_thread)
        self.stack.callback(event.remove, Engine, "do_connect", _from_any_thread)
        server = await self.stack.enter_async_context(self.telegram.serve())
        options = local_settings(server, self.telegram.token, self.folder / "0")
        self.options = options.model_copy(update={"database_url": self.url, "send_rate": 10_000})
        _, link = await founding.init(self.options, demo_clinic(), self.clock)
        self.others = asyncio.all_tasks()
        running = await self._started()
        zone = ZoneInfo("Europe/Berlin")
        whole = Rehearsal(running, self.telegram, server, self.clock, link, zone)
        # The bot behind it changes with every kill.
        nour, ana, ben = (Actor(self.telegram.person(name), self.settle) for name in NOUR_AND_TWO)
        self.clinic = Clinic(whole, nour, ana, ben)
        await nour.opens(link)

    async def settle(self) -> None:
        await self.clinic.rehearsal.settle()

    async def _started(self) -> App:
        running = App(self.options, self.clock, 1_000, LONG_S)
        await running.start(web=False)
        return running

    async def dies(self) -> None:
        """The bot is gone in the middle of whatever it did, and another one starts."""
        running = self.clinic.rehearsal.app
        kept = {*self.others, asyncio.current_task()}
        # What the local Telegram is answering dies with its connection.
        tasks = [
            task
            for task in asyncio.all_tasks() - kept
            if not repr(task.get_coro()).startswith("<coroutine object RequestResponseCycle")
        ]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        tasks.clear()
        await _threads_end()
        if not self.url:
            self._moves()
        _close_connections()
        await running.application.shutdown()
        await running.bot.shutdown()
        await running.deps.database.close()
        self.telegram.faults.clear()
        self.clinic.rehearsal = replace(self.clinic.rehearsal, app=await self._started())

    def _moves(self) -> None:
        """The next bot has the files as they were left, and nothing else of the one before.

        A dead process holds no lock; a connection cut off within one may hold its own for good.
        """
        before = self.options.data_dir
        after = self.folder / str(int(before.name) + 1)
        shutil.copytree(before, after, ignore=shutil.ignore_patterns("*-shm"))
        self.options = self.options.model_copy(update={"data_dir": after})

    async def ends(self) -> None:
        self.telegram.faults.clear()
        await self.clinic.rehearsal.app.stop()
        await self.stack.aclose()

    def fault(self, kind: str, times: int) -> None:
        """The next sends fail so."""
        faults, after = self.telegram.faults, kind.endswith(" after")
        match kind.removesuffix(" after"):
            case "drop":
                faults.drop("sendMessage", times=times, delivered=after)
            case "500":
                faults.restart("sendMessage", times=times, delivered=after)
            case "page":
                faults.bad_gateway("sendMessage", times=times)
            case "half":
                faults.half_answer("sendMessage", times=times)
            case "flood":
                faults.flood("sendMessage", 7, times=times)
            case "400":
                faults.error("sendMessage", 400, "BUTTON_DATA_INVALID", times=times)
            case "403":
                faults.error("sendMessage", 403, "bot was blocked by the user", times=times)
            case _:
                faults.error(None, 401, "", times=times)

    async def joins(self, name: str, steps: int) -> None:
        """Enrolled, and so far into joining as that many taps go."""
        nour = self.clinic.nour
        actor = Actor(self.telegram.person(name), self.settle)
        await nour.says(f"/enroll {name} mesotherapy-face")
        if not any("t.me/" in words for words in nour.news()):
            return
        await actor.opens(nour.link)
        self.patients[name] = actor
        for label in ("Yes, that is me", "I am 18+ and I agree", "Yes")[:steps]:
            if label in actor.buttons:
                await actor.taps(label)
        if steps > 3 and "Yes, confirm" in nour.buttons:
            await nour.taps("Yes, confirm")

    def buttons(self, actor: Actor) -> list[tuple[str, Shown]]:
        """Everything on the phone that can be tapped, old buttons too."""
        return [
            (str(button["text"]), message)
            for message in actor.person.received
            for row in message.inline_keyboard or ()
            for button in row
            if "callback_data" in button
        ]

    async def reports(self, name: str) -> None:
        """The danger button under the chat."""
        pressed_at = self.clinic.now
        # Whoever said no, or moved to another account, is no patient and reads the numbers only.
        known = await self.clinic.member(self.patients[name])
        await self.patients[name].says("Something is wrong")
        async with self.clinic.rehearsal.app.deps.database.read() as session:
            reports = (await session.exec(select(Report.opened_at))).all()
        assert not known or any(at >= pressed_at - SAME_TAP for at in reports), "no report"

    async def check(self) -> None:
        """What must hold after every step."""
        await self.settle()
        async with self.clinic.rehearsal.app.deps.database.read() as session:
            assert await vitals.unbalanced(session) == []
            updates = set((await session.exec(select(Update.state))).all())
            assert updates <= {"handled"}, updates
            found = await session.exec(
                select(Reminder, Patient).join(Patient, col(Patient.id) == Reminder.patient_id)
            )
            reminders = found.all()
            messages = {row.id: row for row in (await session.exec(select(Message))).all()}
            consents = (await session.exec(select(Consent))).all()
            alerts = (await session.exec(select(Alert))).all()
        agreed = {each.patient_id: each.given_at for each in reversed(consents)}
        sent = [row for row in reminders if row[0].state is ReminderState.SENT]
        keys = Counter((row.visit_id, row.step, row.round) for row, _ in sent)
        assert max(keys.values(), default=1) == 1
        for row, _ in sent:
            message = messages[row.message_id]
            assert message.sent_at is not None
            assert row.expires_at is None or message.sent_at < row.expires_at, row.step
            assert agreed[row.patient_id] <= message.sent_at, row.step
        self._on_the_phones(list(reminders), messages)
        for alert in alerts:
            told = [row for row in messages.values() if row.report == alert.ref]
            nobody = [
                row
                for row in messages.values()
                if row.patient_id == alert.patient_id and row.template == "patient/nobody_told"
            ]
            open_ = {MessageState.SENT, MessageState.QUEUED, MessageState.SENDING}
            assert nobody or any(row.state in open_ for row in told), "a report reached nobody"

    def _on_the_phones(
        self, reminders: list[tuple[Reminder, Patient]], messages: dict[int | None, Message]
    ) -> None:
        """Counted where it arrives: nothing without a row, nothing too late, no copy too many."""
        for actor in self.patients.values():
            shown: Counter[str] = Counter()
            own = [row for row, patient in reminders if patient.telegram_id == actor.person.id]
            for message in actor.person.received:
                for words, step in STEP_OF.items():
                    if words not in message.text:
                        continue
                    shown[step] += 1
                    ends = [row.expires_at for row in own if row.step == step and row.expires_at]
                    assert any(message.date < at for at in ends), (step, message.date, ends)
            for step, copies in shown.items():
                rounds = {row.message_id for row in own if row.step == step and row.message_id}
                # A check without an answer is asked once more, and later on who wants so.
                again = {
                    row.id
                    for row in messages.values()
                    if row.follows_id in rounds
                    and row.template in ("patient/nudge", messages[row.follows_id].template)
                }
                maybe = sum(messages[each].maybe_copies for each in rounds | again)
                most = len(rounds) + len(again) + maybe
                assert copies <= most, (step, copies, len(rounds), len(again), maybe)


async def _threads_end() -> None:
    """Wait until the threads of every connection have done what they were asked, and ended."""
    gc.collect()
    for each in [each for each in gc.get_objects() if isinstance(each, aiosqlite.Connection)]:
        each.stop()
        await asyncio.to_thread(each._thread.join)


def _close_connections() -> None:
    """Close what the bot before has left open; one that is cut off in a statement stays so."""
    for each in [each for each in gc.get_objects() if isinstance(each, sqlite3.Connection)]:
        with suppress(sqlite3.ProgrammingError):
            each.close()
    gc.collect()


def _from_any_thread(
    dialect: Dialect, _record: object, _arguments: object, options: dict[str, object]
) -> None:
    """Let a connection be closed by whoever ends the bot, not by its own thread alone."""
    if dialect.name == "sqlite":
        options["check_same_thread"] = False


NOUR_AND_TWO = ("Nour", "Iva", "Uwe")


@contextmanager
def opened(server: PostgresServer | None) -> Iterator[tuple[Path, str]]:
    """A folder and an empty database of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        yield folder, "" if server is None else stack.enter_context(server.database())


def machine(server: PostgresServer | None, played: Counter[str]) -> type[RuleBasedStateMachine]:
    """The rules: what may happen next, drawn by hypothesis, each on a loop of the machine's own."""

    class Machine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.held = ExitStack()
            self.runner = self.held.enter_context(asyncio.Runner())
            self.life = self.held.enter_context(self._alive())

        @contextmanager
        def _alive(self) -> Iterator[Life]:
            with opened(server) as (folder, url):

                async def begun() -> Life:
                    life = Life(folder, url)
                    await life.begins()
                    return life

                life = self.runner.run(begun())
                try:
                    yield life
                finally:
                    self.runner.run(life.ends())

        def teardown(self) -> None:
            self.held.close()
            played["orders"] += 1
            log.warning("%d orders lived through", played["orders"])

        def _run(self, work: Coroutine[Any, Any, None]) -> None:
            try:
                self.runner.run(work)
            except Exception:
                # Kills meet something else each time: played again it may not come back.
                log.exception("what failed first")
                raise

        def _some(self, number: int) -> Actor:
            patients = list(self.life.patients.values())
            return patients[number % len(patients)]

        @precondition(lambda self: len(self.life.patients) < len(NAMES))
        @rule(steps=st.sampled_from((4, 4, 4, 3, 2, 1)))
        def enroll(self, steps: int) -> None:
            played["enroll"] += 1
            self._run(self.life.joins(NAMES[len(self.life.patients)], steps))

        @rule(number=st.integers(0, 5), at=st.integers(0, 200), ours=st.booleans())
        def tap(self, number: int, at: int, ours: bool) -> None:
            actor = self.life.clinic.nour if ours or not self.life.patients else self._some(number)
            if buttons := self.life.buttons(actor):
                played["tap"] += 1
                # Counted from the newest: old ones are tapped too, but not most of the time.
                label, message = buttons[-1 - at % len(buttons)]
                self._run(actor.taps(label, message))

        @precondition(lambda self: self.life.patients)
        @rule(
            number=st.integers(0, 5),
            act=st.sampled_from(("Session done", "Set the next visit", "Correct the time")),
            days=st.integers(1, 30),
        )
        def plan(self, number: int, act: str, days: int) -> None:
            played["plan"] += 1
            self._run(self._plan(number, act, days))

        async def _plan(self, number: int, act: str, days: int) -> None:
            clinic, nour = self.life.clinic, self.life.clinic.nour
            await nour.says("Patients")
            names = [label for label in nour.buttons if label.startswith(NAMES)]
            if not names:
                return
            await nour.taps(names[number % len(names)])
            if act in nour.buttons:
                await nour.taps(act)
            at = clinic.now + timedelta(days=days)
            await nour.says(f"{at:%d.%m.%Y} 15:00")

        @precondition(lambda self: self.life.patients)
        @rule(
            number=st.integers(0, 5),
            words=st.sampled_from(
                ("/stop", "/start", "My plan", "My visits", "It itches a little.", "/pause")
            ),
        )
        def say(self, number: int, words: str) -> None:
            played["say"] += 1
            self._run(self._some(number).says(words))

        @precondition(lambda self: self.life.patients)
        @rule(number=st.integers(0, 5), again=st.booleans())
        def stop(self, number: int, again: bool) -> None:
            played["stop or resume"] += 1
            actor = self._some(number)
            self._run(actor.says("/start" if again else "/stop"))
            label = "Yes, turn them on" if again else "Stop"
            if label in actor.buttons:
                self._run(actor.taps(label))

        @precondition(lambda self: self.life.patients)
        @rule(number=st.integers(0, 5))
        def report(self, number: int) -> None:
            played["report"] += 1
            names = list(self.life.patients)
            self._run(self.life.reports(names[number % len(names)]))

        @rule(kind=st.sampled_from(FAULTS), times=st.integers(1, 3))
        def fail(self, kind: str, times: int) -> None:
            played[f"fail: {kind}"] += 1
            self.life.fault(kind, times)

        @rule(words=st.sampled_from(("", "My plan", "Something is wrong")), late=st.floats(0, 0.05))
        def kill(self, words: str, late: float) -> None:
            played["kill"] += 1
            self._run(self._kill(words, late))

        async def _kill(self, words: str, late: float) -> None:
            if words and self.life.patients:
                await self._some(0).person.says(words)
                await asyncio.sleep(late)
            await self.life.dies()

        @rule(hours=st.integers(1, 12 * 24))
        def send(self, hours: int) -> None:
            played["time passes"] += 1
            self._run(self.life.clinic.forward(hours=hours))

        @rule(hours=st.integers(1, 10 * 24))
        def jump(self, hours: int) -> None:
            """A machine that slept: one jump over whatever was due."""
            played["jump"] += 1
            self.life.clock.push(timedelta(hours=hours))

        @invariant()
        def sound(self) -> None:
            played["looked at"] += 1
            self._run(self.life.check())

    return Machine


# Who is killed gives nothing back to the pool.
@pytest.mark.filterwarnings("ignore:The garbage collector is trying to clean up")
@pytest.mark.timeout(120 + 60 * EXAMPLES)
def test_in_any_order_what_must_hold_holds(
    chosen_database_url: str, request: pytest.FixtureRequest
) -> None:
    log.warning("AFTERCARE_SEED=%d AFTERCARE_EXAMPLES=%d replays this", SEED, EXAMPLES)
    began_s = SystemClock().monotonic()
    server = request.getfixturevalue("postgres_server") if chosen_database_url else None
    played: Counter[str] = Counter()
    run_state_machine_as_test(
        seed(SEED)(machine(server, played)),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            database=InMemoryExampleDatabase(),
            suppress_health_check=list(HealthCheck),
            # A step takes real seconds: a shorter order is not worth the hours it takes to find.
            phases=[Phase.generate],
        ),
    )
    figures = {
        "seed": SEED,
        "orders": played.pop("orders"),
        **{f"steps: {name}": count for name, count in sorted(played.items())},
        "seconds": round(SystemClock().monotonic() - began_s),
    }
    log.warning("%s", figures)
    proved("machine", figures, chosen_database_url)
