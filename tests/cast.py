"""The cast of the stories: people with phones, and the clinic whose clock can be pushed."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel import SQLModel, col, select
from telegram import Bot

from bot.demo.chats import Message
from bot.demo.people import Person
from bot.domain.states import ReminderState
from bot.rehearsal import Rehearsal
from bot.storage.queries import people, vitals
from bot.storage.tables import Reminder

BERLIN = ZoneInfo("Europe/Berlin")
_LINK = re.compile(r"https://t\.me/\S+")


class Actor:
    """A person whose every act is followed until the bot has nothing left to do."""

    def __init__(self, person: Person, settle: Callable[[], Awaitable[None]]) -> None:
        self.person = person
        self._settle = settle
        self._listened = 0

    async def says(self, words: str) -> None:
        await self.person.says(words)
        await self._settle()

    async def taps(self, label: str, message: Message | None = None) -> None:
        await self.person.taps(label, message)
        await self._settle()

    async def presses(self, label: str) -> None:
        await self.person.presses(label)
        await self._settle()

    async def reports(self, *labels: str) -> None:
        """Something is wrong: what it is, key by key."""
        await self.presses("Something is wrong")
        for label in labels:
            await self.taps(label)

    async def reports_danger(self) -> None:
        """Something that is urgent on any day, after any treatment."""
        await self.reports("Pain, skin or weakness", "Hot and spreading")

    async def opens(self, link: str) -> None:
        await self.person.opens(link)
        await self._settle()

    async def does(self, act: Callable[..., Awaitable[Any]], *arguments: Any) -> None:
        """Any other act of a finger: ``await ana.does(ana.person.sends_photo, data)``."""
        await act(*arguments)
        await self._settle()

    @property
    def heard(self) -> list[str]:
        """What the bot said, as the phone shows it, oldest first."""
        return [message.text for message in self.person.received]

    def news(self) -> list[str]:
        """What the bot said since this was last asked, oldest first."""
        new, self._listened = self.heard[self._listened :], len(self.heard)
        return new

    async def forges(self, *data: str) -> None:
        """Buttons that the bot never made are tapped under its newest message."""
        message = self.person.last_message
        own = message.inline_keyboard
        message.inline_keyboard = [[{"text": each, "callback_data": each} for each in data]]
        for each in data:
            await self.person.taps(each, message)
        message.inline_keyboard = own
        await self._settle()

    @property
    def last_message(self) -> str:
        return self.person.last_message.text

    @property
    def buttons(self) -> list[str]:
        """The labels under the newest message that has any."""
        for message in reversed(self.person.received):
            if message.labels:
                return list(message.labels)
        return []

    @property
    def link(self) -> str:
        """The newest link on this phone."""
        for message in reversed(self.person.received):
            found = _LINK.search(message.text)
            if found:
                return found.group()
        raise AssertionError(f"{self.person.first_name} has no link")

    def find(self, words: str) -> Message:
        """The newest message of the bot that holds these words."""
        for message in reversed(self.person.received):
            if words in message.text:
                return message
        raise AssertionError(f"{self.person.first_name} never heard {words!r}")

    def toast(self) -> str:
        return self.person.toasts[-1].text if self.person.toasts else ""


@dataclass(slots=True)
class Clinic:
    """The clinic of a story: Nour leads it, Ana and Ben are patients."""

    rehearsal: Rehearsal
    nour: Actor
    ana: Actor
    ben: Actor
    actors: dict[str, Actor] = field(default_factory=dict)

    def someone(self, name: str, **phone: Any) -> Actor:
        """One more person with a phone."""
        person = self.rehearsal.telegram.person(name, **phone)
        return Actor(person, self.settle)

    @property
    def now(self) -> datetime:
        return self.rehearsal.now()

    @property
    def telegram_bot(self) -> Bot:
        return self.rehearsal.app.bot

    async def settle(self) -> None:
        await self.rehearsal.settle()

    async def digests(self, *, wanted: bool) -> None:
        """Whether the morning's digest comes: it would stand among the messages of every story."""
        async with self.rehearsal.app.deps.database.write() as session:
            for owner in await people.clinics(session):
                owner.digest_day = None if wanted else date.max
                session.add(owner)

    async def forward(self, **delta: float) -> None:
        """Push the clock by a timedelta given by its parts."""
        await self.rehearsal.forward(timedelta(**delta))

    async def tick(self, local: str, zone: ZoneInfo = BERLIN) -> None:
        """Push the clock to a local time such as ``2026-03-11 10:00``, stopping at all that is due.

        A few seconds past it, so that what is due then has gone out.
        """
        target = datetime.fromisoformat(local).replace(tzinfo=zone).astimezone(UTC)
        await self.rehearsal.forward(target + timedelta(seconds=5) - self.now)

    async def enroll(
        self,
        patient: Actor,
        name: str = "Ana",
        when: str = "",
        treatment: str = "mesotherapy-face",
    ) -> None:
        """Enroll by the one-line form, and let the patient join with the clinic's zone."""
        await self.nour.says(f"/enroll {name} {treatment} {when}".strip())
        await self.join(patient)

    async def join(self, patient: Actor) -> None:
        """Open the newest link, agree, be confirmed."""
        await patient.opens(self.nour.link)
        await patient.taps("Yes, that is me")
        await patient.taps("I am 18+ and I agree")
        await patient.taps("Yes")
        await self.nour.taps("Yes, confirm")

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """Look through a fresh connection, at the stable views only."""
        async with self.rehearsal.app.deps.database.read() as session:
            found = await session.exec(text(sql))  # type: ignore[call-overload] # plain SQL, as an operator would
            return [dict(row) for row in found.mappings()]

    async def stored(self) -> bytes:
        """Everything that the database holds: every value of every row, and on SQLite the files."""
        deps, folder = self.rehearsal.app.deps, self.rehearsal.app.options.data_dir
        held = bytearray()
        async with deps.database.read() as session:
            connection = await session.connection()
            for table in SQLModel.metadata.sorted_tables:
                for row in await connection.execute(table.select().order_by(*table.primary_key)):
                    for value in row:
                        held += value if isinstance(value, bytes) else repr(value).encode()
        if deps.database.is_sqlite:
            for file in sorted(folder.glob("aftercare.db*")):
                held += file.read_bytes()
        return bytes(held)

    async def history(self, step: str) -> list[str]:
        """What became of each round of a step, oldest first: ``sent``, ``skipped(booked)`` …"""
        async with self.rehearsal.app.deps.database.read() as session:
            found = await session.exec(
                select(Reminder).where(Reminder.step == step).order_by(col(Reminder.id))
            )
            return [f"{row.state}({row.reason})" if row.reason else row.state for row in found]

    async def check_ledger(self) -> None:
        """Every planned step is in one state, with a reason or with the message that carried it."""
        async with self.rehearsal.app.deps.database.read() as session:
            assert await vitals.unbalanced(session) == []
        rows = await self.rows(
            "SELECT r.*, m.state AS carried FROM v_reminder r"
            " LEFT JOIN v_message m ON m.message_id = r.message_id"
        )
        assert {row["state"] for row in rows} <= set(ReminderState)
        open_steps = Counter(
            (row["visit_ref"], row["step"]) for row in rows if row["state"] == "planned"
        )
        assert max(open_steps.values(), default=1) == 1
        for row in rows:
            assert (row["state"] == "sent") == (row["carried"] == "sent"), row
            assert (row["state"] in ("planned", "sent")) == (row["reason"] is None), row

    async def member(self, actor: Actor) -> bool:
        """Whether the account belongs to a patient, or to somebody of the team."""
        async with self.rehearsal.app.deps.database.read() as session:
            return (
                await people.patient_by_account(session, actor.person.id) is not None
                or await people.practitioner_by_account(session, actor.person.id) is not None
            )

    async def reminders(self) -> dict[str, dict[str, Any]]:
        """The newest round of each step, by step."""
        return {row["step"]: row for row in await self.rows("SELECT * FROM v_reminder")}
