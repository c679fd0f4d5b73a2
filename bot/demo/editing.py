"""The methods that change or delete a message."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from bot.demo import refusals
from bot.demo.chats import Message
from bot.demo.entities import CAPTION_LIMIT, TEXT_LIMIT, Formatted, formatted
from bot.demo.markup import is_inline, parsed
from bot.demo.params import Params
from bot.demo.reaching import spoken_chat
from bot.demo.refusals import Json, Refusal, bad
from bot.demo.sending import caption_of

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram

DELETABLE_FOR = timedelta(hours=48)


def _edited(telegram: LocalTelegram, params: Params) -> tuple[Message, list[list[Json]] | None]:
    """The message that may be edited, and the inline keyboard it would have."""
    markup = parsed(params.structure("reply_markup"))
    number = params.integer("message_id")
    if not number:
        raise bad("message identifier is not specified")
    chat = spoken_chat(telegram, params)
    if chat.person is not None and chat.person.deleted:
        raise Refusal(403, refusals.DEACTIVATED)
    message = chat.find(number)
    if message is None:
        raise bad(refusals.EDIT_NOT_FOUND)
    if not message.from_bot or message.had_reply_keyboard:
        raise bad(refusals.EDIT_REFUSED)
    if not is_inline(markup):
        raise bad(refusals.INLINE_EXPECTED)
    return message, markup["inline_keyboard"] if markup else None


def _change(
    telegram: LocalTelegram, message: Message, content: Formatted, rows: list[list[Json]] | None
) -> object:
    if message.formatted == content and message.inline_keyboard == rows:
        raise bad(refusals.NOT_MODIFIED)
    telegram.limits.check(message.chat.id)
    # phones mark a message as edited when its words change, not when its buttons do
    if message.formatted != content:
        message.edited_at = telegram.now()
    message.formatted, message.inline_keyboard = content, rows
    telegram.bell.ring()
    return message.api(telegram.me)


def edit_message_text(telegram: LocalTelegram, params: Params) -> object:
    content = formatted(params.text("text"), params.text("parse_mode"), params.entries("entities"))
    message, rows = _edited(telegram, params)
    if message.kind != "text":
        raise bad(refusals.EDIT_NO_TEXT)
    if len(content.text) > TEXT_LIMIT:
        raise bad(refusals.TEXT_TOO_LONG)
    return _change(telegram, message, content, rows)


def edit_message_caption(telegram: LocalTelegram, params: Params) -> object:
    content = caption_of(params)
    message, rows = _edited(telegram, params)
    if message.attachment is None:
        raise bad(refusals.EDIT_NO_CAPTION)
    if len(content.text) > CAPTION_LIMIT:
        raise bad(refusals.CAPTION_TOO_LONG)
    return _change(telegram, message, content, rows)


def edit_message_reply_markup(telegram: LocalTelegram, params: Params) -> object:
    message, rows = _edited(telegram, params)
    return _change(telegram, message, message.formatted, rows)


def delete_message(telegram: LocalTelegram, params: Params) -> object:
    chat = spoken_chat(telegram, params)
    message = chat.find(params.integer("message_id"))
    if message is None:
        raise bad(refusals.DELETE_NOT_FOUND)
    if telegram.now() - message.date > DELETABLE_FOR:
        raise bad(refusals.DELETE_REFUSED)
    chat.remove(message)
    telegram.bell.ring()
    return True


def delete_messages(telegram: LocalTelegram, params: Params) -> object:
    chat = spoken_chat(telegram, params)
    numbers = params.structure("message_ids")
    for number in numbers if isinstance(numbers, list) else []:
        message = chat.find(int(number))
        if message is not None and telegram.now() - message.date <= DELETABLE_FOR:
            chat.remove(message)
    telegram.bell.ring()
    return True
