"""One patient: from the enrollment to the plan, by the services alone and through two phones."""

import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlmodel import col, select

from benchmarks import clinics
from bot import founding, parts, rehearsal
from bot.clock import SystemClock
from bot.demo.chats import Message
from bot.demo.people import Person
from bot.rehearsal import Rehearsal
from bot.services import enrolling, intake, joining
from bot.services.deps import Deps
from bot.services.turn import Account, Turn
from bot.storage import sealed, tables
from bot.storage.database import Priority
from bot.storage.queries import people

_LINK = re.compile(r"https://t\.me/\S+")
_NOUR = Account(7_000_000_000, "Nour", "nour_lumen", "en")
_BATCH = 200


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Seconds for one patient, by the services: the six transactions together, and two of them."""

    enroll: float
    plan: float
    together: float


@dataclass(frozen=True, slots=True)
class Phoned:
    """Seconds for one patient, through the phones."""

    qr: float
    card: float


async def by_services(folder: Path, base_url: str, count: int) -> list[Enrolled]:
    """Enroll so many patients, one after the other, up to the committed plan."""
    clock = SystemClock()
    options = clinics.settings(folder, base_url)
    zone = clinics.midday_zone(clock.now())
    _, link = await founding.init(options, rehearsal.demo_clinic(timezone=zone), clock)
    deps = parts.open_deps(options, clock)
    try:
        await _timed(deps, _NOUR, lambda turn: joining.open_link(turn, _code(link)))
        return [await _enroll(deps, number) for number in range(count)]
    finally:
        await deps.database.close()


async def _enroll(deps: Deps, number: int) -> Enrolled:
    ana = Account(8_000_000_000 + number, "Ana", "", "en")
    name = f"Ana {number}"
    enroll = await _timed(
        deps, _NOUR, lambda turn: enrolling.enroll(turn, name, clinics.PROTOCOL, None)
    )
    ref, code = await _newest(deps)
    joined = [
        await _timed(deps, ana, lambda turn: joining.open_link(turn, code)),
        await _timed(deps, ana, joining.that_is_me),
        await _timed(deps, ana, joining.agree),
        await _timed(deps, ana, lambda turn: joining.take_zone(turn, "clinic")),
    ]
    plan = await _timed(deps, _NOUR, lambda turn: enrolling.confirm(turn, ref, is_them=True))
    return Enrolled(enroll, plan, enroll + sum(joined) + plan)


async def _timed(deps: Deps, account: Account, act: Callable[[Turn], Awaitable[object]]) -> float:
    """Return the seconds of one transaction, from finding out who speaks to its commit."""
    began = time.perf_counter()
    async with deps.database.write(Priority.INBOX) as session:
        turn = await intake.open_turn(session, deps, 0, deps.clock.now(), account)
        assert turn is not None
        await act(turn)
    return time.perf_counter() - began


async def _newest(deps: Deps) -> tuple[str, str]:
    """Return the newest patient's reference and the code of their link."""
    async with deps.database.read() as session:
        clinic = await people.the_clinic(session)
        assert clinic is not None
        (patient,) = await people.patients(session, clinic.id or 0, limit=1)
        newest = select(tables.Message).order_by(col(tables.Message.id).desc()).limit(1)
        message = (await session.exec(newest)).one()
        return patient.ref, _code(str(sealed.read(session, message)["file"]))


def _code(link: str) -> str:
    return link.partition("=")[2]


async def by_phones(folder: Path, count: int) -> list[Phoned]:
    """Enroll so many patients by the phones of the local Telegram, in this process."""
    zone = clinics.midday_zone(SystemClock().now())
    async with rehearsal.rehearsal(
        folder,
        clinic=rehearsal.demo_clinic(timezone=zone),
        send_rate=clinics.NO_PACE,
        chat_burst=clinics.NO_PACE,
    ) as (whole, _):
        nour = await _lead(whole)
        return [
            await _phone(whole, nour, whole.telegram.person("Ana"), number)
            for number in range(count)
        ]


async def joined(whole: Rehearsal, count: int) -> tuple[Person, list[Person]]:
    """Return the lead and patients who have joined; everything is said that follows from it."""
    nour = await _lead(whole)
    few = [whole.telegram.person("Ana") for _ in range(count)]
    for number, ana in enumerate(few):
        await _phone(whole, nour, ana, number)
    return nour, few


async def _lead(whole: Rehearsal) -> Person:
    nour = whole.telegram.person("Nour", username="nour_lumen")
    await nour.opens(whole.lead_link)
    await whole.settle()
    return nour


async def _phone(whole: Rehearsal, nour: Person, ana: Person, number: int) -> Phoned:
    seen = nour.last_message
    began = time.perf_counter()
    await nour.says(f"/enroll Ana {number} {clinics.PROTOCOL}")
    picture = await nour.hears(lambda message: message.kind == "photo", after=seen)
    qr = time.perf_counter() - began
    found = _LINK.search(picture.text)
    assert found is not None
    await ana.opens(found.group())
    for key in ("yes_that_is_me", "agree_adult", "yes"):
        await ana.taps(*await _button(whole, ana, key))
    await whole.settle()
    label, question = await _button(whole, nour, "it_is_them", after=picture)
    began = time.perf_counter()
    await nour.taps(label, question)
    await _button(whole, ana, "got_it")
    card = time.perf_counter() - began
    await whole.settle()
    return Phoned(qr, card)


async def _button(
    whole: Rehearsal, person: Person, key: str, after: Message | int = 0
) -> tuple[str, Message]:
    """Wait for the message under which a button stands; return its label and the message."""
    label = whole.app.deps.catalogue.label("en", "buttons", key)
    return label, await person.hears(lambda message: label in message.labels, after=after)


def planner(batches: int) -> list[float]:
    """Return the seconds of planning one visit, the mean of each of so many batches."""
    protocol = parts.load_messages(clinics.settings(Path())).protocols[clinics.PROTOCOL]
    visit = clinics.facts(protocol, SystemClock().now(), ZoneInfo("Europe/Berlin"))
    found = []
    for _ in range(batches):
        began = time.perf_counter()
        for _ in range(_BATCH):
            clinics.plan(visit, ZoneInfo("Europe/Berlin"))
        found.append((time.perf_counter() - began) / _BATCH)
    return found
