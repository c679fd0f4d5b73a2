"""Updates are committed raw before Telegram forgets them, whatever breaks in between."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from bot.demo.faults import Fault
from bot.incoming import poll
from bot.storage.database import Priority
from tests.incoming.conftest import Desk


@contextmanager
def locked(desk: Desk) -> Iterator[None]:
    """Another program holds the database: nothing can be committed."""
    file = desk.deps.database.url.partition(":///")[2]
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    yield
    other.execute("ROLLBACK")
    other.close()


async def impatient(desk: Desk) -> None:
    """The bot's writing connection waits for a lock no longer than a moment."""
    async with desk.deps.database.write(Priority.INBOX) as session:
        await session.exec(text("PRAGMA busy_timeout=20"))  # type: ignore[call-overload] # plain SQL


@pytest.mark.sqlite
async def test_nothing_is_confirmed_that_is_not_stored(desk: Desk, failures: list[str]) -> None:
    await impatient(desk)
    handed: list[bool] = []
    with locked(desk):
        desk.polls()
        await desk.ana.says("one")
        await desk.ben.says("two")
        await desk.until(lambda: len(failures) >= 4)
        assert desk.poller.trouble == "storage"
        handed = [entry.handed_over for entry in desk.telegram.updates.waiting]
        assert await desk.rows("SELECT * FROM v_update") == []
    # Telegram gave them again and again, and still keeps both.
    assert handed == [True, True]
    await desk.telegram.wait_for(lambda: not desk.telegram.updates.waiting)
    assert list((await desk.states()).values()) == ["received", "received"]
    await desk.until(lambda: desk.poller.trouble is None)
    desk.works()
    await desk.settled(2)
    assert sorted(desk.heard) == ["one", "two"]
    assert {line.split()[0] for line in failures} == {"inbox_failed"}
    failures.clear()


async def test_an_update_counts_once_however_often_it_comes(desk: Desk) -> None:
    first = await desk.ana.says("first")
    update = desk.telegram.updates.waiting[0].update
    # Twice in one batch, again later, and one with a smaller number than those before it.
    desk.telegram.updates.inject(update)
    desk.polls()
    desk.works()
    await desk.settled(1)
    desk.telegram.updates.inject(update)
    older = update | {"update_id": update["update_id"] - 5}
    older["message"] = update["message"] | {"message_id": first.id + 100, "text": "older"}
    desk.telegram.updates.inject(older)
    await desk.ana.says("last")
    await desk.settled(3)
    await desk.telegram.wait_for(lambda: not desk.telegram.updates.waiting)
    assert sorted(desk.heard) == ["first", "last", "older"]
    assert set((await desk.states()).values()) == {"handled"}


async def test_polling_outlives_every_way_in_which_telegram_fails(desk: Desk) -> None:
    faults = desk.telegram.faults
    seen: list[str | None] = []

    async def trouble(kind: str) -> None:
        await desk.until(lambda: desk.poller.trouble == kind)
        seen.append(desk.poller.trouble)

    desk.polls()
    desk.works()
    troubles: list[tuple[Callable[[], Fault], str]] = [
        (lambda: faults.error("getUpdates", 409, "terminated", times=None), "conflict"),
        (lambda: faults.bad_gateway("getUpdates", times=None), "unreachable"),
        (lambda: faults.drop("getUpdates", times=None), "unreachable"),
        (lambda: faults.restart("getUpdates", times=None), "unreachable"),
        (lambda: faults.error("getUpdates", 401, "", times=None), "refused"),
        (lambda: faults.error("getUpdates", 404, "", times=None), "refused"),
        (lambda: faults.error("getUpdates", 429, "wait", times=None), "flood"),
    ]
    for number, (switch, kind) in enumerate(troubles):
        fault = switch()
        # A poll that waits already is ended by the next update.
        await desk.ana.says(f"word {number}")
        if kind == "flood":
            faults.take_off(fault)
            faults.flood("getUpdates", 1)
            await desk.ana.says("and more")
        await trouble(kind)
        faults.take_off(fault)
        await desk.until(lambda: desk.poller.trouble is None)
    await desk.server.goes_away()
    await trouble("unreachable")
    await desk.server.listens()
    await desk.ben.says("the end")
    await desk.settled(9)
    assert sorted(desk.heard) == sorted(
        [*(f"word {number}" for number in range(7)), "and more", "the end"]
    )
    assert len(seen) == 8
    assert desk.poller.last_ok_s is not None


async def test_what_has_no_number_is_left_out_and_holds_up_nothing(desk: Desk) -> None:
    good = {"update_id": 5, "message": {"chat": {"id": 2**80}, "text": "half \ud800 a pair"}}
    numbers: list[Any] = [None, "7", True, 2**70]
    strange: list[Any] = [{}, "text", None, [], *({"update_id": number} for number in numbers)]
    assert await poll.receive(desk.deps, [*strange, good, good]) == 1
    (row,) = await desk.rows("SELECT update_id, chat_id FROM inbox")
    assert row == {"update_id": 5, "chat_id": None}


def test_the_chat_of_an_update_is_found_in_every_kind() -> None:
    chat = {"chat": {"id": 9}}
    for kind in ("message", "edited_message", "my_chat_member"):
        assert poll.chat_of({"update_id": 1, kind: chat}) == 9
    assert poll.chat_of({"update_id": 1, "callback_query": {"from": {"id": 9}}}) == 9
    odd: list[dict[str, Any]] = [
        {},
        {"poll": {}},
        {"message": 5},
        {"message": {"chat": "x"}},
        {"message": {"chat": {"id": True}}},
    ]
    assert [poll.chat_of({"update_id": 1, **each}) for each in odd] == [None] * 5
