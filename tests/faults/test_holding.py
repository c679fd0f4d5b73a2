"""Sending that is held, a clock that was set, and what never gets too much: nothing goes unseen."""

from datetime import datetime, timedelta

import pytest

from bot.domain.rules import MOST_AN_HOUR, MOST_UNASKED_AN_HOUR
from bot.domain.states import Cause, Lane, MessageState, Reason, ReminderState
from bot.jobs import JOBS, Alarm
from bot.services import dispatch, holding, outages, outbox, trouble
from bot.services.holding import Why
from bot.services.timekeeping import Timekeeper
from bot.storage.queries import people
from bot.storage.tables import Message, Patient
from tests.faults.world import Post

SENT, QUEUED, DROPPED = MessageState.SENT, MessageState.QUEUED, MessageState.DROPPED
A_MONTH = timedelta(days=30)


async def hold(sending: Post, why: Why = Why.RESTORED) -> None:
    async with sending.deps.database.write() as session:
        await holding.hold(session, why, sending.clock.now())


async def release(sending: Post) -> None:
    async with sending.deps.database.write() as session:
        await holding.end(session)


async def crowded(sending: Post, patient: Patient, lane: Lane, count: int) -> list[Message]:
    """So many messages to one patient, as a fault of ours would queue them."""
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        return [
            await outbox.to_patient(
                session,
                fresh,
                "patient/got_it",
                sending.clock.now(),
                lane=lane,
                unasked=lane is Lane.CARE,
                expires_at=sending.clock.now() + timedelta(hours=3),
            )
            for _ in range(count)
        ]


async def count(sending: Post, messages: list[Message], state: MessageState) -> int:
    return [(await sending.message(each)).state for each in messages].count(state)


