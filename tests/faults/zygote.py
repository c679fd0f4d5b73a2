"""Quick starts of ``aftercare run``: a process that has loaded the bot forks each one.

Loading takes two seconds, and nothing of it differs from start to start; what runs is a process of
its own all the same, with its own group, and it is that one that a kill hits.
"""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Protocol


class Child(Protocol):
    """What a story does to the process of its bot, however that was started."""

    pid: int

    @property
    def returncode(self) -> int | None:
        """How it ended; nothing while it runs."""

    def send_signal(self, signal: int, /) -> None:
        """Send it this signal."""

    async def wait(self) -> int:
        """Wait until it has ended."""


class Forked:
    """One bot that was forked."""

    def __init__(self, zygote: Process, pid: int) -> None:
        self._zygote = zygote
        self.pid = pid
        self.returncode: int | None = None

    def send_signal(self, number: int, /) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def wait(self) -> int:
        if self.returncode is None:
            self.returncode = int(await _line(self._zygote))
        return self.returncode


class Zygote:
    """Starts one bot after the other; each has ended before the next begins."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def starts(self, folder: Path, environment: Mapping[str, str], log: Path) -> Forked:
        """The bot runs in this folder, with this environment, and with errors going to ``log``."""
        assert self._process.stdin is not None
        asked = json.dumps([str(folder), dict(environment), str(log)])
        self._process.stdin.write(asked.encode() + b"\n")
        return Forked(self._process, int(await _line(self._process)))


@asynccontextmanager
async def zygote() -> AsyncIterator[Zygote]:
    """While it is entered bots start quickly."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.zygote"),
        cwd=Path(__file__).parents[2],
        stdin=PIPE,
        stdout=PIPE,
    )
    try:
        yield Zygote(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _line(process: Process) -> bytes:
    assert process.stdout is not None
    line = await process.stdout.readline()
    assert line, "the process that forks the bots has ended"
    return line


def _serve() -> None:
    # As `aftercare run` does, but once for all.
    from bot import parts
    from tests.faults import at_once

    parts.shipped()
    for asked in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(*json.loads(asked))
            at_once.run()
            sys.exit()
        print(pid, flush=True)  # noqa: T201 - this is what the story reads
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - and this


def _become(folder: str, environment: dict[str, str], log: str) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    nothing = os.open(os.devnull, os.O_RDWR)
    errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for number, opened in enumerate((nothing, nothing, errors)):
        os.dup2(opened, number)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve()
