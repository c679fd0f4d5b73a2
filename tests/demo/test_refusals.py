"""Every refusal that a real bot must survive, word for word."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bot.demo.limits import Limits
from bot.demo.methods import perform
from bot.demo.params import Params
from bot.demo.people import Person
from bot.demo.refusals import Refusal
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG, Caller, Clock

pytestmark = pytest.mark.asyncio

DATA = "BUTTON_DATA_INVALID"
PARSE = "Bad Request: can't parse entities: "
NOT_MODIFIED = (
    "Bad Request: message is not modified: specified new message content and reply markup are "
    "exactly the same as a current content and reply markup of the message"
)


def keys(*buttons: dict[str, object]) -> dict[str, object]:
    return {"inline_keyboard": [list(buttons)]}


HTML: list[tuple[str, str]] = [
    ("<br>", 'Unsupported start tag "br" at byte offset 0'),
    ("fever > 38 & < 40", 'Unsupported start tag "" at byte offset 13'),
    ("é<p>x</p>", 'Unsupported start tag "p" at byte offset 2'),
    ("a<b", "Unclosed start tag at byte offset 1"),
    ("<b>x</b", "Unclosed end tag at byte offset 4"),
    ("x</b>", "Unexpected end tag at byte offset 1"),
    ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
    ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
    ('<a ="x">y</a>', 'Empty attribute name in the tag "a" at byte offset 0'),
    ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
]


@pytest.mark.parametrize(("text", "complaint"), HTML)
async def test_html_that_is_refused(api: Caller, ana: Person, text: str, complaint: str) -> None:
    await ana.starts()
    refused = await api.refused("sendMessage", chat_id=ana.id, text=text, parse_mode="HTML")
    assert refused == (400, PARSE + complaint)


SENDS: list[tuple[dict[str, Any], str]] = [
    ({"text": ""}, "message text is empty"),
    ({}, "message text is empty"),
    ({"text": " \n "}, "text must be non-empty"),
    ({"text": "<b></b>", "parse_mode": "HTML"}, "text must be non-empty"),
    ({"text": "x" * 4097}, "message is too long"),
    ({"text": "x" * 32_769}, "text is too long"),
    ({"text": "x", "reply_markup": keys({"text": "a", "callback_data": "é" * 33})}, DATA),
    ({"text": "x", "reply_markup": keys({"text": "a", "callback_data": ""})}, DATA),
    (
        {"text": "x", "reply_markup": keys({"text": "a"})},
        "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard",
    ),
    (
        {"text": "x", "reply_markup": keys({"text": "a", "url": "http://localhost:8000"})},
        "inline keyboard button URL 'http://localhost:8000' is invalid: Wrong HTTP URL",
    ),
    ({"text": "x", "chat_id": 42}, "chat not found"),
    ({"text": "x", "reply_parameters": {"message_id": 99}}, "message to be replied not found"),
]  # fmt: skip


@pytest.mark.parametrize(("params", "description"), SENDS)
async def test_sends_that_are_refused(
    api: Caller, ana: Person, params: dict[str, Any], description: str
) -> None:
    await ana.starts()
    refused = await api.refused("sendMessage", **{"chat_id": ana.id, **params})
    assert refused == (400, f"Bad Request: {description}")
    assert not ana.received


async def test_what_is_long_on_the_wire_only_passes(api: Caller, ana: Person) -> None:
    await ana.starts()
    await api.ok(
        "sendMessage", chat_id=ana.id, text="<b>" + "&lt;" * 4096 + "</b>", parse_mode="HTML"
    )
    await api.ok("sendMessage", chat_id=ana.id, text="😀" * 4096)
    assert len(ana.last_message.text) == 4096
    assert ana.last_message.entities == ()
    button: dict[str, object] = {"text": "a", "url": "http://127.0.0.1:8000"}
    await api.ok("sendMessage", chat_id=ana.id, text="x", reply_markup=keys(button))
    reply = {"message_id": 99, "allow_sending_without_reply": True}
    await api.ok("sendMessage", chat_id=ana.id, text="x", reply_parameters=reply)


async def test_keyboards_are_cut_in_silence(api: Caller, ana: Person) -> None:
    await ana.starts()
    button = {"text": "a", "callback_data": "a"}
    wide = {"inline_keyboard": [[button] * 15, [{"text": ""}], []] + [[button] * 12] * 40}
    sent = await api.ok("sendMessage", chat_id=ana.id, text="x", reply_markup=wide)
    rows = sent["reply_markup"]["inline_keyboard"]
    assert {len(row) for row in rows} == {12}
    assert sum(len(row) for row in rows) == 300
    empty = await api.ok(
        "sendMessage", chat_id=ana.id, text="x", reply_markup={"inline_keyboard": [[]]}
    )
    assert "reply_markup" not in empty


async def test_people_who_cannot_be_reached(api: Caller, ana: Person) -> None:
    says = {"chat_id": ana.id, "text": "x"}
    never = await api.refused("sendMessage", **says)
    assert never == (403, "Forbidden: bot can't initiate conversation with a user")
    menu = {"commands": [], "scope": {"type": "chat", "chat_id": ana.id}}
    assert await api.refused("setMyCommands", **menu) == (400, "Bad Request: chat not found")
    await ana.starts()
    await api.ok("sendMessage", **says)
    await ana.blocks()
    blocked = (403, "Forbidden: bot was blocked by the user")
    assert await api.refused("sendMessage", **says) == blocked
    assert await api.refused("sendChatAction", chat_id=ana.id, action="typing") == blocked
    await ana.starts()
    await api.ok("sendMessage", **says)
    await ana.deletes_account()
    deleted = (403, "Forbidden: user is deactivated")
    assert await api.refused("sendMessage", **says) == deleted


async def test_edits_that_are_refused(api: Caller, ana: Person) -> None:
    said = await ana.starts()
    markup = keys({"text": "a", "callback_data": "a"})
    sent = await api.ok("sendMessage", chat_id=ana.id, text="one", reply_markup=markup)
    here = {"chat_id": ana.id, "message_id": sent["message_id"]}
    same = await api.refused("editMessageText", **here, text="one", reply_markup=markup)
    assert same == (400, NOT_MODIFIED)
    changed = await api.ok("editMessageText", **here, text="one")
    assert "reply_markup" not in changed
    assert await api.refused("editMessageReplyMarkup", **here) == (400, NOT_MODIFIED)
    gone = await api.refused("editMessageText", chat_id=ana.id, message_id=99, text="two")
    assert gone == (400, "Bad Request: message to edit not found")
    theirs = await api.refused("editMessageText", chat_id=ana.id, message_id=said.id, text="two")
    assert theirs == (400, "Bad Request: message can't be edited")
    menu = {"keyboard": [[{"text": "My plan"}]]}
    keyed = await api.ok("sendMessage", chat_id=ana.id, text="menu", reply_markup=menu)
    fixed = await api.refused(
        "editMessageText", chat_id=ana.id, message_id=keyed["message_id"], text="two"
    )
    assert fixed == (400, "Bad Request: message can't be edited")
    wrong = await api.refused("editMessageText", **here, text="two", reply_markup=menu)
    assert wrong == (400, "Bad Request: inline keyboard expected")


async def test_deletions_that_are_refused(api: Caller, clock: Clock, ana: Person) -> None:
    await ana.starts()
    missing = await api.refused("deleteMessage", chat_id=ana.id, message_id=99)
    assert missing == (400, "Bad Request: message to delete not found")
    sent = await api.ok("sendMessage", chat_id=ana.id, text="x")
    clock.move(hours=49)
    old = await api.refused("deleteMessage", chat_id=ana.id, message_id=sent["message_id"])
    assert old == (400, "Bad Request: message can't be deleted")


async def test_files_that_are_refused(api: Caller, ana: Person) -> None:
    await ana.starts()
    wrong = await api.refused("sendPhoto", chat_id=ana.id, photo="AgACno-such-file")
    assert wrong == (400, "Bad Request: wrong file identifier/HTTP URL specified")
    web = await api.refused("sendPhoto", chat_id=ana.id, photo="https://example.org/a.jpg")
    assert web == wrong
    unknown = await api.refused("getFile", file_id="AgACno-such-file")
    assert unknown == (400, "Bad Request: invalid file_id")
    big = await ana.sends_document(b"0" * (20 * 1024 * 1024 + 1), "big.bin")
    assert big.document is not None
    assert isinstance(big.document.api, dict)
    too_big = await api.refused("getFile", file_id=big.document.api["file_id"])
    assert too_big == (400, "Bad Request: file is too big")
    sent = await api.multipart(
        "sendPhoto", {"photo": ("a.png", PNG)}, chat_id=str(ana.id), caption="c" * 1024
    )
    again = sent["photo"][-1]["file_id"]
    long = await api.refused("sendPhoto", chat_id=ana.id, photo=again, caption="c" * 1025)
    assert long == (400, "Bad Request: message caption is too long")
    not_text = await api.refused(
        "editMessageText", chat_id=ana.id, message_id=sent["message_id"], text="x"
    )
    assert not_text == (400, "Bad Request: there is no text in the message to edit")


async def test_taps_that_are_answered_late_or_twice(api: Caller, clock: Clock, ana: Person) -> None:
    await ana.starts()
    markup = keys({"text": "Yes", "callback_data": "y"})
    await api.ok("sendMessage", chat_id=ana.id, text="?", reply_markup=markup)
    old = (
        400,
        "Bad Request: query is too old and response timeout expired or query ID is invalid",
    )
    first = await ana.taps("Yes")
    assert await api.ok("answerCallbackQuery", callback_query_id=first) is True
    assert await api.refused("answerCallbackQuery", callback_query_id=first) == old
    late = await ana.taps("y")
    clock.move(seconds=151)
    assert await api.refused("answerCallbackQuery", callback_query_id=late) == old
    assert await api.refused("answerCallbackQuery", callback_query_id="none") == old


async def test_a_wrong_token_and_a_wrong_method(
    api: Caller, telegram: LocalTelegram, server: Server
) -> None:
    assert await api.refused("noSuchMethod") == (404, "Not Found: method not found")
    assert await api.refused("sendPoll") == (404, "Not Found: method not found")
    notes = [call.note for call in telegram.calls]
    assert notes == ["unknown method", "in the Bot API, not built here"]
    telegram.revoked = True
    assert await api.refused("getMe") == (401, "Unauthorized")
    telegram.revoked = False
    other = Caller(api.http, server.base_url, "1000000001:another")
    assert await other.refused("getMe") == (401, "Unauthorized")


async def test_an_upgraded_group_names_its_new_id(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    group = telegram.group("Clinic")
    says = {"chat_id": group.chat.id, "text": "x"}
    outside = await api.refused("sendMessage", **says)
    assert outside == (403, "Forbidden: bot is not a member of the group chat")
    await group.adds_bot(ana)
    await api.ok("sendMessage", **says)
    new = await group.upgrades()
    answer = await api.raw("sendMessage", **says)
    assert answer.json() == {
        "ok": False,
        "error_code": 400,
        "description": "Bad Request: group chat was upgraded to a supergroup chat",
        "parameters": {"migrate_to_chat_id": new},
    }


async def test_flood_control_counts_per_chat(clock: Clock) -> None:
    telegram = LocalTelegram(
        now=clock.now, limits=Limits(on=True, monotonic=lambda: clock.at.timestamp())
    )
    ana, ben = telegram.person("Ana"), telegram.person("Ben")
    await ana.starts()
    await ben.starts()

    def says(person: Person) -> None:
        perform(telegram, "sendMessage", Params({"chat_id": person.id, "text": "x"}))

    for _ in range(5):
        says(ana)
    with pytest.raises(Refusal, match="Too Many Requests: retry after 1"):
        says(ana)
    says(ben)
    clock.at += timedelta(seconds=1)
    says(ana)
