"""The page with the phones: its state, its stream, its actions, the clock, and who may use it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from bot.demo.people import Person
from bot.demo.phones import Invitation, Phones
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG, Caller, Clock

pytestmark = pytest.mark.asyncio


class Pushed:
    """A clock control that waits to be let go."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.go = asyncio.Event()
        self.go.set()
        self.entered = asyncio.Event()
        self.note: str | None = "the next one"

    def now(self) -> datetime:
        return self.clock.now()

    async def next_message(self) -> str | None:
        self.entered.set()
        await self.go.wait()
        return self.note

    async def forward(self, delta: timedelta) -> None:
        self.clock.at += delta


@pytest.fixture
def control(clock: Clock) -> Pushed:
    return Pushed(clock)


@pytest.fixture
def nour(telegram: LocalTelegram) -> Person:
    return telegram.person("Nour")


@pytest_asyncio.fixture
async def page(
    telegram: LocalTelegram, control: Pushed, nour: Person, ana: Person
) -> AsyncIterator[httpx.AsyncClient]:
    phones = Phones(
        telegram,
        clock=control,
        invitation=Invitation("Open the invitation", telegram.link("LEAD"), nour),
        roles={nour.id: "practitioner", ana.id: "patient"},
    )
    async with telegram.serve(phones=phones) as server:
        plain = httpx.AsyncClient(
            base_url=server.base_url,
            trust_env=False,
            verify=False,  # noqa: S501 - plain HTTP
            timeout=5,
        )
        async with plain as http:
            yield http


async def shown(page: httpx.AsyncClient, person: Person) -> dict[str, Any]:
    state = (await page.get("/demo/state")).json()
    return next(one for one in state["people"] if one["id"] == person.id)


async def act(page: httpx.AsyncClient, person: Person, action: str, **body: object) -> None:
    answer = await page.post(f"/demo/people/{person.id}/{action}", json=body)
    assert answer.json() == {"ok": True}


async def test_the_page_is_whole_and_closed_to_the_outside(page: httpx.AsyncClient) -> None:
    answer = await page.get("/")
    assert "Telegram itself is never reached" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    for name in ("phones.js", "words.js", "phones.css", "mark.svg"):
        asset = await page.get(f"/demo/static/{name}")
        assert asset.status_code == 200, name
        assert "http://" not in asset.text.replace("http://www.w3.org/2000/svg", ""), name
        assert "https://" not in asset.text.replace("https://${", ""), name
    for name in ("..%2Fphones.py", "none.js"):
        assert (await page.get(f"/demo/static/{name}")).status_code == 404
    assert "<style" not in answer.text
    assert "style=" not in answer.text


async def test_other_sites_may_do_nothing(
    page: httpx.AsyncClient, telegram: LocalTelegram, ana: Person
) -> None:
    path = f"/demo/people/{ana.id}/say"
    tries: list[dict[str, str]] = [
        {"content-type": "text/plain"},
        {"content-type": "application/json", "origin": "https://example.org"},
        {"content-type": "application/json", "host": "rebound.example.org"},
    ]
    for headers in tries:
        answer = await page.post(path, content=b'{"text": "x"}', headers=headers)
        assert answer.status_code in (400, 404)
    elsewhere = await page.get("/demo/state", headers={"host": "rebound.example.org"})
    assert elsewhere.status_code == 404
    assert not telegram.updates.history


async def test_fingers_do_what_the_page_offers(
    page: httpx.AsyncClient, telegram: LocalTelegram, ana: Person, nour: Person
) -> None:
    api = Caller(page, str(page.base_url).rstrip("/"), telegram.token)
    await act(page, ana, "open", link=telegram.link("CODE"))
    assert (await shown(page, ana))["invited"]
    await act(page, ana, "start")
    menu = {"keyboard": [["My plan", {"text": "Share", "request_contact": True}]]}
    await api.ok("sendMessage", chat_id=ana.id, text="menu", reply_markup=menu)
    await act(page, ana, "press", label="My plan")
    keyboard = {"inline_keyboard": [[{"text": "Yes", "callback_data": "y"}]]}
    sent = await api.ok("sendMessage", chat_id=ana.id, text="<b>?</b>", reply_markup=keyboard)
    await act(page, ana, "tap", message=sent["message_id"], row=0, column=0)
    bubble = (await shown(page, ana))["messages"][-1]
    assert bubble["buttons"] == [[{"text": "Yes", "url": "", "copy": "", "waiting": True}]]
    query = next(iter(telegram.queries))
    await api.ok("answerCallbackQuery", callback_query_id=query, text="Saved", show_alert=True)
    phone = await shown(page, ana)
    assert phone["toasts"] == [{"text": "Saved", "alert": True}]
    assert phone["messages"][-1]["buttons"][0][0]["waiting"] is False

    data = base64.b64encode(PNG).decode()
    await act(page, ana, "photo", data=data, caption="me")
    url = (await shown(page, ana))["messages"][-1]["file"]["url"]
    picture = await page.get(url)
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")
    await act(page, ana, "document", data=data, name="a.html", mime="text/html")
    url = (await shown(page, ana))["messages"][-1]["file"]["url"]
    assert (await page.get(url)).headers["content-disposition"] == "attachment"
    for action in ("voice", "sticker", "location", "contact"):
        await act(page, ana, action)
    await act(page, ana, "album", photos=[data, data])
    await act(page, ana, "say", text="hello")
    await act(page, ana, "edit", message=ana.messages[-1].id, text="hello there")
    assert (await shown(page, ana))["messages"][-1]["edited"]
    await act(page, ana, "language", code="de")
    await act(page, ana, "zone", zone="Asia/Tokyo")
    await act(page, ana, "block")
    assert (await shown(page, ana))["blocked"]
    refused = await page.post(f"/demo/people/{ana.id}/say", json={"text": "x"})
    assert refused.json() == {"error": "Ana has blocked the bot"}
    await act(page, ana, "unblock")
    await act(page, ana, "delete-account")
    assert (ana.language_code, ana.time_zone, ana.deleted) == ("de", "Asia/Tokyo", True)
    assert not nour.messages


