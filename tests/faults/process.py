"""A clinic whose bot is a process of its own: started, stopped and killed from outside."""

import asyncio
import os
import signal
import sqlite3
import sys
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text, update
from sqlmodel import col, select

from bot.clock import SystemClock
from bot.demo.chats import Message as Shown
from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from bot.domain.states import Lane, MessageState, ReminderState
from bot.services import outbox
from bot.services.deps import Deps
from bot.storage import sealed
from bot.storage.database import sqlite_file
from bot.storage.tables import Message, Patient, Reminder
from tests.faults.world import VALUES, add_patient, add_practitioner, found_clinic
from tests.faults.zygote import Child, Zygote

RATE = "400"
STOPS_WITHIN_S = 10
AT_ONCE = str(Path(__file__).with_name("at_once.py"))

# What is due then is left out until somebody lets it go.
SOME_DAY = datetime(2999, 1, 1, tzinfo=UTC)

# What a phone shows of each message that was queued, and the template that it came from.
WORDS = {
    "your care card": "steps/mesotherapy-face/card",
    "when to get help": "steps/warning-card",
    "ticked it off": "patient/got_it",
    "please do not wait for us": "patient/seek_care",
}
# What a patient of a large clinic reads besides, all at once.
ALSO = {
    "Write your question here": "patient/ask_open",
    "I keep no photos of you": "patient/photo_declined",
    "Do you want them again": "patient/resume_ask",
    "want to change your visit": "patient/change_wanted",
    "want to stop the reminders": "patient/stop_ask",
}


def writing(file: Path) -> bool:
    """Whether somebody is in the middle of a transaction that writes to the file."""
    with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as looking:
        try:
            looking.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        looking.execute("ROLLBACK")
    return False


@dataclass(slots=True)
class Story:
    """A clinic whose bot is another process."""

    folder: Path
    telegram: LocalTelegram
    server: Server
    deps: Deps
    outside: Engine
    patients: list[Person] = field(default_factory=list)
    practitioners: list[Person] = field(default_factory=list)
    process: Child | None = None
    zygote: Zygote | None = None
    # About so many messages go before one that is hit, at most.
    share: int = 25
    # What runs the bot's own command, such as a tracer.
    under: tuple[str, ...] = ()

    async def starts(
        self,
        log_file: str = "log",
        *,
        quickly: bool = False,
        listens: bool = False,
        **settings: str,
    ) -> None:
        """The bot is started; ``quickly`` by a zygote if there is one.

        It listens first for another bot with its token only if it ``listens``.
        """
        environment = {
            "PATH": os.environ.get("PATH", ""),
            "TELEGRAM_BOT_TOKEN": self.telegram.token,
            "TELEGRAM_API_URL": self.server.base_url,
            "DATA_DIR": str(self.folder),
            "DATABASE_URL": self.deps.database.url,
            "HTTP_BIND": "127.0.0.1:0",
            "SEND_RATE": RATE,
            "LOG_LEVEL": "ERROR",
            **settings,
        }
        log = self.folder / log_file
        if quickly and self.zygote is not None:
            self.process = await self.zygote.starts(self.folder, environment, log)
            return
        with log.open("ab") as errors:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.under, sys.executable),
                *(("-m", "bot", "run") if listens else (AT_ONCE,)),
                cwd=self.folder,
                env=environment,
                stdout=DEVNULL,
                stderr=errors,
            )

    async def dies(self) -> None:
        """kill -9."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
            await self.process.wait()

    async def stops(self) -> int:
        """SIGTERM, as a supervisor sends it; answers the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(STOPS_WITHIN_S + 1):
            return await self.process.wait()

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Look into the database from outside, as it is on disk."""
        with self.outside.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def writing(self) -> bool:
        """Whether the bot is in the middle of a transaction that writes."""
        file = sqlite_file(self.deps.database.url)
        if file is None:
            (others,) = self.ask(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
                " AND datname = current_database() AND pid <> pg_backend_pid()"
            )
            return bool(others[0])
        return writing(file)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nothing can be written meanwhile: somebody else holds the database."""
        with self.outside.connect() as connection:
            if self.deps.database.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.exec_driver_sql("LOCK TABLE message IN EXCLUSIVE MODE")
            yield

    def a_minute_goes_by(self, *, resting_from: int | None = None) -> None:
        """What cools down has done so: nobody wants to wait for it here.

        What was in doubt as often as ``resting_from`` waits for somebody to call this without.
        """
        most = 1000 if resting_from is None else resting_from
        with self.outside.begin() as connection:
            connection.execute(
                update(Message).where(col(Message.maybe_copies) < most).values(lease_until=None)
            )
            connection.execute(
                update(Message)
                .where(
                    col(Message.maybe_copies) >= most,
                    col(Message.state) == MessageState.QUEUED,
                )
                .values(lease_until=SOME_DAY)
            )

    async def falls_due(self, people: Collection[Person], at: datetime) -> None:
        """What waits for these patients falls due ``at`` then."""
        numbers = [person.id for person in people]
        async with self.deps.database.write() as session:
            await session.exec(
                update(Message)
                .where(col(Message.chat_id).in_(numbers), col(Message.state) == MessageState.QUEUED)
                .values(due_at=at)
            )
            own = select(Patient.id).where(col(Patient.telegram_id).in_(numbers))
            await session.exec(
                update(Reminder)
                .where(
                    col(Reminder.patient_id).in_(own),
                    col(Reminder.message_id).is_(None),
                    col(Reminder.state) == ReminderState.PLANNED,
                    col(Reminder.due_at).is_not(None),
                    col(Reminder.step) == "card",
                )
                .values(due_at=at)
            )

    def unfinished(self) -> int:
        """How many messages and updates are not finished; what waits or cools down is left out."""
        (messages,) = self.ask(
            "SELECT count(*) FROM message WHERE state = 'sending'"
            " OR (state = 'queued' AND lease_until IS NULL AND due_at < '2999-01-01' AND NOT EXISTS"
            "  (SELECT 1 FROM message AS first"
            "   WHERE first.id = message.follows_id AND first.lease_until IS NOT NULL"
            "   AND first.state = 'queued'))"
        )
        (updates,) = self.ask("SELECT count(*) FROM inbox WHERE state = 'received'")
        pending = len(self.telegram.updates.pending())
        return int(messages[0] + updates[0] + pending)


