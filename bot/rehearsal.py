"""The bot against the local Telegram, on a clock that can be pushed."""

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import SecretStr

from bot import founding
from bot.app import App
from bot.clock import PushedClock
from bot.demo.people import Person
from bot.demo.phones import Invitation, Phones
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from bot.incoming.safety_text import PATIENCE_S
from bot.outgoing import dates
from bot.outgoing.pace import CHAT_BURST
from bot.services import digest
from bot.services.housekeeping import UNRECORDED
from bot.settings import Settings
from bot.storage.queries import inbox, looks, outbox, people, plans
from bot.storage.tables import Clinic
from bot.watch import LOOK_S

_LOOK_S = 0.01
_LOOKS_A_ROUND = 10
# Reminders of one push leave one after the other: a patient's phone shows them in order.
_PATIENCE_S = 60.0
# A pause without an end lies far beyond it.
_YEAR = timedelta(days=365)


def demo_clinic(*, timezone: str = "Europe/Berlin") -> Clinic:
    """Return the sample clinic of the demo; its protocols are approved and marked as demo."""
    return Clinic(
        ref="",
        name="Lumen Clinic",
        sender_name="Lumen",
        timezone=timezone,
        phone="+49 30 5550 100",
        emergency_number="112",
        urgent_number="116 117",
        urgent_place="the emergency department of the nearest hospital",
        opening_hours="Mon to Fri 09:00 to 18:00",
        is_demo=True,
        live_at=datetime(2026, 1, 1, tzinfo=UTC),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A running bot, its local Telegram and the clock that both follow."""

    app: App
    telegram: LocalTelegram
    server: Server
    clock: PushedClock
    lead_link: str
    zone: ZoneInfo

    def now(self) -> datetime:
        """Return the time of the rehearsal, aware UTC."""
        return self.clock.now()

    async def next_message(self) -> str | None:
        """Push the clock to the next thing that will be sent, and wait until it was.

        Returns a line about when that was, or nothing when no message is planned.
        """
        # An answer that is still on its way is not the next message.
        await self.settle()
        seen = self._sent()
        while (due_at := await self._next_due()) is not None:
            await self._to(due_at)
            # What is due may be dropped by its rules: only what was sent ends the push.
            if self._sent() > seen:
                return dates.moment(due_at, self.zone, "en", due_at)
        return None

    async def forward(self, delta: timedelta) -> None:
        """Push the clock by ``delta``, stopping at every due time on the way."""
        target = self.clock.now() + delta
        while (due_at := await self._next_due(target)) is not None and due_at <= target:
            await self._to(due_at)
        await self._to(target)

    def _sent(self) -> int:
        """Count what the phones have received; edits are no new messages."""
        return sum(len(person.received) for person in self.telegram.people)

    async def _to(self, moment: datetime) -> None:
        self.clock.push_to(moment)
        self.app.deps.bells.ring()
        await self.settle()

    async def _next_due(self, until: datetime | None = None) -> datetime | None:
        now = self.clock.now()
        async with self.app.deps.database.read() as session:
            found = [
                await looks.next_at(session, now),
                await outbox.next_due_at(session, now),
                await people.next_pause_end(session, now, now + _YEAR),
            ]
            owner = await people.the_clinic(session)
            visit_at = await plans.next_visit_at(session, now - UNRECORDED)
            # Whoever did not record it is asked then.
            found.append(None if visit_at is None else visit_at + UNRECORDED)
        due_at = min((moment for moment in found if moment is not None), default=None)
        last = min((moment for moment in (due_at, until) if moment is not None), default=None)
        if last is None:
            return None
        # A digest comes every morning: the clock stops for that of a day on which it stops anyway.
        morning = digest.next_at(owner, last) if owner is not None else None
        return morning if morning is not None and now < morning < last else due_at

    async def settle(self) -> None:
        """Wait until every update is handled, every due reminder judged and every message sent."""
        async with asyncio.timeout(_PATIENCE_S):
            while True:
                # What is under way rings the bells itself; a round for each look would slow it.
                for _ in range(_LOOKS_A_ROUND):
                    if await self._quiet():
                        break
                    await asyncio.sleep(_LOOK_S)
                await self._round()
                if await self._quiet():
                    return

    async def _round(self) -> None:
        """Wait for one whole round of the jobs that began after now."""
        alarm = self.app.alarm
        # A round under way may have looked already; the next one begins after now.
        wanted = alarm.begun + 1
        self.app.deps.bells.ring()
        while alarm.rounds < wanted:
            alarm.ended.clear()
            await alarm.ended.wait()
        keeper = self.app.keeper
        while not keeper.idle:
            keeper.ended.clear()
            await keeper.ended.wait()

    async def _quiet(self) -> bool:
        if self.telegram.updates.waiting or not self.app.idle or not self.app.alarm.idle:
            return False
        if self.app.delivery.line.down:
            # What is due waits for Telegram, and so does whoever pushes the clock.
            return True
        now = self.clock.now()
        # A flood wait lasts; the ordinary second between two messages to a chat does not.
        resting = self.app.pace.resting(longer_than_s=2.0)
        async with self.app.deps.database.read() as session:
            # Stored already, but its worker has not looked yet.
            if await inbox.waiting(session, limit=1):
                return False
            return not await outbox.anything_due(session, now, resting=resting)


def local_settings(server: Server, token: str, folder: Path) -> Settings:
    """Return settings for a bot that talks to ``server`` and keeps its data in ``folder``."""
    # Constructed without a look at ``.env`` or environment: nothing of an operator's is touched.
    return Settings.model_construct(
        telegram_bot_token=SecretStr(token),
        telegram_api_url=server.base_url,
        data_dir=folder,
        http_bind="127.0.0.1:0",
        log_level="WARNING",
    )


@asynccontextmanager
async def rehearsal(
    folder: Path,
    *,
    port: int = 0,
    clock: PushedClock | None = None,
    clinic: Clinic | None = None,
    database_url: str = "",
    page: bool = False,
    send_rate: float = 28.0,
    chat_burst: float = CHAT_BURST,
    patience_s: float = PATIENCE_S,
    look_s: float = LOOK_S,
) -> AsyncIterator[tuple[Rehearsal, list[Person]]]:
    """Run bot and local Telegram until the block ends; with ``page``, show the two phones."""
    clock = clock or PushedClock()
    # A token that no web page can know, should one reach this port.
    telegram = LocalTelegram(now=clock.now, token=f"1000000001:{secrets.token_urlsafe(24)}")
    people: list[Person] = []
    phones = Phones(telegram) if page else None
    if page:
        people = [
            telegram.person("Nour", username="nour_lumen"),
            telegram.person("Ana", username="ana_sample"),
        ]
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(telegram.serve(port, phones=phones))
        options = local_settings(server, telegram.token, folder)
        options = options.model_copy(update={"database_url": database_url, "send_rate": send_rate})
        clinic = clinic or demo_clinic()
        zone = ZoneInfo(clinic.timezone)
        _, link = await founding.init(options, clinic, clock)
        running = App(options, clock, chat_burst, patience_s, look_s=look_s)
        await running.start(web=False)
        stack.push_async_callback(running.stop)
        whole = Rehearsal(running, telegram, server, clock, link, zone)
        if phones is not None:
            label = running.deps.catalogue.label("en", "demo", "open_lead_link")
            phones.clock = whole
            phones.invitation = Invitation(label, link, people[0])
            phones.roles.update(
                {
                    people[0].id: running.deps.catalogue.label("en", "demo", "practitioner"),
                    people[1].id: running.deps.catalogue.label("en", "demo", "patient"),
                }
            )
        yield whole, people


async def demo(port: int, opened: Callable[[str], None], stop: asyncio.Event) -> None:
    """Run the two phones until ``stop``; ``opened`` is told the page's address once it answers."""
    with tempfile.TemporaryDirectory(prefix="aftercare-demo-") as folder:
        async with rehearsal(Path(folder), port=port, page=True) as (whole, _):
            opened(whole.server.base_url)
            await stop.wait()