async def test_while_held_only_people_who_act_are_answered(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    before = [await sending.queue(patient, lane) for lane in Lane]
    await hold(sending)
    await sending.pump()
    assert ana.received == []
    after = {lane: await sending.queue(patient, lane) for lane in (Lane.DANGER, Lane.REPLY)}
    care = await sending.queue((await sending.patient("Ben"))[1], Lane.CARE)
    await sending.after(120)
    for lane, message in after.items():
        assert (await sending.message(message)).state is SENT, lane
    assert len(ana.received) == 2
    assert (await sending.message(care)).state is QUEUED
    assert [(await sending.states(each))[:2] for each in before] == [(QUEUED, 0)] * 4
    (held,) = await sending.rows("SELECT value FROM v_health WHERE key = 'held'")
    assert held["value"] == "1"

    await release(sending)
    await sending.after(2)
    assert [(await sending.message(each)).state for each in before] == [SENT] * 4
    assert (await sending.message(care)).state is SENT


async def test_a_second_hold_changes_nothing(sending: Post) -> None:
    _, patient = await sending.patient("Ana")
    await hold(sending)
    waiting = await sending.queue(patient, Lane.CARE)
    await hold(sending, Why.CLOCK)
    async with sending.deps.database.read() as session:
        held = await holding.held(session)
    assert held is not None
    assert held.why is Why.RESTORED
    assert held.above < (waiting.id or 0)


async def test_while_held_no_job_decides_anything(sending: Post) -> None:
    _, patient = await sending.patient("Ana")
    message = await sending.queue(patient, Lane.CARE)
    alarm = Alarm(sending.deps, JOBS)
    await hold(sending)
    sending.clock.passes(A_MONTH.total_seconds())
    await alarm._tick()
    rows = await sending.rows("SELECT DISTINCT state FROM v_reminder ORDER BY state")
    assert [row["state"] for row in rows] == ["planned"]
    await release(sending)
    await alarm._tick()
    await sending.pump()
    rows = await sending.rows("SELECT DISTINCT state FROM v_reminder")
    assert "expired" in {row["state"] for row in rows}
    assert (await sending.message(message)).state is DROPPED


async def test_a_clock_set_far_ahead_holds_and_lets_nothing_expire(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    keeper = Timekeeper(sending.deps)
    sending.clock.jumps(A_MONTH)
    # Before anybody has looked: what goes now goes by the time before, and nothing is too late.
    first = await sending.queue(patient, Lane.CARE)
    await sending.after(1)
    assert (await sending.message(first)).state is SENT
    await keeper.look()
    async with sending.deps.database.read() as session:
        held = await holding.held(session)
    assert held is not None
    assert held.why is Why.CLOCK
    assert held.since == sending.clock.now()
    _, other = await sending.patient("Ben")
    waiting = await sending.queue(other, Lane.CARE)
    await sending.after(300)
    assert await dispatch.dispatch_due(sending.deps, sending.clock.now()) == 0
    assert (await sending.message(waiting)).state is QUEUED

    # The operator says that the time is right: now it counts, and what is too late is so.
    await release(sending)
    await keeper.look()
    assert sending.clock.doubted() == timedelta()
    assert sending.clock.now() > held.since + A_MONTH
    await keeper.look()
    await sending.pump()
    assert (await sending.message(waiting)).state is DROPPED
    assert (await sending.reminder(waiting))[0] is ReminderState.EXPIRED
    assert len(ana.received) == 1


async def test_a_clock_that_comes_back_stays_held_until_released(sending: Post) -> None:
    _, patient = await sending.patient("Ana")
    keeper = Timekeeper(sending.deps)
    sending.clock.jumps(A_MONTH)
    await keeper.look()
    sending.clock.jumps(-A_MONTH)
    await keeper.look()
    waiting = await sending.queue(patient, Lane.CARE)
    await sending.after(60)
    assert (await sending.message(waiting)).state is QUEUED
    await release(sending)
    await keeper.look()
    await sending.after(3)
    assert (await sending.message(waiting)).state is SENT


async def test_a_clock_set_back_repeats_nothing_and_lets_nothing_wait(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    first = await sending.queue(patient, Lane.CARE)
    await sending.pump()
    ben, other = await sending.patient("Ben")
    sending.telegram.faults.drop("sendMessage", delivered=True)
    doubtful = await sending.queue(other, Lane.REPLY)
    await sending.pump()
    answer = await sending.queue(other, Lane.REPLY)
    keeper = Timekeeper(sending.deps)
    sending.clock.jumps(timedelta(hours=-40))
    await keeper.look()
    await sending.after(20)
    assert (await sending.message(answer)).state is SENT
    for _ in range(4):
        await sending.after(30)
    assert (await sending.message(first)).state is SENT
    assert len(ana.received) == 1
    # What is in doubt cools down for a minute by either clock, not for forty hours.
    assert await sending.states(doubtful) == (SENT, 2, 1)
    assert len(ben.received) == 3


async def test_nothing_leaves_that_became_too_late_while_it_was_tried(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    sending.telegram.faults.error(
        "sendMessage", 400, "can't parse entities: Unsupported start tag", times=1
    )
    message = await sending.queue(patient, Lane.CARE)
    expires_at = (await sending.message(message)).expires_at
    assert expires_at is not None
    # Each look at the clock takes a minute: the first try is in time, its second is not.
    sending.clock.passes((expires_at - sending.clock.now()).total_seconds() - 100)
    sending.clock.each_look = timedelta(seconds=60)
    await sending.pump()
    sending.clock.each_look = timedelta()
    await sending.after(1)
    assert ana.received == []
    assert len(sending.telegram.calls_of("sendMessage", ana)) == 1
    assert (await sending.message(message)).state is DROPPED
    assert (await sending.reminder(message)) == (ReminderState.EXPIRED, Reason.TOO_LATE)


@pytest.mark.parametrize(
    ("lane", "most"), [(Lane.CARE, MOST_UNASKED_AN_HOUR), (Lane.REPLY, MOST_AN_HOUR)]
)
async def test_the_fuse_stops_what_is_too_much_for_one_patient(
    sending: Post, lane: Lane, most: int
) -> None:
    ana, patient = await sending.patient("Ana")
    ben, other = await sending.patient("Ben")
    flood = await crowded(sending, patient, lane, most + 5)
    fine = await crowded(sending, other, lane, 1)
    danger = await crowded(sending, patient, Lane.DANGER, 3)
    await sending.flow()
    await sending.after(1800)
    await sending.flow()
    assert await count(sending, flood, SENT) == most
    assert await count(sending, flood, QUEUED) == 5
    assert await count(sending, [*fine, *danger], SENT) == 4
    assert len(ana.received) == most + 3
    assert len(ben.received) == 1
    # An hour later there is room again, and what is too late by then is dropped.
    await sending.after(2000)
    await sending.flow()
    assert await count(sending, flood, SENT) == most + 5


async def test_a_flood_wait_that_repeats_from_chat_to_chat_is_kept_by_all(sending: Post) -> None:
    crowd = await sending.crowd(30)
    sending.telegram.faults.flood("sendMessage", 17, times=None)
    await sending.pump()
    tried = len(sending.telegram.calls_of("sendMessage"))
    # No more than were in the air when it became clear, one for each sender and a round of them.
    assert tried <= 16
    await sending.after(10)
    assert len(sending.telegram.calls_of("sendMessage")) == tried
    sending.telegram.faults.clear()
    _, patient = await sending.patient("Ana")
    danger = await sending.queue(patient, Lane.DANGER)
    await sending.pump()
    assert (await sending.message(danger)).state is SENT
    await sending.after(8)
    await sending.flow()
    assert [len(person.received) for person in crowd] == [1] * 30


async def test_a_clock_hold_lets_danger_go_that_waited_before_it(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    sending.telegram.faults.flood("sendMessage", 40, chat=ana.id)
    numbers = await sending.queue(patient, Lane.DANGER)
    await sending.pump()
    sending.clock.jumps(A_MONTH)
    await Timekeeper(sending.deps).look()
    await sending.after(41)
    assert (await sending.message(numbers)).state is SENT


async def test_a_release_after_a_restore_says_nothing_about_the_clock(sending: Post) -> None:
    keeper = Timekeeper(sending.deps)
    await hold(sending)
    before = sending.clock.now()
    sending.clock.jumps(A_MONTH)
    await keeper.look()
    await release(sending)
    await keeper.look()
    async with sending.deps.database.read() as session:
        held = await holding.held(session)
    assert held is not None
    assert held.why is Why.CLOCK
    assert sending.clock.now() == before


async def test_what_was_sent_by_a_clock_that_was_ahead_blows_no_fuse(sending: Post) -> None:
    _, patient = await sending.patient("Ana")
    keeper = Timekeeper(sending.deps)
    sending.clock.jumps(timedelta(hours=20))
    await crowded(sending, patient, Lane.CARE, MOST_UNASKED_AN_HOUR)
    await sending.flow()
    sending.clock.jumps(timedelta(hours=-20))
    await keeper.look()
    (fresh,) = await crowded(sending, patient, Lane.CARE, 1)
    await sending.after(2)
    assert (await sending.message(fresh)).state is SENT


async def test_an_outage_by_a_clock_in_doubt_is_told_to_nobody(sending: Post) -> None:
    ana, _ = await sending.patient("Ana")
    now = sending.clock.now()

    async def in_touch(moment: datetime) -> None:
        async with sending.deps.database.write() as session:
            await outages.in_touch(session, moment, again=True)

    await in_touch(now)
    await hold(sending, Why.CLOCK)
    await in_touch(now + A_MONTH)
    await release(sending)
    # One that was noted before anybody doubted, and lies in what is the future again.
    await in_touch(now)
    await in_touch(now + A_MONTH)
    assert await outages.tell(sending.deps, now) == 0
    await sending.pump()
    assert ana.received == []
    await in_touch(now)
    await in_touch(now + timedelta(hours=21))
    assert await outages.tell(sending.deps, now + timedelta(hours=21)) == 1


async def test_while_restored_the_leads_hear_of_todays_trouble_alone(sending: Post) -> None:
    now = sending.clock.now()
    await hold(sending)
    told = {}
    async with sending.deps.database.write() as session:
        for cause in (Cause.GAP, Cause.EXPIRED, Cause.REFUSED):
            values = {"how_many": 1, "until_at": now}
            told[cause] = await trouble.raise_(session, cause, now, values)
    assert told == {Cause.GAP: False, Cause.EXPIRED: False, Cause.REFUSED: True}
    await sending.after(1)
    assert "refused my key" in sending.nour.last_message.text