@asynccontextmanager
async def running_story(folder: Path, database_url: str) -> AsyncIterator[Story]:
    """A clinic and its Telegram; the bot itself is not started yet."""
    telegram = LocalTelegram(now=SystemClock().now)
    async with telegram.serve() as server:
        clock = SystemClock()
        deps = await found_clinic(folder, server, telegram.token, clock, database_url)
        # The same database, by a driver that waits: what is looked at stands still meanwhile.
        outside = create_engine(deps.database.url.replace("+aiosqlite", ""), pool_pre_ping=True)
        story = Story(folder, telegram, server, deps, outside)
        try:
            yield story
        finally:
            await story.dies()
            outside.dispose()
            await deps.database.close()


async def fill(story: Story, patients: int, also: Collection[str] = ()) -> None:
    """Patients who have just joined: a card with its second bubble, an answer, for some danger.

    ``also`` are more answers for those who have one on its way. Whoever writes meanwhile has none:
    an answer in doubt is not repeated to somebody who has gone on.
    """
    now = story.deps.clock.now()
    async with story.deps.database.write() as session:
        for number in range(max(2, patients // 5)):
            person = story.telegram.person(f"Practitioner {number}")
            story.practitioners.append(person)
        rows = [
            await add_practitioner(session, each, now, "practitioner" if number else "lead")
            for number, each in enumerate(story.practitioners)
        ]
        for number in range(patients):
            person = story.telegram.person(f"Patient {number}")
            story.patients.append(person)
            doctor = rows[number % len(rows)]
            patient = await add_patient(session, story.deps, person, doctor, now)
            for template in ("patient/got_it", *also) if number % 3 else ():
                values = VALUES.get(template)
                await outbox.to_patient(session, patient, template, now, values=values)
            if number % 10 == 1:
                await outbox.to_patient(
                    session,
                    patient,
                    "patient/seek_care",
                    now,
                    lane=Lane.DANGER,
                    values=VALUES["patient/seek_care"],
                )


def template_of(message: Shown) -> str | None:
    return next((name for words, name in (WORDS | ALSO).items() if words in message.text), None)


async def finish(story: Story) -> None:
    """The bot works everything off, what cools down too, and stops."""
    await story.starts(quickly=True)
    async with asyncio.timeout(60 + len(story.patients)):
        while True:
            while story.unfinished():  # noqa: ASYNC110 - another process has no bell of ours
                await asyncio.sleep(0.04)
            (cooling,) = story.ask("SELECT count(*) FROM message WHERE state = 'queued'")
            # Told while it is still being loaded it simply ends.
            code = await story.stops()
            assert code in (0, -signal.SIGTERM), (story.folder / "log").read_text()[-1000:]
            if not cooling[0]:
                return
            story.a_minute_goes_by()
            await story.starts(quickly=True)


async def passed_on(story: Story) -> Counter[str]:
    """How often each text of a patient became a message to a practitioner."""
    async with story.deps.database.read() as session:
        found = await session.exec(select(Message).where(Message.template == "alerts/passed_on"))
        return Counter(sealed.read(session, row)["values"]["quoted"] for row in found.all())
