"""From the start of a process to its first message: the bot with and without a full table."""

from pathlib import Path

from benchmarks import clinics, processes
from benchmarks.processes import Start
from benchmarks.stub import StubTelegram
from bot.clock import SystemClock
from bot.demo.telegram import FIRST_PERSON, LOCAL_BOT


async def bare(folder: Path, stub: StubTelegram) -> Start:
    """Start a process that imports the library, sends one message and has nothing else."""
    given = {"TELEGRAM_BOT_TOKEN": LOCAL_BOT, "TELEGRAM_API_URL": stub.base_url}
    return await processes.start(["-m", "benchmarks.bare"], folder, given, stub)


async def bot(base: Path, folder: Path, stub: StubTelegram) -> Start:
    """Start the bot on a copy of a clinic, in which one reminder is overdue."""
    clinics.copy(base, folder)
    await clinics.fill(folder, 1, clinics.yesterday(SystemClock().now()), FIRST_PERSON)
    given = {
        "TELEGRAM_BOT_TOKEN": LOCAL_BOT,
        "TELEGRAM_API_URL": stub.base_url,
        "DATABASE_URL": "",
        "DATA_DIR": str(folder),
        "MESSAGES_DIR": "",
        "KEY_FILE": "",
        "WEBHOOK_URL": "",
        "HTTP_BIND": "127.0.0.1:0",
        "LOG_LEVEL": "WARNING",
    }
    return await processes.start(["-m", "bot", "run"], folder, given, stub)
