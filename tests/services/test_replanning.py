"""Whatever a practitioner does in whatever order, the plan stays sound and repeats nothing.

CI lives through the same few orders each time. The long form tries new ones:

    AFTERCARE_ORDERS=500 python -m pytest tests/services/test_replanning.py --timeout=0
"""

import asyncio
import json
import os
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlmodel import col, select
from telegram import Bot
from telegram.request import BaseRequest

from bot.clock import PushedClock
from bot.domain.protocol import Anchor, Kind, Protocol
from bot.domain.states import PatientState, ReminderState
from bot.domain.times import QuietHours, is_quiet
from bot.outgoing.catalogue import Catalogue
from bot.outgoing.pace import Pace
from bot.outgoing.texts import Texts
from bot.parts import load_messages
from bot.rehearsal import demo_clinic
from bot.services import clinic as clinics
from bot.services import dispatch, enrolling, intake, joining, steering, undoing, visits
from bot.services.delivery import Delivery
from bot.services.deps import Bells, Deps
from bot.services.errors import CareError
from bot.services.planning import replan
from bot.services.turn import Account, Turn
from bot.services.typed_dates import MomentTyped
from bot.settings import Settings
from bot.storage import database, schema
from bot.storage.database import Database
from bot.storage.photos import PhotoFiles
from bot.storage.queries import looks, outbox, vitals
from bot.storage.tables import Patient, Practitioner, Reminder, Visit
from bot.storage.vault import Vault
from tests.postgres import PostgresServer

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)
NOUR, ANA = 1, 2
DROPPABLE = {Kind.PHOTO, Kind.MAINT, Kind.BOOK, Kind.ADVICE, Kind.LIFT, Kind.PREP, Kind.REVIEW}


class Line(BaseRequest):
    """A line to Telegram on which every message arrives."""

    def __init__(self) -> None:
        self.messages = 0

    @property
    def read_timeout(self) -> float | None:
        return None

    async def initialize(self) -> None:
        return

    async def shutdown(self) -> None:
        return

    async def do_request(self, *_: Any, **__: Any) -> tuple[int, bytes]:
        self.messages += 1
        chat = {"id": 1, "type": "private"}
        sent = {"message_id": self.messages, "date": 0, "chat": chat}
        return 200, json.dumps({"ok": True, "result": sent}).encode()


