"""A clinic in a database, put there by the bot's own services, and the sending half of the bot."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession
from telegram import Bot
from telegram.request import HTTPXRequest

from bot import founding, parts
from bot.clock import Clock, SystemClock
from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from bot.domain.states import Lane, MessageState, PatientState, ReminderState
from bot.outgoing.pace import Pace
from bot.rehearsal import demo_clinic, local_settings
from bot.services import delivery, dispatch, enrolling, outbox
from bot.services.delivery import Delivery
from bot.services.deps import Deps, new_ref
from bot.services.planning import replan
from bot.services.turn import Account, Turn
from bot.storage import sealed
from bot.storage.queries import outbox as queries
from bot.storage.queries import people, plans, versions
from bot.storage.tables import Message, Patient, Practitioner, Reminder
from tests.begun import begin

# Whoever does not tell of a silence must not see one on a busy machine.
PATIENT_S = 20.0


class HandClock(SystemClock):
    """A clock on a machine that stands still; both its times are moved, or the wall alone."""

    def __init__(self, start: datetime) -> None:
        self._hand = start
        self._steady = 1_000.0
        super().__init__(lambda: self._hand, self.monotonic)
        # What passes between one look at the clock and the next; usually nothing.
        self.each_look = timedelta()

    def now(self) -> datetime:
        seen = super().now()
        self.passes(self.each_look.total_seconds())
        return seen

    def monotonic(self) -> float:
        return self._steady

    def passes(self, seconds: float) -> None:
        self._hand += timedelta(seconds=seconds)
        self._steady += seconds

    def jumps(self, delta: timedelta) -> None:
        """Somebody sets the machine's clock."""
        self._hand += delta


async def add_practitioner(
    session: AsyncSession, person: Person, now: datetime, role: str = "lead"
) -> Practitioner:
    """A practitioner who has opened their link."""
    person.started = person.chat_opened = True
    clinic = await people.the_clinic(session)
    assert clinic is not None
    row = Practitioner(
        ref=new_ref(),
        clinic_id=clinic.id or 0,
        telegram_id=person.id,
        role=role,
        created_at=now,
    )
    sealed.write(session, row, {"name": person.first_name})
    session.add(row)
    await session.flush()
    return row


# What these texts say beside what every text may.
VALUES: Mapping[str, Mapping[str, Any]] = {
    "patient/seek_care": {"taken": False},
    "patient/ask_open": {"reply_by": "Tue 10 March, 18:00", "clinic_city": None},
}


async def add_patient(
    session: AsyncSession, deps: Deps, person: Person, practitioner: Practitioner, now: datetime
) -> Patient:
    """A patient who joined just now, in the clinic, after a first session; the plan is laid out."""
    person.started = person.chat_opened = True
    clinic = await people.the_clinic(session)
    assert clinic is not None
    patient = Patient(
        ref=new_ref(),
        clinic_id=clinic.id or 0,
        practitioner_id=practitioner.id or 0,
        telegram_id=person.id,
        state=PatientState.ACTIVE,
        timezone=clinic.timezone,
        opened_at=now,
        consented_at=now,
        confirmed_at=now,
        joined_at=now,
        created_at=now,
    )
    sealed.write(session, patient, {"name": person.first_name})
    session.add(patient)
    await session.flush()
    turn = Turn(session, deps, now, 0, clinic, Account(person.id), practitioner, patient)
    approved = await versions.approved_protocols(session, clinic.id or 0)
    version = next(row for row in approved if row.name == "mesotherapy-face")
    await enrolling.add_course(turn, patient, version, None)
    await replan(session, patient.id or 0, now)
    return patient


async def put_off(session: AsyncSession, patient: Patient, now: datetime) -> None:
    """Nothing of the patient's plan is due for ten days."""
    for row in await plans.reminders(session, [patient.id or 0]):
        if row.due_at is not None and row.expires_at is not None:
            row.due_at = max(row.due_at, now + timedelta(days=10))
            row.expires_at = max(row.expires_at, now + timedelta(days=20))
            session.add(row)


async def bring_on(session: AsyncSession, patient: Patient, step: str, now: datetime) -> Reminder:
    """This step of the patient's plan is due, now and for a day."""
    rows = await plans.reminders(session, [patient.id or 0])
    row = next(row for row in rows if row.step == step)
    row.due_at, row.expires_at, row.group_key = now, now + timedelta(days=1), None
    session.add(row)
    await session.flush()
    return row


