"""What is asked right before a message leaves, and the order in which a chat reads."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.domain.states import Lane, MessageState, PatientState, Reason, ReminderState
from bot.services import control, delivery, dispatch, outbox
from bot.services.planning import replan
from bot.services.turn import Account, Turn
from bot.storage.queries import outbox as queries
from bot.storage.queries import people, plans
from bot.storage.tables import Message, Patient
from tests.conftest import START
from tests.faults.world import Post, bring_on, post

QUEUED, SENT, DROPPED = MessageState.QUEUED, MessageState.SENT, MessageState.DROPPED


async def expires_at(post: Post, message: Message, moment: datetime) -> None:
    async with post.deps.database.write() as session:
        row = await queries.message(session, message.id or 0)
        assert row is not None
        row.expires_at = moment
        session.add(row)
        for reminder in await plans.reminders_of_message(session, message.id or 0):
            reminder.expires_at = moment
            session.add(reminder)


async def stop(post: Post, patient: Patient) -> None:
    """The patient taps STOP."""
    async with post.deps.database.write() as session:
        clinic = await people.clinic(session, patient.clinic_id)
        fresh = await people.patient(session, patient.id or 0)
        account = Account(fresh.telegram_id or 0)
        turn = Turn(session, post.deps, post.clock.now(), 1, clinic, account, None, fresh)
        await control.stop(turn)


async def test_nothing_leaves_once_it_is_too_late(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    ben, other = await sending.patient("Ben")

    # Too late between the commit and the call: no call is made.
    close = await sending.queue(patient, Lane.CARE)
    await expires_at(sending, close, sending.clock.now() + timedelta(seconds=5))
    sending.clock.each_look = timedelta(seconds=6)
    await sending.pump()
    sending.clock.each_look = timedelta()
    row = await sending.message(close)
    assert (row.state, row.reason, row.attempts) == (DROPPED, Reason.TOO_LATE, 0)
    assert await sending.reminder(close) == (ReminderState.EXPIRED, Reason.TOO_LATE)
    assert sending.telegram.calls_of("sendMessage") == []

    # Too late while a flood wait lasted.
    sending.telegram.faults.flood("sendMessage", 600, chat=ben.id)
    flooded = await sending.queue(other, Lane.CARE)
    await expires_at(sending, flooded, sending.clock.now() + timedelta(seconds=599))
    await sending.pump()
    await sending.after(601)
    assert await sending.states(flooded) == (DROPPED, 1, 0)
    assert await sending.reminder(flooded) == (ReminderState.EXPIRED, Reason.TOO_LATE)

    # Too late for the repeat: nobody knows, and that is what the row says.
    cem, third = await sending.patient("Cem")
    sending.telegram.faults.drop("sendMessage", chat=cem.id, delivered=True)
    doubted = await sending.queue(third, Lane.CARE)
    await expires_at(sending, doubted, sending.clock.now() + timedelta(seconds=30))
    await sending.pump()
    await sending.after(61)
    assert await sending.states(doubted) == (MessageState.UNCONFIRMED, 1, 1)
    assert [len(person.received) for person in (ana, ben, cem)] == [0, 0, 1]


async def test_stop_between_the_queue_and_the_send(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(tmp_path, START, read_timeout_s=5, database_url=chosen_database_url) as sending:
        ana, patient = await sending.patient("Ana")
        queued = await sending.queue(patient, Lane.CARE)
        await stop(sending, patient)
        await sending.pump()
        assert (await sending.message(queued)).state is DROPPED
        # One confirmation, and nothing of the plan.
        assert len(ana.received) == 1
        ahead = await sending.rows("SELECT * FROM v_reminder WHERE state = 'planned'")
        assert ahead == []

        # Also when nobody took the message back: the state counts, asked right before it leaves.
        ben, other = await sending.patient("Ben")
        late = await sending.queue(other, Lane.CARE)
        async with sending.deps.database.write() as session:
            fresh = await people.patient(session, other.id or 0)
            fresh.state = PatientState.STOPPED
            session.add(fresh)
        await sending.pump()
        row = await sending.message(late)
        assert (row.state, row.reason) == (DROPPED, Reason.STOPPED)
        assert await sending.reminder(late) == (ReminderState.CANCELLED, Reason.STOPPED)
        assert ben.received == []

        # What is in the air already lands, and counts as sent.
        cem, third = await sending.patient("Cem")
        held = sending.telegram.faults.hang("sendMessage", chat=cem.id)
        flying = await sending.queue(third, Lane.CARE)
        async with asyncio.TaskGroup() as tasks:
            pumping = tasks.create_task(sending.pump())
            await sending.telegram.wait_for(lambda: sending.telegram.in_hand == 1)
            await stop(sending, third)
            sending.telegram.faults.take_off(held)
            await pumping
        assert (await sending.message(flying)).state is SENT
        assert await sending.reminder(flying) == (ReminderState.SENT, None)
        assert "day 1 check" in cem.received[0].text


@pytest.mark.parametrize("trouble", ["dropped", "flooded", "refused"])
async def test_the_second_bubble_waits_for_the_first(sending: Post, trouble: str) -> None:
    ana, patient = await sending.patient("Ana")
    if trouble == "dropped":
        sending.telegram.faults.drop("sendMessage", chat=ana.id, delivered=True)
    elif trouble == "flooded":
        sending.telegram.faults.flood("sendMessage", 9, chat=ana.id)
    else:
        sending.telegram.faults.error("sendMessage", 400, "BUTTON_DATA_INVALID", chat=ana.id)
    async with sending.deps.database.write() as session:
        await bring_on(session, patient, "card", sending.clock.now())
        await dispatch.dispatch(session, [patient.id or 0], sending.clock.now())
    await sending.pump()
    waiting = [message.text for message in ana.received]
    assert all("care card" in text for text in waiting)
    await sending.after(61)
    heard = ["card" if "care card" in message.text else "signs" for message in ana.received]
    expected = {"dropped": ["card", "card", "signs"], "flooded": ["card", "signs"], "refused": []}
    assert heard == expected[trouble]
    states = [row["state"] for row in await sending.rows("SELECT state FROM v_message")][:2]
    assert states == (["failed", "dropped"] if trouble == "refused" else ["sent", "sent"])


async def test_answers_of_a_chat_keep_their_order(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    ben, other = await sending.patient("Ben")
    wanted = ["patient/refused", "patient/got_it", "patient/seek_care", "patient/ask_open"]

    async def asked(who: Patient) -> list[Message]:
        return [await sending.queue(who, Lane.REPLY, template=each) for each in wanted]

    for trouble in ("flood", "refused connection", "late first"):
        rows = await asked(patient) + await asked(other)
        if trouble == "flood":
            sending.telegram.faults.flood("sendMessage", 5, chat=ana.id)
        elif trouble == "refused connection":
            await sending.server.goes_away()
        else:
            sending.telegram.faults.error("sendMessage", 401, "", chat=ana.id)
        await sending.pump()
        await sending.server.listens()
        for _ in range(12):
            await sending.after(2)
        found = [await sending.message(row) for row in rows]
        for chat in (ana, ben):
            numbers = [row.telegram_message_id for row in found if row.chat_id == chat.id]
            assert numbers == sorted(number or 0 for number in numbers), trouble
            assert None not in numbers, trouble


async def test_danger_passes_a_send_that_hangs_in_the_same_chat(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, read_timeout_s=10, database_url=chosen_database_url
    ) as sending:
        ana, patient = await sending.patient("Ana")
        held = sending.telegram.faults.hang("sendMessage", chat=ana.id)
        care = await sending.queue(patient, Lane.CARE)
        async with asyncio.TaskGroup() as tasks:
            pumping = tasks.create_task(sending.pump())
            await sending.telegram.wait_for(lambda: sending.telegram.in_hand == 1)
            reply = await sending.queue(patient, Lane.REPLY)
            await sending.queue(patient, Lane.DANGER)
            sending.deps.bells.outbox.set()
            await ana.gets(1)
            # The answer keeps its place behind what hangs; danger did not.
            assert (await sending.message(reply)).state is QUEUED
            assert (await sending.message(care)).state is MessageState.SENDING
            sending.telegram.faults.take_off(held)
            await pumping
        assert (await sending.message(reply)).state is SENT
        assert len(ana.received) == 3


async def test_danger_finds_a_sender_while_slow_chats_hold_all_the_others(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, read_timeout_s=20, database_url=chosen_database_url
    ) as sending:
        ana, patient = await sending.patient("Ana")
        ben, other = await sending.patient("Ben")
        held = [
            sending.telegram.faults.hang("sendMessage", chat=person.id)
            for person in await sending.crowd(delivery.SENDERS + 2)
        ]
        ordinary = delivery.SENDERS - delivery.KEPT_FOR_DANGER
        async with asyncio.TaskGroup() as tasks:
            pumping = tasks.create_task(sending.pump())
            await sending.telegram.wait_for(lambda: sending.telegram.in_hand == ordinary)
            # What else is due waits for one that lands, without being looked at again and again.
            sending.clock.passes(1)
            assert await sending.delivery.round() > 1
            sending.clock.passes(1)
            reply = await sending.queue(other, Lane.REPLY)
            await sending.queue(patient, Lane.DANGER)
            await sending.queue(other, Lane.DANGER)
            sending.deps.bells.outbox.set()
            await ana.gets(1)
            await ben.gets(1)
            assert (await sending.message(reply)).state is QUEUED
            assert sending.telegram.in_hand == ordinary
            for each in held:
                sending.telegram.faults.take_off(each)
            await pumping
        assert (await sending.message(reply)).state is SENT


async def test_a_tap_while_the_repeat_is_in_the_air_settles_it(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, read_timeout_s=10, database_url=chosen_database_url
    ) as sending:
        ana, patient = await sending.patient("Ana")
        faults = sending.telegram.faults
        faults.drop("sendMessage", chat=ana.id, delivered=True)
        message = await sending.queue(patient, Lane.CARE)
        await sending.pump()
        faults.hang("sendMessage", chat=ana.id)
        async with asyncio.TaskGroup() as tasks:
            repeating = tasks.create_task(sending.after(61))
            await sending.telegram.wait_for(lambda: sending.telegram.in_hand == 1)
            async with sending.deps.database.write() as session:
                row = await queries.message(session, message.id or 0)
                assert row is not None
                await outbox.prove_delivered(session, row, 1, sending.clock.now())
            # The repeat gets no answer either; that takes nothing back.
            await sending.server.goes_away()
            await repeating
        row = await sending.message(message)
        assert (row.state, row.attempts, row.telegram_message_id) == (SENT, 2, 1)
        assert await sending.reminder(message) == (ReminderState.SENT, None)


async def test_a_clock_that_goes_back_says_nothing_twice(sending: Post) -> None:
    cast = [await sending.patient(name) for name in ("Ana", "Ben", "Cem")]
    ana, ben, _ = (person for person, _ in cast)
    sending.telegram.faults.drop("sendMessage", chat=ben.id)
    rows = [await sending.queue(patient, Lane.CARE) for _, patient in cast]
    await sending.pump()
    assert [len(person.received) for person, _ in cast] == [1, 0, 1]

    sending.clock.jumps(timedelta(hours=-2))
    for _ in range(4):
        await dispatch.dispatch_due(sending.deps, sending.clock.now())
        await sending.after(300)
    sending.clock.jumps(timedelta(hours=2))
    await dispatch.dispatch_due(sending.deps, sending.clock.now())
    await sending.after(61)
    assert [len(person.received) for person, _ in cast] == [1, 1, 1]
    assert [(await sending.message(row)).state for row in rows] == [SENT] * 3
    assert len(sending.telegram.calls_of("sendMessage", ana)) == 1


async def test_a_claim_and_a_new_plan_never_wait_for_each_other(sending: Post) -> None:
    database, now = sending.deps.database, sending.clock.now()
    _, patient = await sending.patient()
    message = await sending.queue(patient, Lane.CARE)

    async def plan() -> None:
        async with database.write() as session:
            await replan(session, patient.id or 0, now)

    async with database.write() as session:
        (claimed,) = await queries.claimable(
            session, now, limit=1, for_update=not database.is_sqlite
        )
        planning = asyncio.ensure_future(plan())
        await asyncio.wait([planning], timeout=0.5)
        # It turns out to be outdated, and its patient is planned for anew.
        await people.patients_by_id(session, [patient.id or 0], lock=True)
    assert claimed.id == message.id
    await planning
