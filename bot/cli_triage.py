"""The command for whoever reviews the table of triage: what answers amount to, and what follows."""

import json
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bot import parts
from bot.domain.triage import SIGNS, Trend
from bot.outgoing.texts import Texts
from bot.services import verdict
from bot.settings import Settings

_LAST_DAY = 3650


def triage(
    protocol: Annotated[str, typer.Argument(help="Such as mesotherapy-face.")],
    day: Annotated[int, typer.Option(help="The day after the session, which is day 0.")],
    answers: Annotated[str, typer.Option(help="Signs, such as redness,sore_lump.")] = "",
    trend: Annotated[str, typer.Option(help="better, same, worse or not_sure.")] = "",
    variant: Annotated[str | None, typer.Option(help="A variant of the protocol.")] = None,
    language: Annotated[str, typer.Option(help="The language of the text.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show the level that answers reach on a day, what the patient reads, and what follows."""
    messages = parts.load_messages(Settings())
    if protocol not in messages.protocols:
        known = ", ".join(messages.protocols)
        raise typer.BadParameter(f"there is no protocol {protocol!r}; known: {known}")
    if variant is not None and variant not in messages.protocols[protocol].variants:
        known = ", ".join(messages.protocols[protocol].variants) or "none"
        raise typer.BadParameter(f"{protocol} has no variant {variant!r}; known: {known}")
    if language not in messages.languages:
        raise typer.BadParameter(f"there are no texts in language {language!r}")
    if not 0 <= day <= _LAST_DAY:
        raise typer.BadParameter(f"--day must be from 0 to {_LAST_DAY}")
    if trend and trend not in set(Trend):
        raise typer.BadParameter(f"{trend!r} is not one of {', '.join(Trend)}")
    given = [each.strip() for each in answers.split(",") if each.strip()]
    if unknown := [each for each in given if each not in SIGNS]:
        raise typer.BadParameter(f"{unknown[0]!r} is not one of {', '.join(SIGNS)}")
    found = verdict.as_json(
        messages,
        Texts(messages),
        messages.protocols[protocol].of(variant),
        day,
        given,
        Trend(trend) if trend else None,
        language,
    )
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        _print(found)


def _print(found: dict[str, Any]) -> None:
    console = Console(markup=False, emoji=False, highlight=False)
    console.print(f"Level: {found['level']}", style="bold")
    console.print(found["patient_text"])
    table = Table(title="What follows", box=box.SIMPLE_HEAD)
    for heading in ("after", "to", "what"):
        table.add_column(heading)
    for item in found["then"]:
        minutes, seconds = divmod(item["after_s"], 60)
        after = f"{minutes} min" if item["after_s"] else "at once"
        table.add_row(after + (f" {seconds} s" if seconds else ""), item["to"], item["action"])
    console.print(table)


ALL = (triage,)
