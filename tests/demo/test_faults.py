"""The switches for trouble, the ways a call may travel, and the log of calls."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest

from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG, Caller

pytestmark = pytest.mark.asyncio


async def test_errors_are_counted_and_aimed(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    ben = telegram.person("Ben")
    await ana.starts()
    await ben.starts()
    fault = telegram.faults.error("sendMessage", 500, "restart", chat=ana.id, times=2, skip=1)
    says = {"chat_id": ana.id, "text": "x"}
    await api.ok("sendMessage", **says)
    await api.ok("sendMessage", chat_id=ben.id, text="x")
    restart = (500, "Internal Server Error: restart")
    assert await api.refused("sendMessage", **says) == restart
    assert await api.refused("sendmessage", **says) == restart
    await api.ok("sendMessage", **says)
    assert fault.hits == 2
    assert len(ana.received) == 2


async def test_a_flood_names_its_seconds_twice(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    telegram.faults.flood("sendMessage", 7)
    answer = await api.raw("sendMessage", chat_id=ana.id, text="x")
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "7"
    assert answer.json() == {
        "ok": False,
        "error_code": 429,
        "description": "Too Many Requests: retry after 7",
        "parameters": {"retry_after": 7},
    }


@pytest.mark.parametrize("delivered", [False, True])
async def test_a_connection_breaks_before_or_after_delivery(
    api: Caller, telegram: LocalTelegram, ana: Person, delivered: bool
) -> None:
    await ana.starts()
    telegram.faults.drop("sendMessage", delivered=delivered)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await api.raw("sendMessage", chat_id=ana.id, text="x")
    assert len(ana.received) == int(delivered)
    await api.ok("sendMessage", chat_id=ana.id, text="y")


async def test_a_call_that_hangs_is_left_by_its_caller(
    api: Caller, telegram: LocalTelegram, server: Server, ana: Person
) -> None:
    await ana.starts()
    telegram.faults.hang("sendMessage", delivered=True)
    patience = httpx.Timeout(20, read=0.5)
    plain = httpx.AsyncClient(trust_env=False, verify=False, timeout=patience)  # noqa: S501
    async with plain as http:
        impatient = Caller(http, server.base_url, telegram.token)
        with pytest.raises(httpx.ReadTimeout):
            await impatient.raw("sendMessage", chat_id=ana.id, text="x")
    assert len(ana.received) == 1
    await telegram.wait_for(lambda: telegram.in_hand == 0)
    telegram.faults.hang("sendMessage")
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        late = tasks.create_task(api.ok("sendMessage", chat_id=ana.id, text="y"))
        await telegram.wait_for(lambda: telegram.in_hand == 1)
        telegram.faults.clear()
    assert late.result()["text"] == "y"


async def test_a_page_instead_of_json(api: Caller, telegram: LocalTelegram, ana: Person) -> None:
    await ana.starts()
    telegram.faults.bad_gateway("sendMessage")
    answer = await api.raw("sendMessage", chat_id=ana.id, text="x")
    assert answer.status_code == 502
    assert answer.text.startswith("<html>")
    telegram.faults.slow("sendMessage", 0.03)
    started = asyncio.get_running_loop().time()
    await api.ok("sendMessage", chat_id=ana.id, text="x")
    assert asyncio.get_running_loop().time() - started >= 0.03


async def test_the_server_goes_away_and_comes_back(
    api: Caller, telegram: LocalTelegram, server: Server
) -> None:
    telegram.faults.down = True
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await api.raw("getMe")
    telegram.faults.clear()
    await api.ok("getMe")
    await server.goes_away()
    with pytest.raises(httpx.ConnectError):
        await api.raw("getMe")
    await server.listens()
    await api.ok("getMe")


async def test_an_answer_ends_in_the_middle(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    telegram.faults.half_answer("sendMessage")
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        await api.raw("sendMessage", chat_id=ana.id, text="x")
    assert len(ana.received) == 1
    await api.ok("sendMessage", chat_id=ana.id, text="y")


async def test_updates_come_twice_and_backwards(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    await ana.says("x")
    usual = await api.ok("getUpdates")
    assert len(usual) == 2
    telegram.faults.updates_twice()
    assert await api.ok("getUpdates") == usual * 2
    telegram.faults.updates_backwards()
    assert await api.ok("getUpdates") == usual[::-1]
    assert await api.ok("getUpdates") == usual


async def test_every_way_a_call_may_travel(api: Caller, ana: Person) -> None:
    await ana.starts()
    get, post = api.http.get, api.http.post
    number = str(ana.id)
    escaped = api.url("SENDMESSAGE").replace(":", "%3A").replace("http%3A", "http:")
    escaped = escaped.replace("127.0.0.1%3A", "127.0.0.1:")
    ways = [
        await get(api.url("sendMessage"), params={"chat_id": number, "text": "query"}),
        await post(escaped, data={"chat_id": number, "text": "form"}),
        await post(api.url("sendMessage"), json={"chat_id": ana.id, "text": "json"}),
        await post(
            api.url("sendMessage"),
            data={"chat_id": number, "text": "multipart"},
            files={"unused": ("a.txt", b"a")},
        ),
    ]
    assert [way.status_code for way in ways] == [200, 200, 200, 200]
    assert [message.text for message in ana.received] == ["query", "form", "json", "multipart"]


async def test_a_file_goes_up_and_comes_down(
    api: Caller, telegram: LocalTelegram, server: Server, ana: Person
) -> None:
    await ana.starts()
    sent = await api.multipart("sendPhoto", {"photo": ("me.png", PNG)}, chat_id=str(ana.id))
    assert ana.last_message.photo == PNG
    again = await api.ok("sendPhoto", chat_id=ana.id, photo=sent["photo"][-1]["file_id"])
    assert again["photo"] == sent["photo"]
    file = await api.ok("getFile", file_id=sent["photo"][-1]["file_id"])
    url = f"{server.base_url}/file/bot{telegram.token}/{file['file_path']}"
    assert (await api.http.get(url)).content == PNG
    copied = await api.ok(
        "copyMessage",
        chat_id=ana.id,
        from_chat_id=ana.id,
        message_id=sent["message_id"],
        caption="c",
    )
    assert set(copied) == {"message_id"}
    assert (ana.last_message.photo, ana.last_message.text) == (PNG, "c")


async def test_the_log_holds_each_call_as_a_line(
    api: Caller, telegram: LocalTelegram, server: Server, ana: Person
) -> None:
    await ana.starts()
    markup = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    text = json.dumps(markup)
    await api.multipart(
        "sendDocument", {"document": ("a.ics", b"BEGIN")}, chat_id=str(ana.id), reply_markup=text
    )
    await api.refused("sendMessage", chat_id=42, text="x")
    lines = (await api.http.get(f"{server.base_url}/demo/calls.jsonl")).text.splitlines()
    sent, refused = (json.loads(line) for line in lines)
    assert (sent["kind"], sent["method"], sent["status"]) == ("call", "sendDocument", 200)
    assert sent["t"] == "2025-03-03T14:00:00.000Z"
    assert sent["params"]["reply_markup"] == markup
    assert sent["files"][0]["size"] == 5
    assert sent["response"]["result"]["document"]["file_name"] == "a.ics"
    assert (refused["status"], refused["response"]["ok"]) == (400, False)
    assert telegram.token not in "".join(lines)
    assert [call.passed for call in telegram.calls_of("sendMessage")] == [False]
