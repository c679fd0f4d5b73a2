"""Updates: waiting, confirming, ages, two pollers, webhooks, and raw ones put in by a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.demo.people import Person, PhoneError
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG, Caller, Clock

pytestmark = pytest.mark.asyncio


def texts(updates: list[dict[str, Any]]) -> list[str]:
    return [update["message"]["text"] for update in updates]


async def test_updates_are_handed_over_until_they_are_confirmed(api: Caller, ana: Person) -> None:
    for word in ("one", "two", "three"):
        await ana.says(word)
    first = await api.ok("getUpdates", limit=2)
    assert texts(first) == ["one", "two"]
    assert texts(await api.ok("getUpdates")) == ["one", "two", "three"]
    rest = await api.ok("getUpdates", offset=first[-1]["update_id"] + 1)
    assert texts(rest) == ["three"]
    assert rest[0]["update_id"] == first[-1]["update_id"] + 1
    assert await api.ok("getUpdates", offset=rest[0]["update_id"] + 1) == []


async def test_a_negative_offset_keeps_the_newest_only(api: Caller, ana: Person) -> None:
    for word in ("one", "two", "three"):
        await ana.says(word)
    assert texts(await api.ok("getUpdates", offset=-1)) == ["three"]
    assert texts(await api.ok("getUpdates")) == ["three"]


async def test_a_long_poll_wakes_at_once(api: Caller, telegram: LocalTelegram, ana: Person) -> None:
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        poll = tasks.create_task(api.ok("getUpdates", timeout=30))
        await telegram.wait_for(lambda: telegram.updates.polls)
        await ana.says("hello")
    assert texts(poll.result()) == ["hello"]


async def test_the_older_of_two_polls_is_refused(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        older = tasks.create_task(api.raw("getUpdates", timeout=30))
        await telegram.wait_for(lambda: telegram.updates.polls)
        newer = tasks.create_task(api.ok("getUpdates", timeout=30))
        await asyncio.wait({older})
        await ana.says("hello")
    assert older.result().json() == {
        "ok": False,
        "error_code": 409,
        "description": "Conflict: terminated by other getUpdates request; "
        "make sure that only one bot instance is running",
    }
    assert texts(newer.result()) == ["hello"]


async def test_taps_wait_150_seconds_and_messages_a_day(
    api: Caller, clock: Clock, ana: Person
) -> None:
    await ana.says("hello")
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    await api.ok("sendMessage", chat_id=ana.id, text="?", reply_markup=keyboard)
    await ana.taps("Yes")
    clock.move(seconds=150)
    kinds = [set(update) - {"update_id"} for update in await api.ok("getUpdates")]
    assert kinds == [{"message"}, {"callback_query"}]
    clock.move(seconds=1)
    assert texts(await api.ok("getUpdates")) == ["hello"]
    clock.move(hours=24)
    assert await api.ok("getUpdates") == []


async def test_wanted_kinds_are_remembered(api: Caller, ana: Person) -> None:
    assert await api.ok("getUpdates", allowed_updates=["message"]) == []
    said = await ana.says("hello")
    await ana.edits(said, "hello there")
    await ana.blocks()
    assert len(await api.ok("getUpdates")) == 1
    assert (await api.ok("getWebhookInfo"))["allowed_updates"] == ["message"]
    await api.ok("getUpdates", allowed_updates=[])
    await ana.unblocks()
    changed = (await api.ok("getUpdates"))[-1]["my_chat_member"]
    statuses = (changed["old_chat_member"]["status"], changed["new_chat_member"]["status"])
    assert statuses == ("kicked", "member")


async def test_raw_updates_double_disordered_and_broken(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.says("hello")
    first = await api.ok("getUpdates")
    done = first[-1]["update_id"] + 1
    telegram.updates.inject(telegram.updates.history[-1])
    telegram.updates.inject({"update_id": done + 7, "message": {"no": "date"}})
    telegram.updates.inject({"update_id": done + 3, "poll": None})
    again = await api.ok("getUpdates", offset=done)
    assert [update["update_id"] for update in again] == [done - 1, done + 7, done + 3]
    assert await api.ok("getUpdates", offset=done + 8) == []


async def test_links_codes_and_what_the_phone_shows(telegram: LocalTelegram, ana: Person) -> None:
    await ana.opens(telegram.link("a-B_9"), press_start=False)
    assert ana.pending_start == "a-B_9"
    assert not telegram.updates.pending()
    await ana.opens(f"tg://resolve?domain={telegram.username}&start=x")
    assert ana.messages[-1].text == "/start"
    sent = telegram.updates.history[-1]["message"]
    assert sent["text"] == "/start x"
    assert sent["entities"] == [{"type": "bot_command", "offset": 0, "length": 6}]
    for code in ("", "x" * 65, "a b", "ä"):
        with pytest.raises(PhoneError):
            await ana.starts(code)
    await ana.opens("https://example.org/")
    assert ana.opened_links == ["https://example.org/"]
    with pytest.raises(PhoneError, match="sees no button 'Yes'"):
        await ana.taps("Yes")
    with pytest.raises(PhoneError, match="no key"):
        await ana.presses("My plan")


async def test_pieces_of_an_album_come_apart(telegram: LocalTelegram, ana: Person) -> None:
    await ana.sends_album([PNG, PNG, PNG], "my face")
    messages = [update["message"] for update in telegram.updates.history]
    assert len({message["media_group_id"] for message in messages}) == 1
    assert ["caption" in message for message in messages] == [True, False, False]


@asynccontextmanager
async def receiver(answers: list[int]) -> AsyncIterator[tuple[str, list[tuple[str, Any]]]]:
    """A webhook that answers these codes in turn, then 200, and keeps what it was posted."""
    posted: list[tuple[str, Any]] = []

    async def take(request: Request) -> Response:
        header = request.headers.get("x-telegram-bot-api-secret-token", "")
        posted.append((header, await request.json()))
        return Response(status_code=answers.pop(0) if answers else 200)

    app = Starlette(routes=[Route("/hook", take, methods=["POST"])])
    config = uvicorn.Config(app, port=0, log_config=None, lifespan="off", access_log=False)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/hook", posted
    finally:
        server.force_exit = True
        await server.shutdown()


async def test_a_webhook_gets_each_update_in_order_until_it_takes_it(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    telegram.webhook_pause = 0.001
    await ana.says("one")
    async with receiver([500, 503]) as (url, posted):
        hook = {"url": url, "secret_token": "a-Secret_1"}
        await api.ok("setWebhook", **hook)
        await ana.says("two")
        await telegram.wait_for(lambda: not telegram.updates.pending())
        heard = [update["message"]["text"] for _, update in posted]
        assert heard == ["one", "one", "one", "two"]
        assert {header for header, _ in posted} == {"a-Secret_1"}
        info = await api.ok("getWebhookInfo")
        assert info["last_error_message"].startswith("Wrong response from the webhook: 50")
        assert await api.refused("getUpdates") == (
            409,
            "Conflict: can't use getUpdates method while webhook is active; "
            "use deleteWebhook to delete the webhook first",
        )
        await api.ok("deleteWebhook")
    await ana.says("three")
    assert texts(await api.ok("getUpdates")) == ["three"]


async def test_a_poll_ends_when_a_webhook_is_set(api: Caller, telegram: LocalTelegram) -> None:
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        poll = tasks.create_task(api.refused("getUpdates", timeout=30))
        await telegram.wait_for(lambda: telegram.updates.polls)
        await api.ok("setWebhook", url="https://example.org/hook")
    assert poll.result() == (409, "Conflict: terminated by setWebhook request")
    await api.ok("deleteWebhook")
    wrong = await api.refused("setWebhook", url="http://example.org/hook")
    assert wrong[1] == "Bad Request: bad webhook: An HTTPS URL must be provided for webhook"
