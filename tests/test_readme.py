"""The README is true: its commands exist, its set-up works as written, its tables match."""

import asyncio
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from sqlalchemy import text
from typer.testing import CliRunner

from bot import rehearsal
from bot.cli import commands
from bot.clock import SystemClock
from bot.demo.telegram import LocalTelegram
from bot.rehearsal import Rehearsal

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"```sh\n(.*?)```", re.DOTALL)


def shell_lines() -> list[str]:
    """Every command of the README, continued lines joined, comments left out."""
    joined = "\n".join(_BLOCK.findall(README)).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = [line.split()[1] for line in shell_lines() if line.startswith("make ")]
    assert named == ["demo", "test", "install"]
    for target in named:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_every_command_of_the_readme_exists() -> None:
    listed = re.findall(r"^\| `aftercare ([a-z-]+)", README, re.MULTILINE)
    known = [
        command.name or command.callback.__name__.replace("_", "-")
        for command in commands.registered_commands
        if command.callback
    ]
    assert listed == known
    for name in listed:
        assert CliRunner().invoke(commands, [name, "--help"]).exit_code == 0


async def test_the_set_up_works_as_written(tmp_path: Path) -> None:
    init = next(line for line in shell_lines() if " init " in line)
    arguments = shlex.split(init)[1:]
    telegram = LocalTelegram(now=SystemClock().now)
    async with telegram.serve() as server:
        options = rehearsal.local_settings(server, telegram.token, tmp_path / "data")
        environment = os.environ | {
            "TELEGRAM_BOT_TOKEN": options.telegram_bot_token.get_secret_value(),
            "TELEGRAM_API_URL": server.base_url,
        }
        command = [sys.executable, "-m", "bot", *arguments]
        printed = await _output(command, tmp_path, environment)
    assert "The bot is @aftercare_demo_bot" in printed
    assert "https://t.me/aftercare_demo_bot?start=" in printed
    assert "Now start the bot: python -m bot run" in printed


async def _output(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """Run beside the local Telegram, which lives in this process's loop."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, printed.decode()
    return printed.decode()


async def test_the_views_have_the_columns_of_the_readme(tmp_path: Path) -> None:
    listed = dict(re.findall(r"^\| `(v_[a-z-]+)` \| (.*) \|$", README, re.MULTILINE))
    assert list(listed) == [
        "v_reminder",
        "v_message",
        "v_update",
        "v_alert",
        "v_consent",
        "v_health",
    ]
    async with rehearsal.rehearsal(tmp_path) as (whole, _):
        for view, columns in listed.items():
            assert await _columns(whole, view) == columns.split(", ")


async def _columns(whole: Rehearsal, view: str) -> list[str]:
    async with whole.app.deps.database.read() as session:
        connection = await session.connection()
        return list((await connection.execute(text(f"SELECT * FROM {view}"))).keys())
