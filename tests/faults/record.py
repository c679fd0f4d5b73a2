"""What a full proof reached, written into docs/reliability.md by the run itself."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path

import bot
from bot.clock import SystemClock

PAGE = Path(__file__).parents[2] / "docs" / "reliability.md"
Column = dict[str, str]


def proved(
    name: str, figures: Mapping[str, int | float | str], database: str | None = None
) -> None:
    """With ``AFTERCARE_RECORD=1`` the page holds these figures of the proof, else nothing happens.

    ``database`` is the address of the one that it ran on, ``""`` for SQLite: each kind has its own
    column, and the other one's stays. None is for what needs no database.
    """
    if os.environ.get("AFTERCARE_RECORD") == "1":
        PAGE.write_text(_renewed(PAGE.read_text(), name, figures, _kind(database)))


def _kind(database: str | None) -> str:
    if database is None:
        return "reached"
    return "PostgreSQL" if database.startswith("postgresql") else "SQLite"


def _renewed(page: str, name: str, figures: Mapping[str, int | float | str], kind: str) -> str:
    """The page with the table of this proof renewed; its place is marked there, or it fails."""
    opening, closing = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, found, rest = page.partition(opening)
    table, ended, after = rest.partition(closing)
    if not (found and ended):
        raise KeyError(f"{PAGE.name} has no place for {name!r}")
    columns = _read(table)
    columns[kind] = {what: _shown(value) for what, value in figures.items()} | {
        "date": f"{SystemClock().now():%Y-%m-%d}",
        "program": bot.__version__,
        "Python": platform.python_version(),
        "processors": str(os.cpu_count()),
    }
    return before + opening + _table(dict(sorted(columns.items(), reverse=True))) + closing + after


def _shown(value: float | str) -> str:
    if isinstance(value, str):
        return value.replace("|", "/")
    # A seed is no quantity: it is copied as it stands.
    return str(value) if isinstance(value, int) else f"{value:.2f}"


def _read(table: str) -> dict[str, Column]:
    """The columns that stand there, by their heading."""
    rows = [
        [cell.strip() for cell in line.strip("| ").split("|")]
        for line in table.splitlines()
        if line.startswith("|")
    ]
    if not rows:
        return {}
    (_, *headings), _, *body = rows
    return {
        heading: {row[0]: row[at] for row in body if row[at] != "-"}
        for at, heading in enumerate(headings, 1)
    }


def _table(columns: Mapping[str, Column]) -> str:
    names = dict.fromkeys(name for column in columns.values() for name in column)
    # What every run says of itself comes last, whatever the other column holds besides.
    last = ("date", "program", "Python", "processors")
    ordered = [*(name for name in names if name not in last), *last]
    rows = [
        ["figure", *columns],
        ["---"] * (1 + len(columns)),
        *([name, *(column.get(name, "-") for column in columns.values())] for name in ordered),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)
