"""What the page may do with a phone: one small function for each action, from its JSON body."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from zoneinfo import ZoneInfo, available_timezones

from bot.demo.chats import Message
from bot.demo.people import Person, PhoneError
from bot.demo.refusals import Json


def _own(person: Person, body: Json) -> Message:
    message = person.chat.find(int(body.get("message", 0)))
    if message is None:
        raise PhoneError("that message is gone")
    return message


def _bytes(body: Json) -> bytes:
    try:
        data = base64.b64decode(str(body.get("data", "")), validate=True)
    except (binascii.Error, ValueError):
        raise PhoneError("that file cannot be read") from None
    if not data:
        raise PhoneError("that file is empty")
    return data


async def _open(person: Person, body: Json) -> None:
    await person.opens(str(body.get("link", "")), press_start=False)


async def _start(person: Person, _body: Json) -> None:
    await person.starts(person.pending_start)


async def _say(person: Person, body: Json) -> None:
    reply_to = _own(person, {"message": body["reply_to"]}) if body.get("reply_to") else None
    await person.says(str(body.get("text", "")), reply_to=reply_to)


async def _tap(person: Person, body: Json) -> None:
    message = _own(person, body)
    try:
        button = (message.inline_keyboard or [])[int(body["row"])][int(body["column"])]
    except (IndexError, KeyError):
        raise PhoneError("that button is gone") from None
    if "callback_data" in button:
        await person.taps(str(button["callback_data"]), message)


async def _press(person: Person, body: Json) -> None:
    await person.presses(str(body.get("label", "")))


async def _photo(person: Person, body: Json) -> None:
    await person.sends_photo(_bytes(body), str(body.get("caption", "")))


async def _document(person: Person, body: Json) -> None:
    name, mime = str(body.get("name") or "file"), str(body.get("mime") or "")
    await person.sends_document(_bytes(body), name[-128:], mime or "application/octet-stream")


async def _album(person: Person, body: Json) -> None:
    await person.sends_album([_bytes({"data": one}) for one in body.get("photos", [])])


async def _voice(person: Person, _body: Json) -> None:
    await person.sends_voice()


async def _sticker(person: Person, body: Json) -> None:
    await person.sends_sticker(str(body.get("emoji") or "🙂")[:8])


async def _location(person: Person, _body: Json) -> None:
    await person.sends_location(52.52, 13.405)


async def _contact(person: Person, _body: Json) -> None:
    await person.sends_contact()


async def _edit(person: Person, body: Json) -> None:
    await person.edits(_own(person, body), str(body.get("text", "")))


async def _block(person: Person, _body: Json) -> None:
    await person.blocks()


async def _unblock(person: Person, _body: Json) -> None:
    await person.unblocks()


async def _delete_account(person: Person, _body: Json) -> None:
    await person.deletes_account()


async def _language(person: Person, body: Json) -> None:
    person.language_code = str(body.get("code", ""))[:12] or None


async def _zone(person: Person, body: Json) -> None:
    name = str(body.get("zone", ""))
    if name not in available_timezones():
        raise PhoneError("no such time zone")
    person.time_zone = ZoneInfo(name).key


ACTIONS: dict[str, Callable[[Person, Json], Awaitable[None]]] = {
    "open": _open,
    "start": _start,
    "say": _say,
    "tap": _tap,
    "press": _press,
    "photo": _photo,
    "document": _document,
    "album": _album,
    "voice": _voice,
    "sticker": _sticker,
    "location": _location,
    "contact": _contact,
    "edit": _edit,
    "block": _block,
    "unblock": _unblock,
    "delete-account": _delete_account,
    "language": _language,
    "zone": _zone,
}
