"""The operator's commands about data: backup, restore, release, migrate."""

import asyncio
import json
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from bot import upkeep
from bot.app import StartError
from bot.services.holding import Why
from bot.services.releasing import Review
from bot.settings import Settings
from bot.storage.queries import vitals

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


def _sure(question: str, yes: bool) -> None:
    """Ask on a terminal; a script must have said ``--yes``."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise StartError("nobody can be asked here; look first, then say --yes")
    if not typer.confirm(question, err=True):
        raise StartError("nothing was changed")


def backup(
    file: Annotated[Path, typer.Argument(help="The file to save in; one that is there stays.")],
) -> None:
    """Save the whole database in FILE; the bot may go on working meanwhile."""
    options = Settings()
    _run(upkeep.save(options, file, _Progress()))
    typer.echo(f"The database is saved in {file}.")
    typer.echo(_KEY_APART.format(options.keys))


def restore(
    file: Annotated[Path, typer.Argument(help="What aftercare backup has made.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup in the place of the database; nothing that waits is sent until a release."""
    _sure(f"Put {file} in the place of the present database, which is kept beside?", yes)
    done: upkeep.Restored = _run(upkeep.restore(Settings(), file, _Progress()))
    made = "at a time that it does not tell"
    if done.backup_at is not None:
        made = vitals.as_text(done.backup_at)
    typer.echo(f"The database is the one of the backup, made {made}.")
    if done.kept is not None:
        typer.echo(f"The one before is kept in {done.kept}.")
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
    _show(seen)
    _sure("Release?", yes)
    if _run(upkeep.release(Settings())) is None:
        raise StartError("somebody else has released it meanwhile")
    typer.echo("Released.")


def _show(seen: dict[str, Any]) -> None:
    console = Console(markup=False, highlight=False)
    restored = seen["why"] == Why.RESTORED.value
    if restored:
        typer.echo(f"Sending is held since {seen['since']}, as a backup was restored.")
        saved = seen["backup_at"] or "a time that it does not tell"
        typer.echo(f"The backup was made {saved}. What fell due from then on until the restore, or")
        typer.echo("waited when it was made, may have been sent by the database that was lost.")
    else:
        typer.echo(f"Sending is held since {seen['since']}, as the clock has jumped.")
        typer.echo(
            f"It is {seen['now']} by this machine's clock. If that is wrong, do not release."
        )
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
        typer.echo(f"Patients: {', '.join(seen['patients']) or 'none'}")
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
