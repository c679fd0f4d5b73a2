"""What a clinician reviews: each step of a protocol as patients get it, and the table of triage."""

import json
from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from bot import parts
from bot.domain.protocol import Protocol
from bot.domain.times import to_utc
from bot.domain.triage import SIGNS, Trend
from bot.outgoing import catalogue
from bot.outgoing.texts import Texts
from bot.services import preview as previews
from bot.services import verdict
from bot.settings import Settings

_LAST_DAY = 3650
_YEARS = (1970, 2200)


def _chosen(
    protocol: str, variant: str | None, language: str
) -> tuple[catalogue.Catalogue, Protocol]:
    """Return the messages, and the protocol in its variant; what is not there is refused."""
    messages = parts.load_messages(Settings())
    if protocol not in messages.protocols:
        known = ", ".join(messages.protocols)
        raise typer.BadParameter(f"there is no protocol {protocol!r}; known: {known}")
    if variant is not None and variant not in messages.protocols[protocol].variants:
        known = ", ".join(messages.protocols[protocol].variants) or "none"
        raise typer.BadParameter(f"{protocol} has no variant {variant!r}; known: {known}")
    if language not in messages.languages:
        raise typer.BadParameter(f"there are no texts in language {language!r}")
    return messages, messages.protocols[protocol].of(variant)


def zone_named(name: str) -> ZoneInfo:
    """Return the time zone of that name; one that does not exist is refused."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise typer.BadParameter(f"there is no time zone {name!r}; try Europe/Berlin") from None


def _local(text: str, zone: ZoneInfo) -> datetime:
    """Return a typed local time as an instant; a time that a clock change leaves out is refused."""
    try:
        typed = datetime.strptime(text, "%Y-%m-%dT%H:%M")  # noqa: DTZ007 - the zone comes next
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a time like 2026-03-28T18:30") from None
    _in_reach(typed.date(), text)
    found = to_utc(typed.date(), typed.time(), zone)
    if found.astimezone(zone).replace(tzinfo=None) != typed:
        raise typer.BadParameter(f"{text} does not exist in {zone.key}: the clocks go forward then")
    return found


def _in_reach(day: date, text: str) -> None:
    # No plan reaches out of these years, and the calendar has an end on both sides.
    if not _YEARS[0] <= day.year < _YEARS[1]:
        raise typer.BadParameter(f"{text} is not in the years {_YEARS[0]} to {_YEARS[1] - 1}")


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
    messages, chosen = _chosen(protocol, variant, language)
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
        chosen,
        day,
        given,
        Trend(trend) if trend else None,
        language,
    )
    if as_json:
        typer.echo(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        _print_verdict(found)


def _print_verdict(found: dict[str, Any]) -> None:
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


def preview(
    protocol: Annotated[str, typer.Argument(help="Such as mesotherapy-face.")],
    visit: Annotated[str, typer.Option(help="The session, local time: 2026-03-28T18:30.")],
    timezone: Annotated[str, typer.Option(help="The zone of patient and clinic.")],
    next_visit: Annotated[str | None, typer.Option(help="The next booked visit, local.")] = None,
    target: Annotated[str | None, typer.Option(help="Planned date of the next session.")] = None,
    variant: Annotated[str | None, typer.Option(help="A variant of the protocol.")] = None,
    language: Annotated[str, typer.Option(help="The language of the texts.")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every step of a protocol with its times, texts and buttons, and each limit's end."""
    messages, chosen = _chosen(protocol, variant, language)
    zone = zone_named(timezone)
    given = previews.Dates(
        _local(visit, zone),
        None if next_visit is None else _local(next_visit, zone),
        None if target is None else _day(target),
        zone,
    )
    if given.next_visit_at is not None and given.next_visit_at <= given.done_at:
        raise typer.BadParameter("--next-visit must lie after --visit")
    if given.target is not None and given.target <= given.done_at.astimezone(zone).date():
        raise typer.BadParameter("--target must lie after --visit")
    plan = previews.as_json(messages, Texts(messages), chosen, given, language)
    if as_json:
        typer.echo(json.dumps(plan, ensure_ascii=False, indent=2))
    else:
        _print_plan(plan)


def _day(text: str) -> date:
    try:
        found = date.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a date like 2026-04-25") from None
    _in_reach(found, text)
    return found


def _print_plan(plan: dict[str, Any]) -> None:
    # Texts are shown as they are: a clinic's own may hold what looks like markup.
    console = Console(markup=False, emoji=False, highlight=False)
    zone = ZoneInfo(plan["timezone"])
    name = " ".join(plan[key] for key in ("protocol", "variant") if key in plan)
    table = Table(
        title=f"{name} version {plan['version']}",
        caption=f"Times in {zone.key}. Whole texts and buttons: --json",
        box=box.SIMPLE_HEAD,
        expand=True,
    )
    shown = [
        (
            step["step"],
            _short_time(step["due_utc"], zone) or step.get("reason", ""),
            _short_time(step["expires_utc"], zone),
        )
        for step in plan["steps"]
    ]
    for at, heading in enumerate(("step", "goes at", "of use until")):
        # Whole in a narrow window too: what is left goes to the first words of the text.
        widest = max((len(row[at]) for row in shown), default=0)
        table.add_column(heading, no_wrap=True, width=max(widest, len(heading)))
    table.add_column("text", no_wrap=True, overflow="ellipsis", ratio=1)
    for row, step in zip(shown, plan["steps"], strict=True):
        table.add_row(*row, " ".join(step["text"].split()))
    console.print(table)
    limits = Table(title="Limits", caption=f"Times in {zone.key}", box=box.SIMPLE_HEAD)
    for heading in ("limit", "ends"):
        limits.add_column(heading)
    for limit in plan["limits"]:
        limits.add_row(limit["limit"], _short_time(limit["ends_utc"], zone))
    console.print(limits)


def _short_time(utc: str | None, zone: ZoneInfo) -> str:
    return f"{datetime.fromisoformat(utc).astimezone(zone):%Y-%m-%d %H:%M}" if utc else ""


ALL = (preview, triage)