async def test_the_menu_follows_scope_and_language(
    page: httpx.AsyncClient, telegram: LocalTelegram, ana: Person, nour: Person
) -> None:
    api = Caller(page, str(page.base_url).rstrip("/"), telegram.token)
    await nour.starts()

    async def menu(name: str, **more: object) -> None:
        commands = [{"command": name, "description": "d"}]
        await api.ok("setMyCommands", commands=commands, **more)

    await menu("everybody")
    await menu("todos", language_code="es")
    await menu("team", scope={"type": "chat", "chat_id": nour.id})
    assert [one["command"] for one in (await shown(page, ana))["menu"]] == ["todos"]
    assert [one["command"] for one in (await shown(page, nour))["menu"]] == ["team"]
    await act(page, ana, "language", code="fr")
    assert [one["command"] for one in (await shown(page, ana))["menu"]] == ["everybody"]


async def test_a_code_in_a_picture_can_be_scanned(
    page: httpx.AsyncClient, telegram: LocalTelegram, nour: Person
) -> None:
    api = Caller(page, str(page.base_url).rstrip("/"), telegram.token)
    await nour.starts()
    link = telegram.link("kJ2-code")
    await api.multipart("sendPhoto", {"photo": ("q.png", PNG)}, chat_id=str(nour.id), caption=link)
    assert (await shown(page, nour))["messages"][-1]["scan"] == link


async def test_the_clock_is_pushed_once_at_a_time(
    page: httpx.AsyncClient, control: Pushed, clock: Clock
) -> None:
    before = clock.at
    answer = await page.post("/demo/clock", json={"days": 1})
    assert answer.json()["ok"]
    assert clock.at - before == timedelta(days=1)
    control.go.clear()
    async with asyncio.TaskGroup() as tasks, asyncio.timeout(20):
        first = tasks.create_task(page.post("/demo/clock", json={"to": "next"}))
        await control.entered.wait()
        assert (await page.get("/demo/state")).json()["clock"]["busy"] == "next"
        second = await page.post("/demo/clock", json={"hours": 1})
        assert second.status_code == 409
        control.go.set()
    assert first.result().json()["note"] == "the next one"
    for wrong in ({"hours": -1}, {"days": 4000}, {"hours": "1"}, {}):
        assert (await page.post("/demo/clock", json=wrong)).status_code == 400


async def test_changes_are_streamed(page: httpx.AsyncClient, ana: Person) -> None:
    async with asyncio.timeout(20), page.stream("GET", "/demo/stream") as stream:
        texts: list[list[str]] = []
        async for line in stream.aiter_lines():
            if not line.startswith("data: "):
                continue
            state = json.loads(line.removeprefix("data: "))
            mine = next(one for one in state["people"] if one["id"] == ana.id)
            texts.append([message["text"] for message in mine["messages"]])
            if texts[-1] == ["hello"]:
                break
            await ana.says("hello")
    assert texts == [[], ["hello"]]


async def test_a_phone_is_added(page: httpx.AsyncClient, telegram: LocalTelegram) -> None:
    added = (await page.post("/demo/people", json={"first_name": "Ben"})).json()
    assert telegram.people[-1].id == added["id"]
    assert (await page.post("/demo/people", json={"first_name": " "})).status_code == 400


FOREIGN = [
    {"Host": "evil.example"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
async def test_no_other_site_drives_the_bot_api(
    page: httpx.AsyncClient, telegram: LocalTelegram, headers: dict[str, str]
) -> None:
    for path in (f"/bot{telegram.token}/getMe", "/demo/calls.jsonl", "/demo/state", "/"):
        assert (await page.get(path)).status_code == 200
        assert (await page.get(path, headers=headers)).status_code == 404


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("say", b'{"text": "a\\ud800b"}'),
        ("say", b"[" * 100_000),
        ("tap", b'{"message": {"a": 1}}'),
        ("tap", b'{"message": 1e400}'),
        ("tap", b'{"message": null, "row": null, "column": null}'),
        ("album", b'{"photos": 5}'),
    ],
)
async def test_an_odd_body_is_refused_and_the_page_goes_on(
    page: httpx.AsyncClient, ana: Person, action: str, body: bytes
) -> None:
    kind = {"Content-Type": "application/json"}
    answer = await page.post(f"/demo/people/{ana.id}/{action}", content=body, headers=kind)
    assert answer.status_code == 400
    assert (await page.get("/demo/state")).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b'{"chat_id": %d, "text": "a\\ud800b"}',
        b'{"chat_id": %d, "text": "a", "reply_markup": "{\\"a\\": \\"\\\\ud800\\"}"}',
        b'{"chat_id": %d, "text": ' + b"[" * 100_000,
    ],
)
async def test_an_odd_call_is_refused_and_the_page_goes_on(
    page: httpx.AsyncClient, telegram: LocalTelegram, ana: Person, body: bytes
) -> None:
    kind = {"Content-Type": "application/json"}
    path = f"/bot{telegram.token}/sendMessage"
    answer = await page.post(path, content=body.replace(b"%d", b"%d" % ana.id), headers=kind)
    assert answer.status_code == 400
    assert (await page.get("/demo/state")).status_code == 200
