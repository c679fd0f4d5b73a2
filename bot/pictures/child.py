"""The parent's side: one child for one request, with nothing of ours but the bytes it is given."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import bot
from bot.pictures import wire
from bot.pictures.wire import Answer, Task

WITHIN_S = 30.0
# More than any answer has; a child that goes astray cannot fill our memory.
_LONGEST_ANSWER = 16 * 1024 * 1024
_PIECE = 64 * 1024
# Where some systems keep their Python's own library; everything else stays with us: token, keys.
_ENVIRONMENT = ("LD_LIBRARY_PATH",)


class ChildFailed(RuntimeError):
    """The child ended without an answer: killed by a limit, by us, or by the system."""


async def ask(task: Task, pictures: Sequence[bytes], within_s: float = WITHIN_S) -> Answer:
    """Return the answer of a child of its own; raises :class:`ChildFailed` or ``OSError``."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-E", "-s", "-B", "-m", "bot.pictures"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=Path(bot.__file__).parent.parent,
        env={key: os.environ[key] for key in _ENVIRONMENT if key in os.environ},
        # What stops the bot from a keyboard does not make a picture unreadable.
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(within_s):
            said, _ = await asyncio.gather(
                _read(process), _write(process, wire.packed_request(task, pictures))
            )
            ended = await process.wait()
    except TimeoutError as error:
        raise ChildFailed("time") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if ended:
        raise ChildFailed(f"ended with {ended}")
    try:
        return wire.answer(said)
    except (ValueError, KeyError, TypeError) as error:
        raise ChildFailed("no answer") from error


async def _read(process: asyncio.subprocess.Process) -> bytes:
    said = bytearray()
    while process.stdout is not None and (piece := await process.stdout.read(_PIECE)):
        said += piece
        if len(said) > _LONGEST_ANSWER:
            raise ChildFailed("too long an answer")
    return bytes(said)


async def _write(process: asyncio.subprocess.Process, asked: bytes) -> None:
    if process.stdin is None:
        return
    # A child that ends early leaves the rest unread: its answer says why, or its end does.
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(asked)
        await process.stdin.drain()
        process.stdin.close()
        await process.stdin.wait_closed()
