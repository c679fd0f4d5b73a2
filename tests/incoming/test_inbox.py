"""Working updates off: once each, in order within a chat, whatever one of them does."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bot.incoming import poll
from bot.incoming.inbox import MAX_ATTEMPTS
from bot.services import holding
from bot.storage.database import Priority
from tests.cast import Clinic
from tests.incoming.conftest import Desk


def message(desk: Desk, number: int, said: str) -> dict[str, Any]:
    """An update of Ana's, as raw as Telegram gives it."""
    return {
        "update_id": number,
        "message": {
            "message_id": number,
            "date": 1_773_000_000,
            "chat": {"id": desk.ana.id, "type": "private", "first_name": "Ana"},
            "from": desk.ana.api,
            "text": said,
        },
    }


async def test_a_chat_keeps_its_order_and_waits_for_no_other(either_desk: Desk) -> None:
    desk = either_desk
    arrived, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def slow_for_ana(said: str) -> None:
        if said == "ana 0":
            arrived.set()
            # SQLite has one writer: there a handler that waits would hold up everybody.
            if not desk.deps.database.is_sqlite:
                await go_on.wait()
        done.append(said)

    desk.handler = slow_for_ana
    desk.polls()
    desk.works()
    for number in range(5):
        await desk.ana.says(f"ana {number}")
    await arrived.wait()
    for number in range(5):
        await desk.ben.says(f"ben {number}")
    await desk.until(lambda: "ben 4" in done)
    if not desk.deps.database.is_sqlite:
        assert done == [f"ben {number}" for number in range(5)]
    go_on.set()
    await desk.settled(10)
    for name in ("ana", "ben"):
        assert [said for said in done if said.startswith(name)] == [f"{name} {n}" for n in range(5)]


async def test_one_who_never_stops_talking_hides_nobody_else(desk: Desk) -> None:
    flood = [message(desk, 1_000 + number, f"ana {number}") for number in range(150)]
    assert await poll.receive(desk.deps, flood) == 150
    desk.polls()
    await desk.ben.says("help")
    await desk.until(lambda: desk.poller.last_ok_s is not None)
    async with asyncio.timeout(20):
        while True:
            if len(await desk.states()) == 151:
                break
            await asyncio.sleep(0.005)
    desk.works()
    await desk.until(lambda: "help" in desk.heard)
    # Behind what was begun already, not behind all of it.
    assert desk.heard.index("help") < 70
    await desk.settled(151)
    assert [said for said in desk.heard if said != "help"] == [f"ana {n}" for n in range(150)]


@pytest.mark.sqlite  # PostgreSQL has many writers: nobody waits for one there
async def test_what_is_to_be_sent_waits_for_no_backlog_of_updates(desk: Desk) -> None:
    crowd = [desk.telegram.person(f"Person {number}") for number in range(12)]
    updates = []
    for number, person in enumerate(crowd):
        update = message(desk, 1_000 + number, f"word {number}")
        update["message"] |= {"from": person.api, "chat": {"id": person.id, "type": "private"}}
        updates.append(update)
    assert await poll.receive(desk.deps, updates) == len(crowd)
    sending: list[asyncio.Task[None]] = []

    async def claim() -> None:
        async with desk.deps.database.write(Priority.RESULT):
            desk.heard.append("claimed")

    async def backlog(said: str) -> None:
        # Every other worker waits for the one writer by now; the sender is the last to come.
        await asyncio.sleep(0.05)
        if not sending:
            sending.append(asyncio.ensure_future(claim()))
            await asyncio.sleep(0)

    desk.handler = backlog
    desk.works()
    await desk.settled(len(crowd))
    await sending[0]
    assert len(desk.heard) == len(crowd) + 1
    assert desk.heard.index("claimed") == 1


