"""The webhook: the secret first, the row before the 200, and the way back to polling."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette

from bot import founding
from bot.app import App
from bot.clock import PushedClock
from bot.demo.telegram import LocalTelegram
from bot.incoming import poll
from bot.parts import StartError
from bot.rehearsal import demo_clinic, local_settings
from bot.settings import Settings
from bot.storage.database import Database
from bot.web import webhook
from tests.cast import Clinic
from tests.conftest import START

SECRET = "planted-Secret_1"
HEADER = "X-Telegram-Bot-Api-Secret-Token"
PATH = "/telegram/a-path-that-nobody-guesses"


def doorway(clinic: Clinic) -> Starlette:
    """The webhook of the running bot."""
    deps = clinic.rehearsal.app.deps
    return Starlette(routes=[webhook.route(SECRET, lambda raw: poll.receive(deps, raw))])


def caller(clinic: Clinic) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=doorway(clinic), raise_app_exceptions=False)
    return httpx.AsyncClient(
        transport=transport, base_url="http://bot.local", headers={HEADER: SECRET}
    )


def help_wanted(clinic: Clinic, update_id: int) -> dict[str, Any]:
    """An update as Telegram posts it: Nour types /help."""
    nour = clinic.nour.person
    message = {
        "message_id": 9_000 + update_id,
        "date": int(clinic.now.timestamp()),
        "chat": {"id": nour.id, "type": "private", "first_name": "Nour"},
        "from": nour.api,
        "text": "/help",
        "entities": [{"type": "bot_command", "offset": 0, "length": 5}],
    }
    return {"update_id": update_id, "message": message}


async def states(database: Database, update_id: int) -> list[str]:
    async with database.read() as session:
        connection = await session.connection()
        found = await connection.exec_driver_sql(
            f"SELECT state FROM v_update WHERE update_id = {update_id}"
        )
        return [str(state) for (state,) in found]


async def test_an_update_is_on_record_before_the_answer_and_has_its_effect_once(
    clinic: Clinic,
) -> None:
    database = clinic.rehearsal.app.deps.database
    heard = len(clinic.nour.heard)
    async with caller(clinic) as http:
        # Two copies at the same moment, and one more afterwards.
        update = help_wanted(clinic, 7)
        first, second = await asyncio.gather(
            http.post(PATH, json=update), http.post(PATH, json=update)
        )
        assert (first.status_code, second.status_code) == (200, 200)
        assert len(await states(database, 7)) == 1
        await clinic.settle()
        assert await states(database, 7) == ["handled"]
        assert (await http.post(PATH, json=update)).status_code == 200
        await clinic.settle()
    assert len(clinic.nour.heard) == heard + 1
    assert await states(database, 7) == ["handled"]


async def test_what_is_no_update_is_refused_and_nothing_is_kept(clinic: Clinic) -> None:
    before = await clinic.rows("SELECT * FROM v_update")
    async with caller(clinic) as http:
        for body in [
            *(b"", b"{", b"[]", b"null", b'"7"', b"\xff\xfe", b"[" * 100_000),
            *(b"{}", b'{"update_id": "7"}', b'{"update_id": true}', b'{"update_id": 7.0}'),
        ]:
            assert (await http.post(PATH, content=body)).status_code == 400, body[:20]
        update = help_wanted(clinic, 8)
        assert (await http.post("/elsewhere", json=update)).status_code == 404
        assert (await http.get(PATH)).status_code == 405
        longest = json.dumps(update).encode().ljust(1_000_000)
        assert (await http.post(PATH, content=longest + b" ")).status_code == 413
        assert await clinic.rows("SELECT * FROM v_update") == before
        assert (await http.post(PATH, content=longest)).status_code == 200
    assert len(await clinic.rows("SELECT * FROM v_update")) == len(before) + 1


async def test_what_cannot_be_stored_is_not_taken(clinic: Clinic, failures: list[str]) -> None:
    deps = clinic.rehearsal.app.deps
    async with deps.database.write() as session:
        await (await session.connection()).exec_driver_sql("ALTER TABLE inbox RENAME TO gone")
    async with caller(clinic) as http:
        # Telegram posts again what was not answered with a 2xx.
        assert (await http.post(PATH, json=help_wanted(clinic, 9))).status_code == 500
        async with deps.database.write() as session:
            await (await session.connection()).exec_driver_sql("ALTER TABLE gone RENAME TO inbox")
        assert (await http.post(PATH, json=help_wanted(clinic, 9))).status_code == 200
    await clinic.settle()
    assert await states(deps.database, 9) == ["handled"]
    assert {line.split()[0] for line in failures} == {"inbox_failed"}
    failures.clear()


@pytest.mark.parametrize(
    ("headers", "status", "reads"),
    [
        ([], 403, 0),
        ([(HEADER, "planted-Secret_")], 403, 0),
        ([(HEADER, "planted-Secret_12")], 403, 0),
        ([(HEADER, "planted-secret_1")], 403, 0),
        ([(HEADER, "\u00e9" * 16)], 403, 0),
        # The right secret, and a body without end: read no further than the limit.
        ([(HEADER, SECRET)], 413, 11),
    ],
)
async def test_nothing_of_a_body_is_read_without_the_secret(
    headers: list[tuple[str, str]], status: int, reads: int
) -> None:
    asked = 0
    answered: list[int] = []

    async def never(raw: Sequence[dict[str, Any]]) -> int:
        pytest.fail(f"{len(raw)} updates were taken")

    async def endless() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b" " * 100_000, "more_body": True}

    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in headers],
    }
    await Starlette(routes=[webhook.route(SECRET, never)])(scope, endless, answer)
    assert answered == [status]
    assert asked == reads


async def test_a_body_that_never_ends_arriving_is_given_up() -> None:
    answered: list[int] = []

    async def never(raw: Sequence[dict[str, Any]]) -> int:
        pytest.fail(f"{len(raw)} updates were taken")

    async def silent() -> dict[str, Any]:
        await asyncio.Event().wait()
        pytest.fail("something came")

    async def answer(message: Any) -> None:
        if message["type"] == "http.response.start":
            answered.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(HEADER.lower().encode(), SECRET.encode())],
    }
    route = webhook.route(SECRET, never, body_within_s=0.01)
    await Starlette(routes=[route])(scope, silent, answer)
    assert answered == [408]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def running(options: Settings, clock: PushedClock) -> AsyncIterator[App]:
    bot = App(options, clock)
    try:
        await bot.start()
        yield bot
    finally:
        await bot.stop()


async def test_a_bot_with_a_webhook_hears_by_it_and_later_by_polling(
    tmp_path: Path, failures: list[str]
) -> None:
    clock = PushedClock(START)
    telegram = LocalTelegram(now=clock.now)
    telegram.webhook_pause = 0.02
    nour = telegram.person("Nour")
    at = f"127.0.0.1:{free_port()}"
    async with telegram.serve() as server:
        polling = local_settings(server, telegram.token, tmp_path)
        options = polling.model_copy(
            update={
                "webhook_url": f"http://{at}{PATH}",
                "webhook_secret": SecretStr(SECRET),
                "http_bind": at,
            }
        )
        _, link = await founding.init(options, demo_clinic(), clock)
        async with running(options, clock) as bot:
            await nour.opens(link)
            await nour.hears("Lumen")
            (call,) = telegram.calls_of("setWebhook")
            assert call.params["secret_token"] == SECRET
            assert not telegram.calls_of("getUpdates")
            async with httpx.AsyncClient(trust_env=False, base_url=f"http://{at}") as http:
                await _ready(http, lambda body: bool(body["ready"]))
                assert (await http.post(PATH, content=b"{}")).status_code == 403
                # Somebody else takes the updates over: Telegram is there, and says so.
                await bot.bot.delete_webhook()
                await bot.watch.look()
                taken = (await http.get("/readyz")).json()
                assert (taken["trouble"], taken["checks"]["telegram"]) == ("webhook", False)
                await server.goes_away()
                await bot.watch.look()
                assert (await http.get("/readyz")).json()["trouble"] == "unreachable"
                await server.listens()
                telegram.revoked = True
                await bot.watch.look()
                assert (await http.get("/readyz")).json()["trouble"] == "refused"
                telegram.revoked = False

        # What is said while nobody listens waits, and comes by the other way.
        await nour.says("/help")
        after = nour.last_message
        async with running(polling, clock):
            await nour.hears(lambda message: message.id > after.id)
            assert telegram.updates.webhook is None
    assert not failures


async def test_a_webhook_to_which_nothing_can_be_posted_is_no_well_one(tmp_path: Path) -> None:
    clock = PushedClock(START)
    telegram = LocalTelegram(now=clock.now)
    # It does not try again while this story is told.
    telegram.webhook_pause = 60.0
    nour = telegram.person("Nour")
    async with telegram.serve() as server:
        options = local_settings(server, telegram.token, tmp_path).model_copy(
            update={
                "webhook_url": f"http://127.0.0.1:{free_port()}{PATH}",
                "webhook_secret": SecretStr(SECRET),
            }
        )
        _, link = await founding.init(options, demo_clinic(), clock)
        async with running(options, clock) as bot:
            await bot.watch.look()
            assert bot.signs().trouble is None
            await nour.opens(link)
            webhook_set = telegram.updates.webhook
            assert webhook_set is not None
            await telegram.wait_for(lambda: bool(webhook_set.last_error))
            await bot.watch.look()
            assert bot.signs().trouble == "webhook_failing"
            # What failed long ago may have been put right since.
            clock.push(timedelta(minutes=6))
            await bot.watch.look()
            assert bot.signs().trouble is None


async def _ready(http: httpx.AsyncClient, wanted: Callable[[dict[str, Any]], bool]) -> None:
    for _ in range(200):
        if wanted((await http.get("/readyz")).json()):
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never became ready")


async def test_what_telegram_refuses_at_the_start_ends_it_with_one_sentence(
    tmp_path: Path,
) -> None:
    clock = PushedClock(START)
    telegram = LocalTelegram(now=clock.now)
    async with telegram.serve() as server:
        polling = local_settings(server, telegram.token, tmp_path)
        await founding.init(polling, demo_clinic(), clock)
        for url, secret, said in (
            ("https://care.example/telegram/x", "", "needs a WEBHOOK_SECRET"),
            ("http://care.example/telegram/x", SECRET, "(?i)an https url must be provided"),
            ("https://care.example/telegram/x", "not allowed!", "unallowed characters"),
        ):
            options = polling.model_copy(
                update={"webhook_url": url, "webhook_secret": SecretStr(secret)}
            )
            with pytest.raises(StartError, match=said):
                async with running(options, clock):
                    pytest.fail("it started")
        telegram.revoked = True
        with pytest.raises(StartError, match="Telegram refuses the token"):
            async with running(polling, clock):
                pytest.fail("it started")
