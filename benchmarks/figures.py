"""What was found, as a table on the terminal and in the README beside this file."""

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table

README = Path(__file__).parent / "README.md"
BEGIN, END = "<!-- figures begin -->", "<!-- figures end -->"
_LIBRARIES = ("python-telegram-bot", "httpx", "SQLAlchemy", "sqlmodel", "aiosqlite", "APScheduler")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of a table, all in words: the median, how far the values lie apart, the ratio."""

    what: str
    median: str
    spread: str
    ratio: str


@dataclass(frozen=True, slots=True)
class Part:
    """Figures that are compared with the same thing; ``ratio`` says with what."""

    title: str
    ratio: str
    figures: Sequence[Figure]


def figure(
    what: str, values: Sequence[float], unit: str, ratios: Sequence[float], *, scale: float = 1
) -> Figure:
    """Return the line of values measured in turns; every ratio is one of the same turn."""
    shown = sorted(value * scale for value in values)
    return Figure(
        what,
        f"{_number(statistics.median(shown))}{unit}",
        f"{_number(shown[0])} to {_number(percentile(shown, 0.99))}",
        _number(statistics.median(ratios)),
    )


def percentile(ordered: Sequence[float], share: float) -> float:
    """Return the value that ``share`` of the ordered values do not exceed."""
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def show(parts: Sequence[Part], console: Console) -> None:
    """Print the tables."""
    for part in parts:
        table = Table(title=part.title, title_justify="left", expand=True)
        table.add_column("what", ratio=1)
        for heading in ("median", "lowest to 99 %", part.ratio):
            table.add_column(heading, justify="right", max_width=18)
        for each in part.figures:
            table.add_row(each.what, each.median, each.spread, f"[bold]{each.ratio}[/bold]")
        console.print(table)


def write(parts: Sequence[Part], method: str, today: date) -> None:
    """Put the tables between the two marks of the README."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = "\n\n".join([_measured_with(method, today), *(_markdown(part) for part in parts)])
    README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


def _measured_with(method: str, today: date) -> str:
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in _LIBRARIES)
    return (
        f"Measured on {today.isoformat()}: {method} Python {platform.python_version()} on "
        f"{platform.system()}, {os.cpu_count()} cores; {versions}."
    )


def _markdown(part: Part) -> str:
    lines = [
        f"### {part.title}",
        "",
        f"| what | median | lowest to 99 % | {part.ratio} |",
        "|---|---:|---:|---:|",
    ]
    lines += [
        f"| {each.what} | {each.median} | {each.spread} | **{each.ratio}** |"
        for each in part.figures
    ]
    return "\n".join(lines)