class Desk:
    """A practitioner's desk: the real services on a real database, and a line that never fails."""

    def __init__(self, deps: Deps, clock: PushedClock, delivery: Delivery) -> None:
        self.deps = deps
        self.clock = clock
        self.delivery = delivery
        self.updates = 0
        self.ref = ""
        # What gives the card another chance: sessions recorded, corrected and taken back.
        self.cards = 0
        # What was said of which visit, and for which time of it.
        self.said: dict[int, tuple[str, str, datetime | None]] = {}

    async def turn(self, act: Callable[[Turn], Awaitable[object]]) -> bool:
        """Let Nour do something, as the inbox would; false when it was refused."""
        self.updates += 1
        async with self.deps.database.write() as session:
            opened = await intake.open_turn(
                session, self.deps, self.updates, self.clock.now(), Account(NOUR, "Nour")
            )
            assert opened is not None
            try:
                async with session.begin_nested():
                    await act(opened)
            except CareError:
                return False
        await self.deliver()
        return True

    async def begin(self) -> None:
        """A new patient has just had a session and joins with the clinic's zone."""

        async def enrolled(turn: Turn) -> None:
            patient = await enrolling.enroll(turn, "Ana", "mesotherapy-face", None)
            self.ref = patient.ref
            patient.telegram_id, patient.state = ANA, PatientState.OPENED
            patient.consented_at = patient.confirmed_at = turn.now
            patient.timezone = "Europe/Berlin"
            turn.session.add(patient)
            await joining.join_if_ready(turn, patient)

        assert await self.turn(enrolled)

    async def deliver(self) -> None:
        """Let everything go that is due."""
        await dispatch.dispatch_due(self.deps, self.clock.now())
        for _ in range(50):
            await self.delivery.round()
            while not self.delivery.idle:
                await asyncio.sleep(0)
                await self.delivery.round()
            async with self.deps.database.read() as session:
                if not await outbox.anything_due(session, self.clock.now()):
                    return
        raise AssertionError("something that is due does not go")

    async def wait(self, hours: int) -> None:
        """Let time pass, stopping whenever something falls due."""
        target = self.clock.now() + timedelta(hours=hours)
        while True:
            now = self.clock.now()
            async with self.deps.database.read() as session:
                found = [
                    await looks.next_at(session, now),
                    await outbox.next_due_at(session, now),
                    target,
                ]
            due_at = min(moment for moment in found if moment is not None)
            if due_at == target:
                break
            self.clock.push_to(due_at)
            await self.deliver()
        self.clock.push_to(target)
        await self.deliver()

    def moment(self, hours: int) -> MomentTyped:
        at = (self.clock.now() + timedelta(hours=hours)).replace(second=0, microsecond=0)
        return MomentTyped(at, past=hours <= 0)

    async def session_done(self, hours_ago: int) -> None:
        self.cards += await self.turn(
            lambda turn: visits.session_done(turn, self.ref, self.moment(-hours_ago))
        )

    async def set_visit(self, hours_ahead: int) -> None:
        await self.turn(lambda turn: visits.set_visit(turn, self.ref, self.moment(hours_ahead)))

    async def cancel(self, _: int) -> None:
        await self.turn(lambda turn: visits.cancel_visit(turn, self.ref))

    async def correct(self, hours_ago: int) -> None:
        self.cards += await self.turn(
            lambda turn: visits.correct_time(turn, self.ref, self.moment(-hours_ago))
        )

    async def target(self, weeks: int) -> None:
        async with self.deps.database.read() as session:
            done = await session.exec(
                select(Visit)
                .join(Patient, col(Patient.id) == col(Visit.patient_id))
                .where(Patient.ref == self.ref, col(Visit.done_at).is_not(None))
                .order_by(col(Visit.done_at).desc())
            )
            visit = done.first()
        assert visit is not None
        await self.turn(lambda turn: visits.set_target(turn, visit.ref, str(2 + weeks % 3)))

    async def undo(self, _: int) -> None:
        # What was taken back may be done again, and counts then.
        await self.turn(undoing.undo_last)
        self.cards += 1

    async def pause(self, days: int) -> None:
        await self.turn(lambda turn: steering.pause(turn, self.ref, str((0, 3, 7, 14)[days % 4])))

    async def resume(self, _: int) -> None:
        await self.turn(lambda turn: steering.resume(turn, self.ref))

    async def replan(self, _: int) -> None:
        """For no reason at all: nothing may change by it."""
        async with self.deps.database.write() as session:
            patient = (await session.exec(select(Patient).where(Patient.ref == self.ref))).one()
            await replan(session, patient.id or 0, self.clock.now())

    async def assert_sound(self) -> None:
        """Raise unless the ledger is sound and no step was said more often than it may be."""
        async with self.deps.database.read() as session:
            assert await vitals.unbalanced(session) == []
            found = await session.exec(
                select(Reminder, Visit)
                .join(Visit, col(Visit.id) == col(Reminder.visit_id))
                .join(Patient, col(Patient.id) == col(Reminder.patient_id))
                .where(Patient.ref == self.ref)
            )
            rows = found.all()
        protocol = self.deps.catalogue.protocols["mesotherapy-face"]
        rounds = Counter((visit.ref, row.step, row.round) for row, visit in rows)
        assert max(rounds.values()) == 1
        unfinished = Counter(
            (visit.ref, row.step) for row, visit in rows if row.state is ReminderState.PLANNED
        )
        assert max(unfinished.values(), default=0) <= 1
        sent = [(row, visit) for row, visit in rows if row.state is ReminderState.SENT]
        self._said_once(protocol, sent)
        self._in_time(protocol, [row for row, _ in sent])

    def _said_once(self, protocol: Protocol, sent: Sequence[tuple[Reminder, Visit]]) -> None:
        for row, visit in sent:
            before_visit = protocol.step(row.step).when.anchor is Anchor.NV
            # Looked at after every act, so this is the time for which it was said.
            at = visit.planned_at if before_visit else None
            self.said.setdefault(row.id or 0, (visit.ref, row.step, at))
        for (_, step_id, _), count in Counter(self.said.values()).items():
            card = Kind.CARD in protocol.step(step_id).kinds
            assert count <= (1 + self.cards if card else 1), step_id

    def _in_time(self, protocol: Protocol, sent: Sequence[Reminder]) -> None:
        days: dict[object, set[int | None]] = {}
        for row in sent:
            step, at = protocol.step(row.step), row.final_at
            assert at is not None
            assert row.due_at is not None
            assert row.expires_at is not None
            assert row.due_at <= at < row.expires_at, row.step
            if row.asked or step.quiet_exempt:
                continue
            assert not is_quiet(at, BERLIN, QuietHours()), row.step
            if set(step.kinds) <= DROPPABLE:
                days.setdefault(at.astimezone(BERLIN).date(), set()).add(row.message_id)
        assert all(len(messages) <= 2 for messages in days.values())


