"""The operator's commands about data: backup, restore, release, migrate."""

import asyncio
import json
import sys
import time
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.table import Table

from bot import upkeep
from bot.parts import StartError
from bot.services.holding import Why
from bot.services.releasing import Review
from bot.settings import Settings

_TOLD_AFTER_S = 1.0
_KEY_APART = (
    "The key file {} is not in it: without that key nobody can read it. "
    "Keep a copy of the key elsewhere, and never beside the backup."
)
_GAP = (
    "Whatever people did after the backup is not in this database: stops, new patients, recorded "
    "sessions, moved visits, reports. Ask the practitioners, and enter it again."
)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


class _Progress:
    """A line on a terminal, for what takes longer than a second."""

    def __init__(self) -> None:
        self._begun_s = time.monotonic()
        self._shown = False

    def __call__(self, done: int, total: int) -> None:
        if sys.stderr.isatty() and time.monotonic() - self._begun_s > _TOLD_AFTER_S:
            typer.echo(f"\r{done * 100 // max(1, total)} % of {total} pages", err=True, nl=False)
            self._shown = True
            if done >= total:
                typer.echo("", err=True)


def _sure(question: str, yes: bool, instead: str) -> None:
    """Ask on a terminal; a script must have said ``--yes``, and reads ``instead``."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise StartError(f"nobody can be asked here; {instead}")
    if not typer.confirm(question, err=True):
        raise StartError("nothing was changed")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to save in; one that is there stays.")],
) -> None:
    """Save database and photos in FILE; the bot may go on working meanwhile."""
    options = Settings()
    saved: upkeep.Saved = _run(upkeep.save(options, file, _Progress()))
    typer.echo(f"The database is saved in {file}.")
    if saved.beside is not None:
        typer.echo(f"The photos ({saved.photos}) are in {saved.beside}; keep both together.")
    elif saved.photos:
        typer.echo(f"The photos ({saved.photos}) are in it too.")
    if not options.keys.is_file():
        typer.echo(f"There is no key file {options.keys}: nobody can read this backup!", err=True)
    typer.echo(_KEY_APART.format(options.keys))


def restore(
    file: Annotated[Path, typer.Argument(help="What aftercare backup has made.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the place of the database; nothing that waits is sent until a release."""
    if not file.is_file():
        raise StartError(f"there is no backup {file}")
    question = f"Put {file} in the place of the present database, which is kept?"
    _sure(question, yes, "to replace the database say --yes")
    done: upkeep.Restored = _run(upkeep.restore(Settings(), file, _Progress()))
    made = "at a time that it does not tell"
    if done.backup_at is not None:
        made = local_time(done.backup_at, done.zone)
    typer.echo(f"The database is the one of the backup, made {made}.")
    if done.kept is not None:
        typer.echo(f"The one before is kept in {done.kept}.")
    if done.photos is None:
        typer.echo("The backup holds no photos; those on the disk stay.")
    elif done.photos:
        typer.echo(f"Photos put back: {done.photos}.")
    if done.lost:
        typer.echo(f"Photos that it names and that are not there: {done.lost}.", err=True)
    typer.echo("Sending is held. Start the bot, then look and release: aftercare release")


def release(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and release nothing.")
    ] = False,
) -> None:
    """Show what may have been sent already, then end the hold of sending."""
    found: Review | None = _run(upkeep.review(Settings()))
    if found is None:
        raise StartError("sending is not held; there is nothing to release")
    seen = found.as_json()
    if as_json:
        typer.echo(json.dumps(seen, indent=2))
        return
    _show(seen, found)
    _sure("Release?", yes, "look with --json first, then say --yes")
    if _run(upkeep.release(Settings())) is None:
        raise StartError("somebody else has released it meanwhile")
    typer.echo("Released. What goes leaves within minutes, at night from the morning on; ")
    typer.echo("for that a bot must be running: aftercare run")


def local_time(moment: datetime, zone: ZoneInfo) -> str:
    """Return an instant as the clinic's clocks on the wall show it."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M} ({zone.key})"


def _show(seen: dict[str, Any], found: Review) -> None:
    console = Console(markup=False, highlight=False)
    since = local_time(found.held.since, found.zone)
    restored = seen["why"] == Why.RESTORED.value
    if restored:
        typer.echo(f"Sending is held since {since}, as a backup was restored.")
        saved = "at a time that it does not tell"
        if found.held.backup_at is not None:
            saved = local_time(found.held.backup_at, found.zone)
        typer.echo(f"The backup was made {saved}. What fell due from then on until the restore, or")
        typer.echo("waited when it was made, may have been sent by the database that was lost.")
    else:
        typer.echo(f"Sending is held since {since}, as the clock has jumped.")
        now = local_time(found.now, found.zone)
        typer.echo(f"It is {now} by this machine's clock. If that is wrong, do not release.")
    goes = {True: "once more, marked", False: "not again"}
    if not restored:
        goes = {True: "is sent, if it still may", False: "is too late"}
    table = Table("clinic's day", "step", "reminders", "at release")
    for each in seen["fell_due"]:
        table.add_row(each["day"], each["step"], str(each["count"]), goes[each["goes"]])
    console.print(table if table.row_count else "No reminder fell due.")
    if restored:
        waiting = Table("messages that waited", "count", "at release")
        for each in seen["waiting"]:
            what = "repeated" if each["goes"] else "ends unconfirmed"
            waiting.add_row(each["kind"], str(each["count"]), what)
        console.print(waiting if waiting.row_count else "No message waited.")
        typer.echo(
            f"Patients concerned: {len(seen['patients'])}; what is not sent again reaches their"
            " practitioners as a list. References: --json"
        )
        typer.echo(_GAP)


def migrate(
    no_backup: Annotated[
        bool,
        typer.Option("--no-backup", help="Make no backup before, for instance for want of room."),
    ] = False,
) -> None:
    """Bring the database to this program's schema, after a backup of it."""

    def saved(target: Path) -> None:
        typer.echo(f"The database as it was is saved in {target}.")

    after = _run(upkeep.migrate(Settings(), _Progress(), saved, with_backup=not no_backup))
    typer.echo(f"Migrated to {after}." if after else "The schema is up to date.")


ALL = (backup, restore, release, migrate)
