"""The operator's commands; each exits 0, 2 on bad arguments, else 1 with one clear sentence."""

import asyncio
import json
import re
import signal
import sys
import textwrap
from collections.abc import Coroutine, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import DBAPIError

import bot
from bot import cli_data, cli_review, founding, logs, operation, parts, rehearsal
from bot.app import App
from bot.domain import opening
from bot.incoming import alone
from bot.outgoing import lint
from bot.parts import StartError
from bot.settings import Settings
from bot.storage.backup import BackupError
from bot.storage.tables import Clinic

commands = typer.Typer(
    name="aftercare",
    help="Aftercare Bot: timed, watched messages from the end of a treatment to the next session.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_LONGEST_SENDER = 20
_FEWEST_DIGITS = 2
_PHONE = re.compile(r"[0-9 +()./#*,x-]{2,40}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; trouble that an operator can mend is one sentence on stderr, exit code 1."""
    try:
        commands(arguments)
    except (*operation.TROUBLE, BackupError, OSError) as trouble:
        _fail(str(trouble))
    except DBAPIError as error:
        # The first line of the driver's own: no statement, and no value bound to one.
        _fail(f"the database cannot be worked with: {str(error.orig).partition(chr(10))[0]}")
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        _fail(f"{name}: {first['msg'].removeprefix('Value error, ')}")


def _fail(sentence: str) -> NoReturn:
    typer.echo(f"aftercare: {sentence}", err=True)
    sys.exit(1)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aftercare {bot.__version__}")
        raise typer.Exit


@commands.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options before the command."""


@commands.command()
def init(
    clinic: Annotated[str, typer.Option(help="The clinic's name, as patients know it.")],
    timezone: Annotated[str, typer.Option(help="Its time zone, such as Europe/Berlin.")],
    phone: Annotated[str, typer.Option(help="The phone number that patients call.")],
    emergency_number: Annotated[str, typer.Option(help="The emergency number, such as 112.")],
    urgent_number: Annotated[
        str,
        typer.Option(help="Whom to call when the clinic is closed. Default: the emergency one."),
    ] = "",
    urgent_place: Annotated[
        str, typer.Option(help="Where to go then. Default: the nearest emergency department.")
    ] = "",
    opening_hours: Annotated[str, typer.Option(help='Such as "Mon to Fri 09:00 to 18:00".')] = "",
    sender_name: Annotated[
        str, typer.Option(help="Opens every message; may be neutral. Default: the clinic's name.")
    ] = "",
    language: Annotated[str, typer.Option(help="The clinic's language.")] = "en",
    confirm_joining: Annotated[
        bool, typer.Option(help="Let a practitioner confirm who opened a link.")
    ] = True,
) -> None:
    """Create the clinic and print the lead's one-time link."""
    options = Settings()
    messages = parts.load_messages(options)
    if language not in messages.languages:
        raise typer.BadParameter(f"there are no texts in language {language!r}")
    zone = cli_review.zone_named(timezone)
    sender = sender_name or textwrap.shorten(clinic, _LONGEST_SENDER, placeholder="")
    urgent_number = urgent_number or emergency_number
    urgent_place = urgent_place or messages.label(language, "unset", "urgent_place")
    _short("--clinic", clinic, 60)
    _short("--sender-name", sender, _LONGEST_SENDER)
    _short("--urgent-place", urgent_place, 100)
    if opening_hours:
        _short("--opening-hours", opening_hours, 100)
        try:
            opening.parse(opening_hours)
        except ValueError as error:
            raise typer.BadParameter(f"--opening-hours: {error}") from None
    for option, value in (
        ("--phone", phone),
        ("--emergency-number", emergency_number),
        ("--urgent-number", urgent_number),
    ):
        if not _PHONE.fullmatch(value) or sum(map(str.isdigit, value)) < _FEWEST_DIGITS:
            raise typer.BadParameter(f"{option} needs a number that can be called")
    row = Clinic(
        ref="",
        name=clinic,
        sender_name=sender,
        timezone=zone.key,
        language=language,
        phone=phone,
        emergency_number=emergency_number,
        urgent_number=urgent_number,
        urgent_place=urgent_place,
        opening_hours=opening_hours,
        confirm_joining=confirm_joining,
        created_at=datetime(1970, 1, 1, tzinfo=UTC),
    )
    username, link = _run(founding.init(options, row))
    typer.echo(f"The clinic is ready. The bot is @{username}.")
    typer.echo(f"The lead opens this link within 24 hours, once: {link}")
    typer.echo(f"Now start the bot: {_program()} run")


def _program() -> str:
    """Return what the operator typed to get here, as it need not be on the path."""
    return "python -m bot" if sys.argv[0].endswith(".py") else sys.argv[0]


def _short(option: str, value: str, longest: int) -> None:
    if not value.strip() or len(value) > longest or min(value) < " ":
        raise typer.BadParameter(f"{option} needs one line of 1 to {longest} characters")


@commands.command()
def invite_lead() -> None:
    """Print a new one-time link by which a lead who lost the account takes over."""
    link = _run(founding.invite_lead(Settings()))
    typer.echo(f"Whoever opens this link within 24 hours leads the clinic: {link}")
    typer.echo("If somebody leads it by now, that account loses access at that moment.")


@commands.command()
def run() -> None:
    """Run the bot: polling, or webhook when WEBHOOK_URL is set. SIGTERM stops it within 10 s."""
    options = Settings()
    logs.configure(
        options.log_level, options.log_format, options.telegram_bot_token.get_secret_value()
    )
    _run(_serve(options))


async def _serve(options: Settings) -> None:
    await parts.check_schema(options)
    running = App(options, listen_s=alone.LISTEN_S)
    stop = _stop_signal()
    starting = asyncio.ensure_future(running.start())
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            typer.echo(
                f"@{running.bot.username} is running; health at http://{options.http_bind}/readyz",
                err=True,
            )
            if await running.held():
                typer.echo("Sending is held; look and release: aftercare release", err=True)
            ends: set[asyncio.Future[Any]] = {stopping, *running.ends}
            for end in (await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED))[0]:
                end.result()
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.gather(starting, stopping, return_exceptions=True)
        await running.stop()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


@commands.command()
def demo(
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The page's port; 0 takes a free one.")
    ] = 8088,
) -> None:
    """Run the bot against a local Telegram with the two-phones page; no token, no network."""
    logs.configure("WARNING", "console", "")
    _run(_demo(port))


