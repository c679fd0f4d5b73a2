"""``python -m benchmarks``: measure everything once, in turns, and print the tables."""

import asyncio
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import answers, clinics, figures, patients, processes, rates, starts
from benchmarks.answers import Answered
from benchmarks.figures import Figure, Part
from benchmarks.processes import Start
from benchmarks.rates import Burst
from benchmarks.stub import StubTelegram
from bot.clock import SystemClock
from bot.demo.telegram import FIRST_PERSON


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured."""

    rounds: int
    messages: int
    patients: int
    planned: int
    crowd: int
    reports: int

    @property
    def method(self) -> str:
        """What a reader must know of the size."""
        return (
            f"{self.rounds} rounds in turns, {self.messages:,} messages a burst, "
            f"{self.patients} patients enrolled, SQLite."
        )


FULL = Size(rounds=3, messages=500, patients=30, planned=100_000, crowd=10_000, reports=80)
QUICK = Size(rounds=1, messages=20, patients=1, planned=1_000, crowd=300, reports=2)


@dataclass(frozen=True, slots=True)
class Pair:
    """The bare loop and the whole path, of the same round and against the same server."""

    bare: Burst
    whole: Burst


class Bench:
    """One run: a folder of clinics, and the servers they talk to."""

    def __init__(self, size: Size, folder: Path, console: Console) -> None:
        """Measure with ``size`` in ``folder``; ``console`` is told what is going on."""
        self.size = size
        self._folder = folder
        self._console = console
        self._copies = 0
        self._empty = folder / "empty"
        self._full = folder / "full"
        self.planned = 0

    def _new(self) -> Path:
        self._copies += 1
        return self._folder / f"run{self._copies}"

    async def prepare(self, base_url: str) -> None:
        """Make a clinic with nobody in it, and one whose patients have all their steps to come."""
        self._console.log(f"planning {self.size.planned:,} reminders")
        await clinics.make(self._empty, base_url)
        clinics.copy(self._empty, self._full)
        done_at = clinics.just_now(SystemClock().now())
        one = await clinics.fill(self._full, 1, done_at, clinics.FIRST_WAITING)
        more = -(-self.size.planned // one) - 1
        self.planned = one + await clinics.fill(
            self._full, more, done_at, clinics.FIRST_WAITING + 1
        )

    async def bursts(self, base_url: str, *, full: bool = False, on_time: bool = True) -> Pair:
        """Return one round: the bare loop, then the whole path."""
        self._console.log(
            "a burst", "among many planned" if full else "", "" if on_time else "after an outage"
        )
        folder = clinics.copy(self._full if full else self._empty, self._new())
        count = self.size.messages
        done_at = clinics.yesterday(SystemClock().now())
        await clinics.fill(folder, count, done_at, FIRST_PERSON, on_time=on_time)
        sample = await clinics.sample(folder)
        bare = await rates.bare(folder, base_url, count, sample)
        return Pair(bare, await rates.whole_path(folder, base_url, count))

    async def starts(self, stub: StubTelegram) -> tuple[Start, Start, Start]:
        """Return one round: the bare process, the bot with nothing planned, with very much."""
        self._console.log("three starts")
        return (
            await starts.bare(self._folder, stub),
            await starts.bot(self._empty, self._new(), stub),
            await starts.bot(self._full, self._new(), stub),
        )

    async def run(self) -> list[Part]:
        """Measure everything; return the tables."""
        size = self.size
        async with AsyncExitStack() as stack:
            stub = StubTelegram()
            await stub.listen()
            stack.callback(stub.close)
            await self.prepare(stub.base_url)
            begun = [await self.starts(stub) for _ in range(size.rounds)]
            self._console.log(f"enrolling {size.patients} patients, twice")
            enrolled = await patients.by_services(self._new(), stub.base_url, size.patients)
            phoned = await patients.by_phones(self._new(), size.patients)
            planner = patients.planner(5)
            self._console.log(f"answers, also while {size.crowd:,} reminders leave")
            idle, busy = await answers.while_it_leaves(self._new(), size.crowd, size.reports)
            quick = await stack.enter_async_context(processes.telegram("benchmarks.stub"))
            true = await stack.enter_async_context(
                processes.telegram("benchmarks.simulator", str(size.messages))
            )
            rounds = [
                (
                    await self.bursts(quick),
                    await self.bursts(quick, full=True),
                    await self.bursts(quick, on_time=False),
                    await self.bursts(true),
                )
                for _ in range(size.rounds)
            ]
        to_stub, among_many, late, to_simulator = (list(each) for each in zip(*rounds, strict=True))
        one_send_s = sorted(1 / pair.bare.rate for pair in to_stub)[size.rounds // 2]
        return [
            Part(
                "Reminders a second, to the last durable mark",
                "of the bare loop",
                [
                    *_rates("stub", to_stub),
                    *_rates(f"stub, {self.planned:,} more planned", among_many),
                    *_rates("stub, after an outage", late),
                    *_rates("simulator", to_simulator),
                ],
            ),
            Part(
                "Processor time of one message in the sending process",
                "times the bare loop",
                [*_costs("stub", to_stub), *_costs("simulator", to_simulator)],
            ),
            Part(
                "One patient",
                "in bare sends",
                [
                    _time("enroll (one transaction)", [e.enroll for e in enrolled], one_send_s),
                    _time("confirm and plan (one)", [e.plan for e in enrolled], one_send_s),
                    _time(
                        "enroll, join and plan (six)", [e.together for e in enrolled], one_send_s
                    ),
                    _time("phones: /enroll to QR picture", [p.qr for p in phoned], one_send_s),
                    _time('phones: "Yes, confirm" to card', [p.card for p in phoned], one_send_s),
                    _time("the planner alone, one visit", planner, one_send_s),
                ],
            ),
            Part(
                "From a patient's finger, at Telegram's pace",
                "times the idle bot",
                [
                    *_answers("idle", idle, idle),
                    *_answers(f"while {size.crowd:,} reminders leave", busy, idle),
                ],
            ),
            Part(
                "Start of the process to its first message",
                "times the bare process",
                _starts(begun, self.planned),
            ),
        ]


def _rates(server: str, pairs: Sequence[Pair]) -> list[Figure]:
    bare = [pair.bare.rate for pair in pairs]
    whole = [pair.whole.rate for pair in pairs]
    shares = [pair.whole.rate / pair.bare.rate for pair in pairs]
    return [
        figures.figure(f"bare loop ({server})", bare, "/s", [1.0]),
        figures.figure(f"whole path ({server})", whole, "/s", shares),
    ]


def _costs(server: str, pairs: Sequence[Pair]) -> list[Figure]:
    bare = [pair.bare.cost_s for pair in pairs]
    whole = [pair.whole.cost_s for pair in pairs]
    times = [pair.whole.cost_s / pair.bare.cost_s for pair in pairs]
    return [
        figures.figure(f"bare loop ({server})", bare, " ms", [1.0], scale=1e3),
        figures.figure(f"whole path ({server})", whole, " ms", times, scale=1e3),
    ]


def _answers(when: str, found: Answered, idle: Answered) -> list[Figure]:
    return [
        figures.figure(
            f"{what}, {when}",
            seconds,
            " ms",
            [each / statistics.median(alone) for each in seconds],
            scale=1e3,
        )
        for what, seconds, alone in (
            ("an answer to a menu key", found.answer, idle.answer),
            ('the phone numbers after "Something is wrong"', found.numbers, idle.numbers),
            ("what to do now, after a sign of danger", found.advice, idle.advice),
            ("the practitioner's alert, after a sign of danger", found.alert, idle.alert),
        )
    ]


def _time(what: str, seconds: Sequence[float], one_send_s: float) -> Figure:
    sends = [each / one_send_s for each in seconds]
    return figures.figure(what, seconds, " ms", sends, scale=1e3)


def _starts(rounds: Sequence[tuple[Start, Start, Start]], planned: int) -> list[Figure]:
    names = ("bare process", "bot, nothing planned", f"bot, {planned:,} reminders planned")
    found = [
        figures.figure(
            f"{name}: time",
            [each[at].seconds for each in rounds],
            " s",
            [each[at].seconds / each[0].seconds for each in rounds],
        )
        for at, name in enumerate(names)
    ]
    peaks = [[each.peak_mb or 0.0 for each in one] for one in rounds]
    if any(0.0 in each for each in peaks):
        return found
    return found + [
        figures.figure(
            f"{name}: peak memory",
            [each[at] for each in peaks],
            " MB",
            [each[at] / each[0] for each in peaks],
        )
        for at, name in enumerate(names)
    ]


def main(
    quick: Annotated[
        bool, typer.Option("--quick", help="Prove in seconds that it works; no figures to quote.")
    ] = False,
    write: Annotated[
        bool, typer.Option("--write", help="Put the tables into benchmarks/README.md.")
    ] = False,
) -> None:
    """Measure the bot against a bare send loop of its library."""
    if quick and write:
        raise typer.BadParameter("the figures of --quick are not for the README")
    size = QUICK if quick else FULL
    console = Console()
    with tempfile.TemporaryDirectory(prefix="aftercare-bench-") as folder:
        parts = asyncio.run(Bench(size, Path(folder), Console(stderr=True)).run())
    figures.show(parts, console)
    if write:
        figures.write(parts, size.method, SystemClock().now().date())


if __name__ == "__main__":
    commands = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    commands.command()(main)
    commands()
