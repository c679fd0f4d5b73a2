"""The methods that put a message into a chat."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from bot.demo import refusals
from bot.demo.chats import Chat, Message
from bot.demo.entities import CAPTION_LIMIT, TEXT_LIMIT, Formatted, formatted
from bot.demo.files import Attachment
from bot.demo.markup import is_inline, parsed
from bot.demo.params import Params
from bot.demo.reaching import open_chat, spoken_chat
from bot.demo.refusals import bad

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram


def _post(
    telegram: LocalTelegram,
    params: Params,
    content: Formatted,
    attachment: Attachment | None = None,
    *,
    album: str | None = None,
) -> Message:
    """The bot's message stands in the chat, or the first thing wrong with it is refused."""
    markup = parsed(params.structure("reply_markup"))
    chat = open_chat(telegram, params)
    if len(content.text) > (CAPTION_LIMIT if attachment else TEXT_LIMIT):
        raise bad(refusals.CAPTION_TOO_LONG if attachment else refusals.TEXT_TOO_LONG)
    reply_to = _replied(params, chat)
    telegram.limits.check(chat.id)
    message = Message(
        chat,
        chat.next_id(),
        telegram.now(),
        None,
        content,
        attachment,
        silent=params.truth("disable_notification"),
        protected=params.truth("protect_content"),
        reply_to=reply_to,
        album=album,
    )
    if markup is not None and is_inline(markup):
        message.inline_keyboard = markup["inline_keyboard"]
    elif markup is not None:
        message.had_reply_keyboard = True
        chat.keyboard = markup if "keyboard" in markup else None
        chat.force_reply = bool(markup.get("force_reply"))
    chat.action = ""
    chat.add(message)
    telegram.bell.ring()
    return message


def _replied(params: Params, chat: Chat) -> int | None:
    reply = params.mapping("reply_parameters")
    number = int(reply.get("message_id", 0)) or params.integer("reply_to_message_id")
    if not number:
        return None
    if chat.find(number) is not None:
        return number
    if reply.get("allow_sending_without_reply") or params.truth("allow_sending_without_reply"):
        return None
    raise bad(refusals.REPLY_NOT_FOUND)


def caption_of(params: Params) -> Formatted:
    return formatted(
        params.text("caption"),
        params.text("parse_mode"),
        params.entries("caption_entities"),
        caption=True,
    )


def _file(
    telegram: LocalTelegram, params: Params, kind: str, given: str | None = None
) -> Attachment:
    """The file that the call brings or names."""
    value = params.text(kind) if given is None else given
    field = value.removeprefix("attach://") if value.startswith("attach://") else kind
    upload = params.files.get(field)
    if upload is not None and (not value or value.startswith("attach://")):
        if not upload.data:
            raise bad("file must be non-empty")
        return telegram.files.add(kind, upload.data, upload.name, upload.mime)
    if not value:
        raise bad(f"there is no {kind} in the request")
    return telegram.files.known(value, kind)


def send_message(telegram: LocalTelegram, params: Params) -> object:
    content = formatted(params.text("text"), params.text("parse_mode"), params.entries("entities"))
    return _post(telegram, params, content).api(telegram.me)


def sender(kind: str) -> Callable[[LocalTelegram, Params], object]:
    def send(telegram: LocalTelegram, params: Params) -> object:
        content = caption_of(params)
        open_chat(telegram, params)
        attachment = _file(telegram, params, kind)
        return _post(telegram, params, content, attachment).api(telegram.me)

    return send


def send_media_group(telegram: LocalTelegram, params: Params) -> object:
    media = params.entries("media")
    if not 2 <= len(media) <= 10:
        raise bad(
            "too few messages to send as an album"
            if len(media) < 2
            else "too many messages to send as an album"
        )
    if len({m.get("type") == "photo" or m.get("type") == "video" for m in media}) > 1:
        raise bad("document can't be mixed with other media types")
    open_chat(telegram, params)
    parts = []
    for one in media:
        own = Params({"caption": one.get("caption", ""), "parse_mode": one.get("parse_mode", "")})
        kind, given = str(one.get("type")), str(one.get("media", ""))
        parts.append((caption_of(own), _file(telegram, params, kind, given)))
    album = telegram.next_album_id()
    plain = Params({k: v for k, v in params.values.items() if k != "reply_markup"})
    return [
        _post(telegram, plain, content, attachment, album=album).api(telegram.me)
        for content, attachment in parts
    ]


def copy_message(telegram: LocalTelegram, params: Params) -> object:
    chat = spoken_chat(telegram, params, "from_chat_id")
    source = chat.find(params.integer("message_id"))
    if source is None:
        raise bad(refusals.COPY_NOT_FOUND)
    content = source.formatted
    if source.attachment and "caption" in params.values:
        content = caption_of(params)
    copy = _post(telegram, params, content, source.attachment)
    copy.contact, copy.location = source.contact, source.location
    return {"message_id": copy.id}


def copy_messages(telegram: LocalTelegram, params: Params) -> object:
    numbers = params.structure("message_ids")
    if not isinstance(numbers, list) or not 1 <= len(numbers) <= 100:
        raise bad("message identifiers are not specified")
    chat = spoken_chat(telegram, params, "from_chat_id")
    found = [m for m in (chat.find(int(number)) for number in numbers) if m is not None]
    if not found:
        raise bad("there are no messages to copy")
    albums: dict[str, str] = {}
    answered = []
    for source in found:
        album = None
        if source.album is not None:
            album = albums.setdefault(source.album, telegram.next_album_id())
        content = Formatted("") if params.truth("remove_caption") else source.formatted
        content = content if source.attachment else source.formatted
        copy = _post(telegram, params, content, source.attachment, album=album)
        copy.contact, copy.location = source.contact, source.location
        answered.append({"message_id": copy.id})
    return answered


def send_chat_action(telegram: LocalTelegram, params: Params) -> object:
    chat = open_chat(telegram, params)
    if not params.text("action"):
        raise bad("wrong parameter action in request")
    chat.action = params.text("action")
    telegram.bell.ring()
    return True