async def _demo(port: int) -> None:
    stop = _stop_signal()

    def opened(address: str) -> None:
        typer.echo(f"Two phones are waiting at {address}  (Ctrl+C ends the demo)")

    try:
        await rehearsal.demo(port, opened, stop)
    except OSError:
        raise StartError(f"port {port} is taken; try: aftercare demo --port 0") from None


@commands.command()
def check() -> None:
    """Lint the messages: protocols, missing texts, wording, every text with hostile values."""
    found = lint.check(parts.load_messages(Settings()))
    for finding in found:
        typer.echo(f"{finding.file}: {finding.key}: {finding.reason}")
    if found:
        _fail(f"{len(found)} things to put right in the messages")
    typer.echo("The messages are sound.")


# What is done to data, and the review of messages, have files of their own.
for _command in (*cli_review.ALL, *cli_data.ALL):
    commands.command()(_command)


@commands.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check settings, key, messages, schema and ledger; exit 1 if anything is wrong."""
    checks = _run(operation.examine(Settings()))
    if as_json:
        typer.echo(json.dumps({name: problem or "ok" for name, problem in checks}, indent=2))
    else:
        table = Table(title="aftercare doctor")
        table.add_column("check")
        table.add_column("result", overflow="fold")
        for name, problem in checks:
            table.add_row(name, problem or "ok")
        Console().print(table)
    failed = [name for name, problem in checks if problem]
    if failed:
        _fail(f"something is wrong with: {', '.join(failed)}")


@commands.command()
def stats(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show how many patients, reminders, messages and open reports there are, by state."""
    figures = _run(operation.count(Settings()))
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    table = Table(title="aftercare stats")
    for heading in ("what", "state", "count"):
        table.add_column(heading)
    for what, states in figures.items():
        for state, count in states.items():
            table.add_row(what, state, str(count))
    Console().print(table)
