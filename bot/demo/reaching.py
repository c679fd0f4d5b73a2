"""Whom a call is for: the chats that the bot may know, and those it may write to now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.demo import refusals
from bot.demo.chats import Chat
from bot.demo.params import Params
from bot.demo.refusals import Refusal, bad

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram


def chat_of(telegram: LocalTelegram, params: Params, name: str = "chat_id") -> Chat:
    """The chat that the call names, if the bot may know it; otherwise a refusal."""
    number = params.integer(name)
    if not params.text(name):
        raise bad(f"{name} is empty")
    chat = telegram.chats.get(number)
    if number == telegram.me["id"]:
        raise Refusal(403, "the bot can't send messages to the bot")
    if chat is None:
        raise bad(refusals.CHAT_NOT_FOUND)
    if chat.upgraded_to is not None:
        raise Refusal(400, refusals.UPGRADED, {"migrate_to_chat_id": chat.upgraded_to})
    if chat.person is None and not chat.bot_is_member:
        raise Refusal(403, refusals.NOT_A_MEMBER)
    return chat


def spoken_chat(telegram: LocalTelegram, params: Params, name: str = "chat_id") -> Chat:
    """A chat that the bot has met: a person who never pressed Start is not found."""
    chat = chat_of(telegram, params, name)
    if chat.person is not None and not chat.person.started:
        raise bad(refusals.CHAT_NOT_FOUND)
    return chat


def open_chat(telegram: LocalTelegram, params: Params) -> Chat:
    """A chat that the bot may write to now."""
    chat = chat_of(telegram, params)
    if chat.person is not None:
        if chat.person.deleted:
            raise Refusal(403, refusals.DEACTIVATED)
        if chat.person.blocked:
            raise Refusal(403, refusals.BLOCKED)
        if not chat.person.started:
            raise Refusal(403, refusals.NEVER_STARTED)
    return chat
