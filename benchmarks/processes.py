"""Other processes: the two Telegrams, and the bots whose start is measured."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.stub import StubTelegram

ROOT = Path(__file__).parents[1]
_PATIENCE_S = 60.0
# What a process does right after its first message belongs to its peak.
_AFTERWARDS_S = 0.5


@asynccontextmanager
async def telegram(module: str, *arguments: str) -> AsyncIterator[str]:
    """Give the address of a Telegram that runs in a process of its own until the block ends."""
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        async with asyncio.timeout(_PATIENCE_S):
            address = (await child.stdout.readline()).decode().strip()
        yield address
    finally:
        child.stdin.close()
        await child.wait()


@dataclass(frozen=True, slots=True)
class Start:
    """How a process started: seconds to its first message, and its peak memory where known."""

    seconds: float
    peak_mb: float | None


async def start(
    arguments: Sequence[str], folder: Path, settings: Mapping[str, str], stub: StubTelegram
) -> Start:
    """Start Python with ``arguments`` in ``folder``, wait for its first message, and end it."""
    stub.heard.clear()
    began = time.perf_counter()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
    )
    hearing = asyncio.ensure_future(stub.heard.wait())
    ending = asyncio.ensure_future(child.wait())
    try:
        await asyncio.wait(
            {hearing, ending}, timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED
        )
        seconds = time.perf_counter() - began
        if not hearing.done():
            raise RuntimeError(f"nothing was sent by: python {' '.join(arguments)}")
        await asyncio.sleep(_AFTERWARDS_S)
        return Start(seconds, _peak_mb(child.pid))
    finally:
        hearing.cancel()
        if not ending.done():
            # Its data is a copy that is thrown away.
            child.kill()
        await ending


def _peak_mb(process_id: int) -> float | None:
    """Return the most memory that a process ever held; nothing where the system does not tell."""
    status = Path(f"/proc/{process_id}/status")
    if not status.exists():
        return None
    lines = status.read_text().splitlines()
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), None)
