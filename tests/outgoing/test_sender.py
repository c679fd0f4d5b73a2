"""One call to Telegram, one outcome: what is known after each way in which a send can go wrong."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from telegram import Bot
from telegram.error import ChatMigrated, NetworkError
from telegram.request import HTTPXRequest

from bot.demo.faults import Faults
from bot.demo.people import Person
from bot.demo.server import Server
from bot.demo.telegram import LocalTelegram
from bot.domain.states import Reason
from bot.outgoing import sender
from bot.outgoing.sender import (
    Delivered,
    NeverWill,
    NotSent,
    Outgoing,
    Refused,
    TargetGone,
    TooLate,
    Unknown,
)
from tests.demo.caller import PNG

NOW = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)


@pytest.fixture
def telegram() -> LocalTelegram:
    return LocalTelegram(now=lambda: NOW)


@pytest.fixture
async def server(telegram: LocalTelegram) -> AsyncIterator[Server]:
    async with telegram.serve() as running:
        yield running


def connection(base_url: str, token: str, patience_s: float = 20) -> Bot:
    """A bot that waits so long for an answer."""
    request = HTTPXRequest(read_timeout=patience_s, httpx_kwargs={"trust_env": False})
    return Bot(token, f"{base_url}/bot", request=request)


@pytest.fixture
async def telegram_bot(telegram: LocalTelegram, server: Server) -> AsyncIterator[Bot]:
    async with connection(server.base_url, telegram.token) as running:
        yield running


@pytest.fixture
def ana(telegram: LocalTelegram) -> Person:
    person = telegram.person("Ana")
    person.started = True
    return person


def hello(person: Person) -> Outgoing:
    return Outgoing(person.id, "text", "<b>Hello</b> &amp; welcome")


async def test_what_arrives_is_known_by_its_number(
    telegram: LocalTelegram, telegram_bot: Bot, ana: Person
) -> None:
    said = hello(ana)
    assert await sender.deliver(telegram_bot, said) == Delivered(1)
    assert ana.last_message.text == "Hello & welcome"
    assert not ana.last_message.silent
    assert await sender.deliver(telegram_bot, replace(said, silent=True)) == Delivered(2)
    assert ana.last_message.silent
    photo = Outgoing(ana.id, "photo", "<i>Scan</i>", file=PNG, file_name="invitation.png")
    assert await sender.deliver(telegram_bot, photo) == Delivered(3)
    assert (ana.last_message.photo, ana.last_message.text) == (PNG, "Scan")
    file = Outgoing(ana.id, "document", "Your visit", file=b"BEGIN", file_name="visit.ics")
    assert await sender.deliver(telegram_bot, file) == Delivered(4)
    copy = Outgoing(ana.id, "copy", source_chat_id=ana.id, target_message_id=3, protected=True)
    assert await sender.deliver(telegram_bot, copy) == Delivered(5)
    assert (ana.last_message.photo, ana.last_message.protected) == (PNG, True)
    edit = Outgoing(ana.id, "edit", "Goodbye", target_message_id=1)
    assert await sender.deliver(telegram_bot, edit) == Delivered(1)
    assert ana.received[0].text == "Goodbye"
    # The words are there already: that is what was wanted.
    assert await sender.deliver(telegram_bot, edit) == Delivered(1)


Break = Callable[[Faults], object]
REFUSALS: list[tuple[Break, sender.Outcome]] = [
    (lambda f: f.flood(None, 7), NotSent(timedelta(seconds=7), flood=True)),
    (
        lambda f: f.error(None, 429, "slow down"),
        NotSent(timedelta(seconds=5), flood=True),
    ),
    (lambda f: f.error(None, 403, "bot was blocked by the user"), NeverWill(Reason.BLOCKED)),
    (lambda f: f.error(None, 403, "user is deactivated"), NeverWill(Reason.DEACTIVATED)),
    (
        lambda f: f.error(None, 403, "bot can't initiate conversation with a user"),
        NeverWill(Reason.BLOCKED),
    ),
    (lambda f: f.error(None, 400, "chat not found"), NeverWill(Reason.CHAT_NOT_FOUND)),
    (lambda f: f.error(None, 400, "PEER_ID_INVALID"), NeverWill(Reason.CHAT_NOT_FOUND)),
    (lambda f: f.error(None, 400, "BUTTON_DATA_INVALID"), NeverWill(Reason.REFUSED)),
    (lambda f: f.error(None, 400, "message is too long"), NeverWill(Reason.REFUSED)),
    (
        lambda f: f.error(
            None, 400, "group chat was upgraded", parameters={"migrate_to_chat_id": -5}
        ),
        NeverWill(Reason.CHAT_NOT_FOUND),
    ),
    (lambda f: f.error(None, 401, ""), Refused("InvalidToken")),
    (lambda f: f.error(None, 404, ""), Refused("InvalidToken")),
    (lambda f: f.error(None, 409, "terminated by other getUpdates"), Refused("Conflict")),
]


@pytest.mark.parametrize("number", range(len(REFUSALS)))
async def test_a_refusal_is_sorted_by_what_follows(
    telegram: LocalTelegram, telegram_bot: Bot, ana: Person, number: int
) -> None:
    switch, outcome = REFUSALS[number]
    switch(telegram.faults)
    assert await sender.deliver(telegram_bot, hello(ana)) == outcome
    assert ana.received == []


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("message to edit not found", TargetGone()),
        ("message can't be edited", TargetGone()),
        ("there is no text in the message to edit", TargetGone()),
        ("message is not modified: specified new message content", Delivered(9)),
    ],
)
async def test_an_edit_that_is_refused_is_said_anew_or_was_there_already(
    telegram: LocalTelegram, telegram_bot: Bot, ana: Person, text: str, outcome: sender.Outcome
) -> None:
    telegram.faults.error("editMessageText", 400, text)
    edit = Outgoing(ana.id, "edit", "Goodbye", target_message_id=9)
    assert await sender.deliver(telegram_bot, edit) == outcome


@pytest.mark.parametrize(
    ("left_s", "goes"), [(-9.0, False), (-0.5, False), (0.0, False), (0.5, True)]
)
async def test_nothing_begins_to_leave_when_it_is_too_late(
    telegram_bot: Bot, ana: Person, left_s: float, goes: bool
) -> None:
    outcome = await sender.deliver(telegram_bot, hello(ana), lambda: left_s)
    assert isinstance(outcome, Delivered if goes else TooLate)
    assert len(ana.received) == goes


async def test_a_silence_is_unknown_whether_it_arrived_or_not(
    telegram: LocalTelegram, server: Server, ana: Person
) -> None:
    faults = telegram.faults
    silences: list[Callable[[bool], object]] = [
        lambda after: faults.drop(None, delivered=after),
        lambda after: faults.hang(None, delivered=after),
        lambda after: faults.bad_gateway(None, delivered=after),
        lambda after: faults.restart(None, delivered=after),
        lambda after: faults.error(None, 504, "Gateway Time-out", delivered=after),
    ]
    async with connection(server.base_url, telegram.token, 1) as impatient:
        for place, silence in enumerate(silences):
            for arrived in (False, True):
                known = len(ana.received)
                silence(arrived)
                outcome = await sender.deliver(impatient, hello(ana))
                assert isinstance(outcome, Unknown), (place, arrived)
                assert len(ana.received) == known + arrived, (place, arrived)
        faults.down = True
        assert isinstance(await sender.deliver(impatient, hello(ana)), Unknown)


@pytest.mark.parametrize(
    "answer",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"ok": true, "resu',
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n<html/>",
        b"nonsense\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 23\r\n\r\n{"ok":true,"result":{}}',
    ],
    ids=["cut off", "a page", "no HTTP", "no message"],
)
async def test_half_an_answer_is_unknown(answer: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked_for_name = b"/getMe" in head
        me = b'{"ok":true,"result":{"id":1,"is_bot":true,"first_name":"A","username":"a_bot"}}'
        start = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(me)
        writer.write(start + me if asked_for_name else answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with connection(f"http://127.0.0.1:{port}", "1:a") as half:
            said = Outgoing(1, "text", "Hello")
            assert isinstance(await sender.deliver(half, said), Unknown)


async def test_nothing_listens_means_nothing_was_sent(
    server: Server, telegram_bot: Bot, ana: Person
) -> None:
    await server.goes_away()
    assert await sender.deliver(telegram_bot, hello(ana)) == NotSent()
    await server.listens()
    assert await sender.deliver(telegram_bot, hello(ana)) == Delivered(1)


async def test_a_full_pool_means_nothing_was_sent(
    telegram: LocalTelegram, server: Server, ana: Person
) -> None:
    request = HTTPXRequest(
        connection_pool_size=1, pool_timeout=0.02, httpx_kwargs={"trust_env": False}
    )
    async with Bot(telegram.token, f"{server.base_url}/bot", request=request) as narrow:
        held = telegram.faults.hang("sendMessage")
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(sender.deliver(narrow, hello(ana)))
            await telegram.wait_for(lambda: telegram.in_hand == 1)
            # What is of use for so short a time waits no longer for a connection.
            waiting = sender.deliver(narrow, hello(ana), lambda: 0.1)
            assert await waiting == NotSent()
            telegram.faults.take_off(held)
        assert first.result() == Delivered(1)


async def test_formatting_that_is_refused_goes_once_more_as_plain_words(
    telegram: LocalTelegram, telegram_bot: Bot, ana: Person
) -> None:
    broken = replace(hello(ana), html="<b>Hello &lt;Ana&gt;<br> &amp; welcome")
    assert await sender.deliver(telegram_bot, broken) == Delivered(1, plain=True)
    assert ana.last_message.text == "Hello <Ana> & welcome"
    assert len(telegram.calls_of("sendMessage")) == 2
    # Refused even so: it is not tried a third time.
    telegram.faults.error(None, 400, "can't parse entities: nonsense", times=None)
    assert await sender.deliver(telegram_bot, broken) == NeverWill(Reason.TEMPLATE_FAULT)
    assert len(telegram.calls_of("sendMessage")) == 4


async def test_a_probe_says_whether_telegram_answers(
    telegram: LocalTelegram, server: Server, telegram_bot: Bot
) -> None:
    assert await sender.probe(telegram_bot) is None
    # A refusal of the moment is an answer.
    telegram.faults.flood("getMe", 5)
    assert await sender.probe(telegram_bot) is None
    telegram.faults.bad_gateway("getMe")
    assert isinstance(await sender.probe(telegram_bot), Unknown)
    telegram.revoked = True
    assert await sender.probe(telegram_bot) == Refused("InvalidToken")
    await server.goes_away()
    assert await sender.probe(telegram_bot) == Unknown("ConnectError")


def test_causes_decide_and_not_base_classes() -> None:
    assert sender.classify(ChatMigrated(-5)) == NeverWill(Reason.CHAT_NOT_FOUND)
    assert sender.classify(NetworkError("something new")) == Unknown("NetworkError")