class Opening:
    """What every desk begins with: a database with a clinic and its lead, and the words."""

    def __init__(self, folder: Path, catalogue: Catalogue, server: PostgresServer | None) -> None:
        self.folder = folder
        self.catalogue = catalogue
        self.texts = Texts(catalogue)
        self._server = server
        self._url = ""

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[Desk]:
        """A desk of its own, on the morning of START."""
        with self._copy() as url:
            clock, line = PushedClock(START, running=False), Line()
            deps = self._deps(url, clock)
            telegram_bot = Bot("1:desk", request=line, get_updates_request=line)
            pace = Pace(clock.monotonic, 1_000_000, 1_000_000)
            # The pace counts from its beginning, and this clock stands still.
            clock.push(timedelta(seconds=1))
            try:
                yield Desk(deps, clock, Delivery(deps, telegram_bot, pace))
            finally:
                await deps.database.close()

    @contextmanager
    def _copy(self) -> Iterator[str]:
        if self._server is not None:
            with self._server.database(like=self._url) as url:
                yield url
            return
        copy = self.folder / "desk.db"
        shutil.copyfile(self.folder / "opening.db", copy)
        yield f"sqlite+aiosqlite:///{copy}"

    async def fill(self, url: str) -> None:
        """Make what the desks copy."""
        self._url = url or f"sqlite+aiosqlite:///{self.folder / 'opening.db'}"
        database.guard_files(self._url, self.folder)
        await schema.migrate(self._url)
        deps = self._deps(self._url, PushedClock(START, running=False))
        async with deps.database.write() as session:
            clinic = demo_clinic()
            clinic.ref, clinic.bot_username = "clinic", "lumen_bot"
            await clinics.create(session, clinic, deps)
            nour = Practitioner(
                ref="nour",
                clinic_id=clinic.id or 0,
                telegram_id=NOUR,
                role="lead",
                created_at=START,
            )
            session.add(nour)
        await deps.database.close()

    def _deps(self, url: str, clock: PushedClock) -> Deps:
        keys = Vault([bytes(32)])
        files = PhotoFiles(self.folder / "photos", keys)
        opened = Database(url, keys)
        return Deps(opened, self.catalogue, self.texts, clock, Bells(), self.folder, files)


@pytest.fixture
def opening(request: pytest.FixtureRequest, tmp_path: Path, chosen_database_url: str) -> Opening:
    """A filled database to begin with."""
    server = request.getfixturevalue("postgres_server") if chosen_database_url else None
    catalogue = load_messages(Settings.model_construct(messages_dir=None))
    ready = Opening(tmp_path, catalogue, server)
    asyncio.run(ready.fill(chosen_database_url))
    return ready


ACTS = st.one_of(
    st.tuples(st.just("session_done"), st.integers(0, 60)),
    st.tuples(st.just("set_visit"), st.integers(1, 40 * 24)),
    st.tuples(st.just("cancel"), st.just(0)),
    st.tuples(st.just("correct"), st.integers(0, 60)),
    st.tuples(st.just("target"), st.integers(0, 2)),
    st.tuples(st.just("undo"), st.just(0)),
    st.tuples(st.just("pause"), st.integers(0, 3)),
    st.tuples(st.just("resume"), st.just(0)),
    st.tuples(st.just("replan"), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 12 * 24)),
)


@settings(
    max_examples=int(os.environ.get("AFTERCARE_ORDERS", "10")),
    deadline=None,
    derandomize="AFTERCARE_ORDERS" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=st.lists(ACTS, min_size=3, max_size=10))
def test_any_order_of_acts_keeps_the_plan_sound(
    opening: Opening, acts: list[tuple[str, int]]
) -> None:
    async def story() -> None:
        async with opening.desk() as desk:
            await desk.begin()
            for name, amount in acts:
                await getattr(desk, name)(amount)
                await desk.assert_sound()
            for _ in range(6):
                await desk.wait(4 * 24)
                await desk.replan(0)
                await desk.assert_sound()

    asyncio.run(story())
