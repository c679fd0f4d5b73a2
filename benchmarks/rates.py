"""Reminders a second through the whole path, and messages a second of the bare send loop."""

import asyncio
import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telegram import Bot, LinkPreviewOptions
from telegram.constants import ParseMode

from benchmarks import clinics
from bot import parts
from bot.app import App
from bot.demo.telegram import FIRST_PERSON
from bot.incoming import telegram_http
from bot.outgoing.sender import Outgoing
from bot.services.delivery import SENDERS
from bot.storage.queries import vitals

_LOOK_S = 0.005
_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Burst:
    """A number of messages, the time they took, and the processor time of the sending process."""

    messages: int
    seconds: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    @property
    def cost_s(self) -> float:
        """Processor seconds a message."""
        return self.cpu_s / self.messages


class _Watch:
    """Measures from its making to ``read``."""

    def __init__(self) -> None:
        gc.collect()
        self._cpu = time.process_time()
        self._wall = time.perf_counter()

    def read(self, messages: int) -> Burst:
        return Burst(messages, time.perf_counter() - self._wall, time.process_time() - self._cpu)


async def bare(folder: Path, base_url: str, messages: int, sample: Outgoing) -> Burst:
    """Send ``sample`` to so many chats with the bot's own transport and number of senders."""
    options = clinics.settings(folder, base_url)
    async with parts.telegram_bot(options, telegram_http.poll_request()) as sender:
        chats = iter(range(FIRST_PERSON, FIRST_PERSON + messages))
        watch = _Watch()
        await asyncio.gather(*(_send_all(sender, chats, sample) for _ in range(SENDERS)))
        return watch.read(messages)


async def _send_all(sender: Bot, chats: Iterator[int], sample: Outgoing) -> None:
    for chat_id in chats:
        await sender.send_message(
            chat_id,
            sample.html,
            parse_mode=ParseMode.HTML,
            disable_notification=sample.silent,
            protect_content=sample.protected,
            reply_markup=sample.keyboard,
            link_preview_options=LinkPreviewOptions(is_disabled=True),
        )


async def whole_path(folder: Path, base_url: str, messages: int) -> Burst:
    """Run the bot on a clinic where so many reminders are due, up to the last durable mark."""
    running = App(clinics.settings(folder, base_url), chat_burst=clinics.NO_PACE)
    # Nothing has been looked at when this returns: the loops begin with the next await.
    await running.start(web=False)
    try:
        watch = _Watch()
        async with asyncio.timeout(_PATIENCE_S):
            # Looked at from outside: the bot is not told that anybody waits.
            while not (running.delivery.idle and await _all_sent(running, messages)):  # noqa: ASYNC110
                await asyncio.sleep(_LOOK_S)
        return watch.read(messages)
    finally:
        await running.stop()


async def _all_sent(running: App, messages: int) -> bool:
    async with running.deps.database.read() as session:
        states = await vitals.message_states(session)
    failed = {state: count for state, count in states.items() if state in ("failed", "dropped")}
    if failed:
        raise RuntimeError(f"not everything was sent: {failed}")
    return states.get("sent", 0) == messages