async def test_a_handler_that_fails_is_tried_three_times_and_then_a_person_hears(
    desk: Desk, failures: list[str]
) -> None:
    tries: list[str] = []

    async def fails(said: str) -> None:
        tries.append(said)
        if said.startswith("bad"):
            raise ValueError(f"cannot handle {said}")

    desk.handler = fails
    desk.polls()
    desk.works()
    for said in ("good one", "bad luck", "good two"):
        await desk.ana.says(said)
    await desk.settled(3)
    # The chat waits for its failing update, so that nothing is answered out of order.
    assert tries == ["good one", *["bad luck"] * MAX_ATTEMPTS, "good two"]
    assert sorted((await desk.states()).values()) == ["handled", "handled", "quarantined"]
    rows = await desk.rows("SELECT template, method, chat_id, source_chat_id FROM message")
    apologies = [row["chat_id"] for row in rows if row["template"] == "errors/something_failed"]
    assert apologies == [desk.ana.id]
    copied = [row for row in rows if row["method"] == "copy"]
    assert [(row["chat_id"], row["source_chat_id"]) for row in copied] == [
        (desk.nour.id, desk.ana.id)
    ]
    # By its class and place alone: its words may be a patient's.
    assert [line.split()[:3] for line in failures] == [["handler_failed", "ValueError", "at"]] * 3
    assert all(line.split()[3].startswith("test_inbox.py:") for line in failures)
    assert not any("bad luck" in line for line in failures)
    failures.clear()


async def test_the_databases_trouble_is_not_the_updates_fault(
    desk: Desk, failures: list[str]
) -> None:
    tries: list[str] = []

    async def storage_fails(said: str) -> None:
        tries.append(said)
        if len(tries) < 2:
            raise OperationalError("UPDATE", {}, Exception("database is locked"))

    desk.handler = storage_fails
    desk.polls()
    desk.works()
    await desk.ana.says("hello")
    await desk.settled(1)
    assert tries == ["hello", "hello"]
    assert await desk.rows("SELECT attempts, state FROM inbox") == [
        {"attempts": 0, "state": "handled"}
    ]
    assert [line.split()[0] for line in failures] == ["inbox_failed"]
    failures.clear()


async def test_what_a_restored_database_had_not_handled_waits_for_the_release(desk: Desk) -> None:
    assert await poll.receive(desk.deps, [message(desk, 1, "old")]) == 1
    async with desk.deps.database.write() as session:
        await holding.hold(session, holding.Why.RESTORED, desk.deps.clock.now())
        await holding.set_updates_aside(session)
    assert await poll.receive(desk.deps, [message(desk, 2, "new")]) == 1
    desk.works()
    await desk.until(lambda: desk.heard == ["new"])
    async with desk.deps.database.write() as session:
        await holding.end(session)
    desk.deps.bells.inbox.set()
    await desk.until(lambda: desk.heard == ["new", "old"])


async def test_an_inbox_that_cannot_be_read_is_read_again(desk: Desk, failures: list[str]) -> None:
    async def renamed(before: str, after: str) -> None:
        async with desk.deps.database.write() as session:
            await session.exec(text(f"ALTER TABLE {before} RENAME TO {after}"))  # type: ignore[call-overload] # plain SQL

    await renamed("inbox", "away")
    desk.works()
    async with asyncio.timeout(10):
        while not failures:  # noqa: ASYNC110 - a log has no bell
            await asyncio.sleep(0.005)
    await renamed("away", "inbox")
    desk.polls()
    await desk.ana.says("hello")
    await desk.settled(1)
    assert {line.split()[0] for line in failures} == {"inbox_failed"}
    failures.clear()


async def test_a_malformed_update_is_set_aside_and_others_go_on(desk: Desk) -> None:
    sound = message(desk, 1, "sound")
    no_date = message(desk, 2, "no date")
    del no_date["message"]["date"]
    odd: list[dict[str, Any]] = [
        {"update_id": 10},
        {"update_id": 11, "message": "nonsense"},
        {"update_id": 12, "message": {"from": 5, "chat": []}},
        {"update_id": 13, "callback_query": {"id": "1", "message": "x", "from": {"id": "y"}}},
        {"update_id": 14, "my_chat_member": {"chat": {"id": 5, "type": "private"}}},
        {"update_id": 15, "poll": {"id": 3}},
        {"update_id": 16, "message": sound["message"] | {"date": 10**30}},
        {"update_id": 17, "message": sound["message"] | {"from": {"id": 2**80}}},
    ]
    assert await poll.receive(desk.deps, [sound, no_date, *odd]) == 10
    desk.works()
    await desk.settled(10)
    states = await desk.states()
    assert states.pop(1) == "handled"
    assert set(states.values()) == {"quarantined"}
    assert desk.heard == ["sound"]
    # Who sent something that we cannot read is told so, and a person gets to see it.
    told = await desk.rows(
        f"SELECT method FROM message WHERE chat_id = {desk.nour.id} AND method = 'copy'"
    )
    assert len(told) == 2
    told = await desk.rows("SELECT chat_id FROM message WHERE template = 'errors/something_failed'")
    assert [row["chat_id"] for row in told] == [desk.ana.id] * 2


