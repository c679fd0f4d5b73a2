"""Outages of any length over generated plans, counted at the local Telegram and in the ledger."""

import logging
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from bot import founding
from bot.app import App
from bot.clock import PushedClock
from bot.demo.people import Person
from bot.demo.telegram import LocalTelegram
from bot.domain.schedule import LATE
from bot.domain.times import QuietHours, is_quiet
from bot.rehearsal import Rehearsal, demo_clinic, local_settings
from bot.services import outages, unsent
from bot.services.planning import replan
from bot.services.turn import Account, Turn
from bot.services.typed_dates import MomentTyped
from bot.services.visits import set_visit
from bot.storage.queries import people, vitals
from bot.storage.tables import Practitioner
from tests.conftest import LONG_S, START
from tests.faults.record import proved
from tests.faults.world import add_patient, add_practitioner

log = logging.getLogger(__name__)

OUTAGES = int(os.environ.get("AFTERCARE_OUTAGES", "4"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
IN_A_WORLD = 10
ZONES = ("Europe/Berlin", "Europe/Lisbon", "America/New_York", "Asia/Kolkata")
NOTICE = "this chat was offline"
# The clock of the machine runs on while the bot starts and sends.
SLACK = timedelta(minutes=1)


@dataclass(slots=True)
class House:
    """A bot that can be switched off for a while, its clinic and its patients."""

    whole: Rehearsal
    practitioner: Practitioner
    nour: Person
    patients: dict[int, Person] = field(default_factory=dict)
    zones: dict[int, str] = field(default_factory=dict)

    @property
    def clock(self) -> PushedClock:
        return self.whole.clock

    async def joins(self, dice: random.Random) -> None:
        """One more patient, in some zone; perhaps with a second visit booked."""
        deps, now = self.whole.app.deps, self.clock.now()
        person = self.whole.telegram.person(f"Patient {len(self.patients)}")
        async with deps.database.write() as session:
            patient = await add_patient(session, deps, person, self.practitioner, now)
            patient.timezone = dice.choice(ZONES)
            session.add(patient)
            await replan(session, patient.id or 0, now)
            clinic = await people.clinic(session, patient.clinic_id)
            account = Account(self.nour.id)
            turn = Turn(session, deps, now, 0, clinic, account, self.practitioner)
            if dice.random() < 0.6:
                at = now + timedelta(days=dice.randint(3, 50), hours=dice.randint(0, 6))
                await set_visit(turn, patient.ref, MomentTyped(at, past=False))
        self.patients[patient.id or 0] = person
        self.zones[person.id] = patient.timezone
        deps.bells.ring()
        await self.whole.settle()

    async def is_off_for(self, length: timedelta) -> datetime:
        """Stop, let the time pass, start on the same database; return when that was."""
        # A poll that waited while the clock was pushed returns: until now there was contact.
        await self.nour.says("/help")
        await self.whole.settle()
        old = self.whole.app
        await old.stop()
        self.clock.push(length)
        fresh = App(old.options, self.clock, 1_000, LONG_S)
        await fresh.start(web=False)
        self.whole = replace(self.whole, app=fresh)
        await self.whole.settle()
        return self.clock.now()

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        async with self.whole.app.deps.database.read() as session:
            found = await session.exec(text(sql))  # type: ignore[call-overload] # plain SQL
            return [dict(row) for row in found.mappings()]


@asynccontextmanager
async def house(folder: Path, database_url: str) -> AsyncIterator[House]:
    """A running bot with nobody in care yet."""
    clock = PushedClock(START)
    telegram = LocalTelegram(now=clock.now)
    async with telegram.serve() as server:
        options = local_settings(server, telegram.token, folder)
        options = options.model_copy(update={"database_url": database_url, "send_rate": 10_000.0})
        clinic = demo_clinic()
        _, link = await founding.init(options, clinic, clock)
        running = App(options, clock, 1_000, LONG_S)
        await running.start(web=False)
        zone = ZoneInfo(clinic.timezone)
        whole = Rehearsal(running, telegram, server, clock, link, zone)
        nour = telegram.person("Nour")
        async with running.deps.database.write() as session:
            practitioner = await add_practitioner(session, nour, clock.now())
        home = House(whole, practitioner, nour)
        try:
            yield home
        finally:
            await home.whole.app.stop()


def length_of(dice: random.Random) -> timedelta:
    """From a minute to thirty days; short ones as often as long ones."""
    shortest, longest = 1.0, 30 * 24 * 60.0
    return timedelta(minutes=shortest * (longest / shortest) ** dice.random())


async def one_outage(home: House, dice: random.Random, figures: Counter[str]) -> None:
    """Live through one, and through some days after it; every promise is counted."""
    length = length_of(dice)
    known = {person.id: len(person.received) for person in home.patients.values()}
    waiting = await home.rows(
        "SELECT r.reminder_id, r.due_at FROM v_reminder r WHERE r.state = 'planned'"
    )
    due = {row["reminder_id"]: datetime.fromisoformat(row["due_at"]) for row in waiting}
    until = await home.is_off_for(length)
    await home.whole.forward(timedelta(days=dice.uniform(1, 6)))

    # One message with all that was late, to each patient.
    sent = await home.rows(
        "SELECT r.reminder_id, r.patient_ref, r.message_id, m.sent_at, m.telegram_message_id"
        " FROM v_reminder r JOIN v_message m ON m.message_id = r.message_id"
        " WHERE r.state = 'sent'"
    )
    caught: dict[str, set[str]] = {}
    for row in sent:
        was = due.get(row["reminder_id"])
        if was is not None and was < until - LATE - SLACK:
            caught.setdefault(row["patient_ref"], set()).add(row["message_id"])
            figures["steps caught up"] += 1
    assert max(map(len, caught.values()), default=0) <= 1, (length, caught)
    figures["catch-up messages"] += len(caught)

    # The notice, once and only after a long one.
    for person in home.patients.values():
        fresh = person.received[known[person.id] :]
        told = [each for each in fresh if NOTICE in each.text]
        assert len(told) == (length > outages.LONG), (length, len(told))
        figures["notices"] += len(told)


async def the_whole_ledger(home: House, figures: Counter[str]) -> None:
    """Whatever happened: nothing stale, nothing at night, every step accounted for, and listed."""
    chats = {person.id: person for person in home.patients.values()}
    sent = await home.rows(
        "SELECT m.chat_id, m.telegram_message_id, r.expires_at FROM v_message v"
        " JOIN message m ON m.ref = v.message_id JOIN v_reminder r ON r.message_id = m.ref"
        " WHERE r.state = 'sent'"
    )
    for row in sent:
        (copy,) = [
            each for each in chats[row["chat_id"]].received if each.id == row["telegram_message_id"]
        ]
        # By the phone: what the bot believes of itself proves nothing.
        assert copy.date < datetime.fromisoformat(row["expires_at"]), row
    figures["reminders on a phone"] += len(sent)
    rows = await home.rows(
        "SELECT chat_id, telegram_message_id, template, visit_id FROM message"
        " WHERE state = 'sent' AND unasked AND patient_id IS NOT NULL AND practitioner_id IS NULL"
    )
    quiet_exempt = {"steps/mesotherapy-face/card"}
    for row in rows:
        shown = {each.id: each for each in chats[row["chat_id"]].received}
        message = shown[row["telegram_message_id"]]
        zone = ZoneInfo(home.zones[row["chat_id"]])
        if row["template"] not in quiet_exempt:
            assert not is_quiet(message.date, zone, QuietHours()), row
        figures["unasked messages"] += 1
    async with home.whole.app.deps.database.read() as session:
        assert await vitals.unbalanced(session) == []
    states = Counter(row["state"] for row in await home.rows("SELECT state FROM v_reminder"))
    assert set(states) <= {
        *("planned", "sent", "skipped", "expired", "cancelled", "undelivered"),
    }
    figures["steps"] += sum(states.values())
    figures["steps expired"] += states["expired"]
    doubled = await home.rows(
        "SELECT visit_id, step, round FROM reminder WHERE state = 'sent'"
        " GROUP BY visit_id, step, round HAVING count(*) > 1"
    )
    assert doubled == []
    unlisted = await home.rows(
        "SELECT ref FROM reminder WHERE state IN ('expired', 'undelivered') AND listed_at IS NULL"
    )
    assert unlisted == []
    lists = await home.rows(
        f"SELECT state FROM message WHERE template = '{unsent.LIST}' AND state <> 'sent'"
    )
    assert lists == []
    heard = [
        each.text for each in home.nour.received if each.text.startswith("Not sent, or in doubt: ")
    ]
    counted = sum(int(each.removeprefix("Not sent, or in doubt: ").split()[0]) for each in heard)
    (listed,) = await home.rows(
        "SELECT count(*) AS steps FROM reminder WHERE state IN ('expired', 'undelivered')"
        # What was past when its visit was booked was never to be sent.
        " AND final_at > created_at"
    )
    assert counted == listed["steps"]
    figures["steps listed"] += counted


@pytest.mark.timeout(60 + 60 * OUTAGES)
async def test_outages_of_any_length(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice, figures = random.Random(SEED), Counter[str]()  # noqa: S311 - to be lived again
    done = 0
    while done < OUTAGES:
        folder = tmp_path / str(done)
        folder.mkdir(mode=0o700)
        async with house(folder, chosen_database_url) as home:
            for _ in range(min(IN_A_WORLD, OUTAGES - done)):
                for _ in range(dice.randint(1, 4)):
                    await home.joins(dice)
                    await home.whole.forward(timedelta(hours=dice.uniform(0, 90)))
                await one_outage(home, dice, figures)
                done += 1
            await the_whole_ledger(home, figures)
    log.warning("outages: %s", dict(figures))
    proved("outages", {"outages": done, **figures, "seed": SEED}, chosen_database_url)
