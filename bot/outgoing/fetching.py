"""The one place where a file is fetched from Telegram: path and size are checked."""

import asyncio
import re
from dataclasses import dataclass
from enum import StrEnum

from telegram import Bot
from telegram.error import BadRequest, TelegramError

MOST_BYTES = 20 * 1024 * 1024
"""What getFile hands over at most; what claims to be more is not asked for."""
_WITHIN_S = 90.0
# The shape of Telegram's own paths; whatever else answers could name any file or address.
_PATH = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*(\.[A-Za-z0-9]{1,8})?")


class Missed(StrEnum):
    """Why there is no file."""

    TOO_LARGE = "too_large"
    GONE = "gone"
    LATER = "later"


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file's bytes, whatever they are."""

    data: bytes


async def fetch(telegram_bot: Bot, file_id: str) -> Fetched | Missed:
    """Return the file, or why there is none; raises nothing of the line's."""
    try:
        async with asyncio.timeout(_WITHIN_S):
            return await _fetch(telegram_bot, file_id)
    except BadRequest as error:
        return Missed.TOO_LARGE if "too big" in error.message.lower() else Missed.GONE
    except (TelegramError, TimeoutError):
        # Telegram is not reached, asks us to wait or refuses us as a whole: the file stays there.
        return Missed.LATER


async def _fetch(telegram_bot: Bot, file_id: str) -> Fetched | Missed:
    file = await telegram_bot.get_file(file_id)
    base = f"{telegram_bot.base_file_url}/"
    address = file.file_path or ""
    # The library takes a path that exists on this machine for a file of ours.
    if not address.startswith(base) or not _PATH.fullmatch(address.removeprefix(base)):
        return Missed.GONE
    if (file.file_size or 0) > MOST_BYTES:
        return Missed.TOO_LARGE
    data = await telegram_bot.request.retrieve(address)
    return Fetched(data) if len(data) <= MOST_BYTES else Missed.TOO_LARGE
