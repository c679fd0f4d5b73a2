"""The one place where a message is sent: one call to Telegram, one outcome, no SQL."""

import html
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta

import httpx
from telegram import Bot, InlineKeyboardMarkup, InputFile, LinkPreviewOptions, ReplyKeyboardMarkup
from telegram.constants import ParseMode
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    Forbidden,
    InvalidToken,
    RetryAfter,
    TelegramError,
)

from bot.domain.states import Reason

# Below it a busy Telegram turns good sends into unknown ones (promises.md 2.2, rule 1).
READ_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 5.0
_FLOOD_WAIT = timedelta(seconds=5)
# Waits of hours were seen; what is beyond a day is no answer of Telegram.
_LONGEST_FLOOD = timedelta(days=1)
_NOT_MODIFIED = "message is not modified"
_GONE = (
    "message to edit not found",
    "message can't be edited",
    "there is no text in the message to edit",
    "inline keyboard expected",
    "message_id_invalid",
)
_NO_CHAT = ("chat not found", "peer_id_invalid", "private chat not found")
_UNREADABLE = ("can't parse entities",)
_TAG = re.compile(r"<[^<>]*>")
# The request never left: httpx says so by the class of the cause.
_NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message, ready to be handed to Telegram."""

    chat_id: int
    method: str
    html: str = ""
    keyboard: InlineKeyboardMarkup | ReplyKeyboardMarkup | None = None
    target_message_id: int | None = None
    source_chat_id: int | None = None
    file: bytes | None = None
    file_name: str = ""
    # Makes ``file`` right before it is sent: what takes its time is no part of a transaction.
    make: Callable[[], Awaitable[bytes]] | None = None
    silent: bool = False
    protected: bool = False
    # Without any formatting: how a text goes whose formatting Telegram cannot read.
    plain: bool = False


@dataclass(frozen=True, slots=True)
class Delivered:
    """Telegram has it, under this number; ``plain`` when it went without its formatting."""

    message_id: int
    plain: bool = False


@dataclass(frozen=True, slots=True)
class NotSent:
    """Telegram surely does not have it; try again after ``wait``."""

    wait: timedelta | None = None
    flood: bool = False


@dataclass(frozen=True, slots=True)
class NeverWill:
    """Telegram will not take it, however often we try."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class TargetGone:
    """The message to edit cannot be edited; say it anew."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Telegram refuses us as a whole (token, second instance); the message is fine."""

    cause: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody knows whether it arrived."""

    cause: str


@dataclass(frozen=True, slots=True)
class TooLate:
    """Telegram does not have it, and it is too late to try."""


Outcome = Delivered | NotSent | NeverWill | TargetGone | Refused | Unknown | TooLate


def _always() -> float:
    return math.inf


async def deliver(
    telegram_bot: Bot, outgoing: Outgoing, left_s: Callable[[], float] = _always
) -> Outcome:
    """Call Telegram once and return what is known afterwards; raises nothing.

    ``left_s`` says for how many seconds the message may still begin to leave; it is asked right
    before each call, and bounds the wait for a connection. A text whose formatting is refused
    goes once more as plain words: nobody has it yet.
    """
    within_s = left_s()
    if within_s <= 0:
        return TooLate()
    try:
        number = await _call(telegram_bot, outgoing, min(within_s, CONNECT_TIMEOUT_S))
        return Delivered(number, outgoing.plain)
    except TelegramError as error:
        outcome = classify(error, target=outgoing.target_message_id)
    except Exception as error:
        # An answer that the library cannot read: Telegram may have taken the message.
        return Unknown(type(error).__name__)
    if outcome == NeverWill(Reason.TEMPLATE_FAULT) and not outgoing.plain:
        words = html.unescape(_TAG.sub("", outgoing.html))
        return await deliver(telegram_bot, replace(outgoing, html=words, plain=True), left_s)
    return outcome


async def probe(telegram_bot: Bot) -> Refused | Unknown | None:
    """Ask Telegram something harmless; return why it gives no answer, or nothing when it does."""
    try:
        await telegram_bot.get_me(read_timeout=_PROBE_TIMEOUT_S)
    except TelegramError as error:
        outcome = classify(error)
        if isinstance(outcome, Refused | Unknown):
            return outcome
        if isinstance(outcome, NotSent) and not outcome.flood:
            return Unknown(type(error.__cause__ or error).__name__)
    return None


def classify(error: TelegramError, *, target: int | None = None) -> Outcome:
    """Sort an error by what we know after it (promises.md 2.2).

    ``BadRequest`` is a ``NetworkError`` in the library, so causes decide, not base classes.
    """
    text = error.message.lower()
    match error:
        case RetryAfter():
            wait = error.retry_after
            seconds = wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
            longest_s = _LONGEST_FLOOD.total_seconds()
            return NotSent(timedelta(seconds=min(max(seconds, 0.0), longest_s)), flood=True)
        case ChatMigrated():
            return NeverWill(Reason.CHAT_NOT_FOUND)
        case Forbidden():
            return NeverWill(Reason.DEACTIVATED if "deactivated" in text else Reason.BLOCKED)
        case InvalidToken() | Conflict():
            return Refused(type(error).__name__)
        case BadRequest():
            return _refusal(text, target)
    if isinstance(error.__cause__, _NEVER_LEFT):
        return NotSent()
    if "too many requests" in text:
        # A refusal in front of the Bot API itself names no seconds.
        return NotSent(wait=_FLOOD_WAIT, flood=True)
    return Unknown(type(error.__cause__ or error).__name__)


def _refusal(text: str, target: int | None) -> Outcome:
    if target is not None and _NOT_MODIFIED in text:
        return Delivered(target)
    if any(sign in text for sign in _GONE):
        return TargetGone()
    if any(sign in text for sign in _NO_CHAT):
        return NeverWill(Reason.CHAT_NOT_FOUND)
    if any(sign in text for sign in _UNREADABLE):
        return NeverWill(Reason.TEMPLATE_FAULT)
    return NeverWill(Reason.REFUSED)


async def _call(telegram_bot: Bot, out: Outgoing, connect_s: float) -> int:
    mode = None if out.plain else ParseMode.HTML
    match out.method:
        case "edit":
            keyboard = out.keyboard if isinstance(out.keyboard, InlineKeyboardMarkup) else None
            await telegram_bot.edit_message_text(
                out.html,
                chat_id=out.chat_id,
                message_id=out.target_message_id,
                parse_mode=mode,
                reply_markup=keyboard,
                connect_timeout=connect_s,
                pool_timeout=connect_s,
            )
            return out.target_message_id or 0
        case "copy":
            copied = await telegram_bot.copy_message(
                out.chat_id,
                from_chat_id=out.source_chat_id or 0,
                message_id=out.target_message_id or 0,
                disable_notification=out.silent,
                protect_content=out.protected,
                reply_markup=out.keyboard,
                connect_timeout=connect_s,
                pool_timeout=connect_s,
            )
            return copied.message_id
        case "photo":
            photo = await telegram_bot.send_photo(
                out.chat_id,
                InputFile(out.file or b"", filename=out.file_name),
                caption=out.html,
                parse_mode=mode,
                disable_notification=out.silent,
                protect_content=out.protected,
                reply_markup=out.keyboard,
                connect_timeout=connect_s,
                pool_timeout=connect_s,
            )
            return photo.message_id
        case "document":
            document = await telegram_bot.send_document(
                out.chat_id,
                InputFile(out.file or b"", filename=out.file_name),
                caption=out.html,
                parse_mode=mode,
                disable_notification=out.silent,
                protect_content=out.protected,
                reply_markup=out.keyboard,
                connect_timeout=connect_s,
                pool_timeout=connect_s,
            )
            return document.message_id
        case _:
            text = await telegram_bot.send_message(
                out.chat_id,
                out.html,
                parse_mode=mode,
                disable_notification=out.silent,
                protect_content=out.protected,
                reply_markup=out.keyboard,
                link_preview_options=LinkPreviewOptions(is_disabled=True),
                connect_timeout=connect_s,
                pool_timeout=connect_s,
            )
            return text.message_id