async def test_a_tap_whose_keyboard_is_none_is_set_aside_and_apologised_for(desk: Desk) -> None:
    chat = {"id": desk.ana.id, "type": "private"}
    odd: list[Any] = [5, "x", {"a": 1}, [5], ["x"], [[7, None, "x"]], [[{"callback_data": []}]]]
    taps = [
        {
            "update_id": number,
            "callback_query": {
                "id": str(number),
                "from": desk.ana.api,
                "data": "1:step:x",
                "message": {
                    "message_id": "none",
                    "chat": chat,
                    "reply_markup": {"inline_keyboard": keyboard},
                },
            },
        }
        for number, keyboard in enumerate(odd)
    ]
    assert await poll.receive(desk.deps, taps) == len(odd)
    desk.works()
    await desk.settled(len(odd))
    assert set((await desk.states()).values()) == {"quarantined"}
    told = await desk.rows("SELECT chat_id FROM message WHERE template = 'errors/something_failed'")
    assert [row["chat_id"] for row in told] == [desk.ana.id] * len(odd)


async def test_the_bot_leaves_a_group_and_does_nothing_there(clinic: Clinic) -> None:
    nour, telegram = clinic.nour, clinic.rehearsal.telegram
    known = len(nour.heard)
    group = telegram.group("Lumen team")
    await group.adds_bot(nour.person)
    await telegram.wait_for(lambda: not group.chat.bot_is_member)
    group.chat.bot_is_member = True
    telegram.faults.error("leaveChat", 400, "not now")
    await group.hears(nour.person, "/today")
    await clinic.settle()
    # A tap in a group has no effect either, whoever presses.
    tap = {
        "id": "77",
        "from": nour.person.api,
        "chat_instance": "1",
        "data": "1:new",
        "message": {"chat": group.chat.api, "message_id": 5, "date": 0},
    }
    telegram.updates.inject({"callback_query": tap})
    await clinic.settle()
    await telegram.wait_for(lambda: not group.chat.bot_is_member)
    assert len(nour.heard) == known
    # One under a message that Telegram shows to nobody any more is the presser's own.
    del tap["message"]
    telegram.updates.inject({"callback_query": {**tap, "id": "78"}})
    await clinic.settle()
    assert len(nour.heard) == known + 1
    assert group.messages[-1].text == "/today"
    states = {row["state"] for row in await clinic.rows("SELECT state FROM v_update")}
    assert states == {"handled"}


async def breaks_plan(clinic: Clinic, name: str) -> None:
    """As a program with a bug would leave it: a visit that belongs to no course of its patient."""
    place = {"Ana": 0, "Ben": 1}[name]
    async with clinic.rehearsal.app.deps.database.write() as session:
        await session.exec(
            text(  # type: ignore[call-overload] # plain SQL
                "UPDATE course SET patient_id = (SELECT max(id) FROM patient) WHERE id = "
                f"(SELECT id FROM course ORDER BY id LIMIT 1 OFFSET {place})"
            )
        )


async def test_a_broken_plan_costs_its_patient_an_apology_and_nobody_else_anything(
    clinic: Clinic, failures: list[str]
) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await clinic.enroll(clinic.someone("Cem"), "Cem")
    await breaks_plan(clinic, "Ana")
    known = len(nour.heard)
    await ana.says("My plan")
    assert any("went wrong" in words for words in ana.heard)
    assert nour.heard[-1] == "My plan"
    assert len(nour.heard) == known + 2
    await ben.says("My plan")
    assert "Wed 11 March" in ben.last_message

    # What fails for Ana when it is due holds up nobody else's reminders.
    await clinic.tick("2026-03-11 10:00")
    assert "day 1 check" in ben.last_message

    # A tap that cannot be worked off reaches the clinic as what stood on the button.
    await breaks_plan(clinic, "Ben")
    await ben.taps("Yes, I have one")
    assert any("went wrong" in words for words in ben.heard)
    assert "Yes, I have one" in nour.last_message
    counts = await clinic.rows("SELECT state, count(*) AS n FROM v_update GROUP BY state")
    assert {row["state"]: row["n"] for row in counts}["quarantined"] == 2
    assert {line.split()[0] for line in failures} == {"handler_failed", "job_failed"}
    failures.clear()
