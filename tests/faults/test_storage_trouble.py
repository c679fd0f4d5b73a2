"""One row cannot be read, or the database refuses to write: nobody else loses by it."""

import asyncio
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url
from sqlalchemy.exc import OperationalError

from bot.domain.states import Lane, MessageState, Reason, ReminderState
from bot.outgoing import sender
from bot.services import outbox, settling
from bot.storage.queries import outbox as queries
from bot.storage.queries import people, plans, versions
from bot.storage.tables import Message, Patient, ProtocolVersion
from tests.conftest import START
from tests.faults.world import VALUES, Post, post

POSTGRESQL = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


async def make_unreadable(sending: Post, patient: Patient) -> None:
    """The patient's protocol holds what this version of the bot does not know."""
    async with sending.deps.database.write() as session:
        version = (await versions.approved_protocols(session, patient.clinic_id))[0]
        odd = ProtocolVersion(
            clinic_id=patient.clinic_id,
            name=version.name,
            version=99,
            content_hash="odd",
            content={**version.content, "surprise": 1},
        )
        session.add(odd)
        await session.flush()
        (course,) = await plans.courses(session, [patient.id or 0])
        course.protocol_version_id = odd.id or 0
        session.add(course)


async def test_a_patient_who_cannot_be_read_holds_up_nobody_else(
    sending: Post, failures: list[str]
) -> None:
    _, ana = await sending.patient("Ana")
    _, ben = await sending.patient("Ben")
    broken = await sending.queue(ana, Lane.CARE)
    await make_unreadable(sending, ana)
    care = await sending.queue(ben, Lane.CARE)
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, ben.id or 0)
        danger = await outbox.to_patient(
            session,
            fresh,
            "patient/seek_care",
            sending.clock.now(),
            lane=Lane.DANGER,
            values=VALUES["patient/seek_care"],
        )
    await sending.after(1)
    assert (await sending.states(danger))[0] is MessageState.SENT
    assert (await sending.states(care))[0] is MessageState.SENT
    assert (await sending.states(broken))[0] is MessageState.FAILED
    assert await sending.reminder(broken) == (ReminderState.UNDELIVERED, Reason.TEMPLATE_FAULT)
    assert any("text_failed" in line for line in failures)
    failures.clear()


async def test_a_start_recovers_the_others_where_one_cannot_be_read(
    sending: Post, failures: list[str]
) -> None:
    _, ana = await sending.patient("Ana")
    _, ben = await sending.patient("Ben")
    rows = [await sending.queue(ana, Lane.COURTESY), await sending.queue(ben, Lane.CARE)]
    async with sending.deps.database.write() as session:
        for each in rows:
            row = await queries.message(session, each.id or 0)
            assert row is not None
            row.state, row.attempts, row.sent_at = MessageState.SENDING, 1, sending.clock.now()
            session.add(row)
        # Its visit has moved meanwhile, so giving it up means planning anew.
        visit = (await plans.visits(session, [ana.id or 0]))[0]
        visit.round += 1
        session.add(visit)
    await make_unreadable(sending, ana)
    assert await sending.delivery.recover() == 2
    assert (await sending.states(rows[0]))[0] is MessageState.UNCONFIRMED
    assert await sending.reminder(rows[0]) == (ReminderState.UNDELIVERED, Reason.UNCONFIRMED)
    assert (await sending.states(rows[1]))[0] is MessageState.QUEUED
    assert any("job_failed" in line for line in failures)
    failures.clear()


def only_reads(url: str, *, on: bool) -> None:
    """The server takes no writes any more, as after a failover, or takes them again."""
    address = make_url(url)
    with psycopg.connect(
        host=str(address.query["host"]), dbname="postgres", user="care", autocommit=True
    ) as connection:
        setting = "SET default_transaction_read_only = on" if on else "RESET ALL"
        connection.execute(f'ALTER DATABASE "{address.database}" {setting}'.encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [address.database],
        )


@pytest.mark.postgres
@POSTGRESQL
async def test_what_was_sent_is_recorded_once_the_database_takes_writes_again(
    tmp_path: Path, database_url: str
) -> None:
    async with post(tmp_path, START, database_url=database_url, read_timeout_s=30) as sending:
        person, ana = await sending.patient("Ana")
        first = await sending.queue(ana, Lane.CARE)
        sending.telegram.faults.slow("sendMessage", 1.0)
        await sending.delivery.round()
        url = sending.deps.database.url
        only_reads(url, on=True)
        await sending.telegram.wait_for(lambda: person.received, 20)
        for _ in range(2):
            while sending.delivery.idle:  # noqa: ASYNC110 - the answer is on its way back
                await asyncio.sleep(0.01)
            with pytest.raises(OperationalError):
                await settled(sending)
        only_reads(url, on=False)
        sending.telegram.faults.clear()
        behind = await sending.queue(ana, Lane.REPLY)
        await sending.after(5)
        assert (await sending.states(first))[0] is MessageState.SENT
        assert (await sending.states(behind))[0] is MessageState.SENT
        assert len(person.received) == 2


async def settled(sending: Post) -> None:
    """A round that has a result to record."""
    async with asyncio.timeout(20):
        while True:
            await sending.delivery.round()
            await asyncio.sleep(0.01)


@pytest.mark.postgres
@POSTGRESQL
async def test_a_tap_that_proves_a_message_outlives_the_result_of_its_repeat(
    tmp_path: Path, database_url: str
) -> None:
    async with post(tmp_path, START, database_url=database_url) as sending:
        person, ana = await sending.patient("Ana")
        message = await sending.queue(ana, Lane.CARE)
        now = sending.clock.now()
        async with sending.deps.database.write() as session:
            row = await queries.message(session, message.id or 0)
            assert row is not None
            row.state, row.attempts = MessageState.SENDING, 2
            row.maybe_copies, row.sent_at = 1, now
            session.add(row)
        read = asyncio.Event()

        async def settles() -> None:
            async with sending.deps.database.write() as session:
                (row,) = await queries.being_sent(session, [message.id or 0])
                read.set()
                # The tap has all the time to come in between.
                await asyncio.sleep(0.05)
                later = sender.NotSent(wait=timedelta(seconds=1), flood=True)
                await settling.settle(session, [(row, later)], now)

        async def taps() -> None:
            await read.wait()
            async with sending.deps.database.write() as session:
                row = await queries.message(session, message.id or 0)
                assert isinstance(row, Message)
                await outbox.prove_delivered(session, row, 77, now)

        await asyncio.gather(settles(), taps())
        await sending.after(5)
        assert (await sending.states(message))[0] is MessageState.SENT
        assert (await sending.reminder(message))[0] is ReminderState.SENT
        assert person.received == []