@dataclass(slots=True, repr=False)
class Post:
    """The sending half of a bot: its outbox and delivery, on a clock that is moved by hand."""

    deps: Deps
    telegram: LocalTelegram
    server: Server
    clock: HandClock
    bot: Bot
    pace: Pace
    delivery: Delivery
    nour: Person
    practitioner: Practitioner

    async def patient(self, name: str = "Ana") -> tuple[Person, Patient]:
        """One more patient; nothing of the plan is due."""
        person = self.telegram.person(name)
        now = self.clock.now()
        async with self.deps.database.write() as session:
            patient = await add_patient(session, self.deps, person, self.practitioner, now)
            await put_off(session, patient, now)
        return person, patient

    async def queue(self, patient: Patient, lane: Lane, **options: Any) -> Message:
        """A message in that lane is due now; care and courtesy are real reminders."""
        now = self.clock.now()
        async with self.deps.database.write() as session:
            fresh = await people.patient(session, patient.id or 0)
            if lane in (Lane.CARE, Lane.COURTESY):
                step = "d1" if lane is Lane.CARE else "maint"
                row = await bring_on(session, fresh, step, now)
                await dispatch.dispatch(session, [fresh.id or 0], now)
                await session.flush()
                message = await queries.message(session, row.message_id or 0)
                assert message is not None
                assert message.lane is lane
                return message
            template = "patient/seek_care" if lane is Lane.DANGER else "patient/got_it"
            template = options.pop("template", template)
            options = {"lane": lane, "values": VALUES.get(template), **options}
            return await outbox.to_patient(session, fresh, template, now, **options)

    async def edit(self, patient: Patient, template: str, target: int) -> Message:
        """An edit of a message in the patient's chat, as practitioners' screens are edited."""
        now = self.clock.now()
        async with self.deps.database.write() as session:
            values = VALUES.get(template)
            message = await outbox.to_patient(session, patient, template, now, values=values)
            message.method, message.target_message_id = "edit", target
            session.add(message)
        return message

    async def pump(self) -> float:
        """Let everything leave that may leave now; answers the seconds until the next look."""
        bell = self.deps.bells.outbox
        async with asyncio.timeout(20):
            while True:
                bell.clear()
                wait_s = await self.delivery.round()
                if 0 < wait_s < 0.001:
                    # The gap between two messages; stories about the pace have a slower one.
                    self.clock.passes(wait_s)
                elif bell.is_set() or not self.delivery.idle:
                    await bell.wait()
                elif wait_s > 0:
                    return wait_s

    async def after(self, seconds: float) -> None:
        """So much time passes, and what may leave then leaves."""
        self.clock.passes(seconds)
        await self.pump()

    async def flow(self) -> None:
        """Time passes as fast as things leave, until nothing waits for the pace any more."""
        while (wait_s := await self.pump()) < 2:
            self.clock.passes(wait_s)

    async def crowd(self, number: int) -> list[Person]:
        """So many patients, to each of whom one reminder is due now."""
        people_ = [self.telegram.person(f"Patient {place}") for place in range(number)]
        now = self.clock.now()
        async with self.deps.database.write() as session:
            rows = []
            for person in people_:
                person.started = True
                rows.append(
                    Patient(
                        ref=new_ref(),
                        clinic_id=self.practitioner.clinic_id,
                        practitioner_id=self.practitioner.id or 0,
                        telegram_id=person.id,
                        state=PatientState.ACTIVE,
                        timezone="Europe/Berlin",
                        joined_at=now,
                        created_at=now,
                    )
                )
            session.add_all(rows)
            await session.flush()
            for row in rows:
                await outbox.to_patient(session, row, "patient/got_it", now, lane=Lane.CARE)
        return people_

    async def message(self, message: Message) -> Message:
        """The row as the database has it now."""
        async with self.deps.database.read() as session:
            found = await queries.message(session, message.id or 0)
            assert found is not None
            return found

    async def states(self, message: Message) -> tuple[MessageState, int, int]:
        """State, attempts and maybe-copies of a message."""
        row = await self.message(message)
        return row.state, row.attempts, row.maybe_copies

    async def reminder(self, message: Message) -> tuple[ReminderState, str | None]:
        """State and reason of the reminder that a message carries."""
        async with self.deps.database.read() as session:
            (row,) = await plans.reminders_of_message(session, message.id or 0)
        return row.state, row.reason

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """What an operator's query of the stable views answers."""
        async with self.deps.database.read() as session:
            found = await session.exec(text(sql))  # type: ignore[call-overload] # plain SQL
            return [dict(row) for row in found.mappings()]


async def found_clinic(
    folder: Path, server: Server, token: str, clock: Clock, database_url: str
) -> Deps:
    """The parts of a bot whose clinic was just made by ``init``.

    It has no morning's digest: that would come to stories on a real clock from 08:30 to 12:00.
    """
    options = local_settings(server, token, folder)
    options = options.model_copy(update={"database_url": database_url})
    await begin(folder, database_url)
    clinic = demo_clinic()
    clinic.digest_day = date.max
    await founding.init(options, clinic, clock)
    return parts.open_deps(options, clock)


@asynccontextmanager
async def post(
    folder: Path,
    start: datetime,
    *,
    rate: float = 10_000,
    chat_burst: float = 1_000,
    read_timeout_s: float = PATIENT_S,
    database_url: str,
) -> AsyncIterator[Post]:
    """A sending half without anything to send."""
    clock = HandClock(start)
    telegram = LocalTelegram(now=clock.now)
    async with telegram.serve() as server:
        deps = await found_clinic(folder, server, telegram.token, clock, database_url)
        nour = telegram.person("Nour")
        async with deps.database.write() as session:
            practitioner = await add_practitioner(session, nour, clock.now())
        request = HTTPXRequest(
            connection_pool_size=delivery.SENDERS + 4,
            read_timeout=read_timeout_s,
            httpx_kwargs={"trust_env": False},
        )
        pace = Pace(clock.monotonic, rate, chat_burst)
        try:
            async with Bot(telegram.token, f"{server.base_url}/bot", request=request) as bot:
                sending = Delivery(deps, bot, pace)
                yield Post(deps, telegram, server, clock, bot, pace, sending, nour, practitioner)
                await sending.stop()
        finally:
            await deps.database.close()
