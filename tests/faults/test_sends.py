"""After a send that did not answer: exact attempts, exact copies, right final states."""

from collections.abc import Callable

import pytest

from bot.demo.faults import Fault
from bot.demo.people import Person
from bot.domain.states import Lane, MessageState, PatientState, Reason, ReminderState
from bot.storage.queries import people
from tests.faults.world import Post

QUEUED, SENT = MessageState.QUEUED, MessageState.SENT
UNCONFIRMED, FAILED = MessageState.UNCONFIRMED, MessageState.FAILED
TWICE = "Lumen: this message may reach you twice."

Switch = Callable[[Post, Person, int, bool], Fault]

# What leaves nobody wiser: the switch, and whether it can also break after the delivery.
UNKNOWN: dict[str, Switch] = {
    "dropped": lambda p, who, times, after: p.telegram.faults.drop(
        None, chat=who.id, times=times, delivered=after
    ),
    "hanging": lambda p, who, times, after: p.telegram.faults.hang(
        None, chat=who.id, times=times, delivered=after
    ),
    "a page of a gateway": lambda p, who, times, after: p.telegram.faults.bad_gateway(
        None, chat=who.id, times=times, delivered=after
    ),
    "a restart": lambda p, who, times, after: p.telegram.faults.restart(
        None, chat=who.id, times=times, delivered=after
    ),
}


@pytest.mark.parametrize("after", [False, True], ids=["before delivery", "after delivery"])
async def test_an_unanswered_send_is_repeated_as_its_lane_says(
    impatient: Post, after: bool
) -> None:
    cast = {
        (kind, lane): await impatient.patient(f"{kind} {lane}") for kind in UNKNOWN for lane in Lane
    }
    rows = {}
    for (kind, lane), (person, patient) in cast.items():
        UNKNOWN[kind](impatient, person, 1, after)
        rows[kind, lane] = await impatient.queue(patient, lane)
    await impatient.pump()
    early = int(after)
    for (kind, lane), (person, _) in cast.items():
        state, attempts, maybe = await impatient.states(rows[kind, lane])
        if lane is Lane.DANGER:
            # Repeated at once: whoever is in danger rather reads it twice.
            assert (state, attempts, maybe) == (SENT, 2, 1), kind
            assert len(person.received) == 1 + early, kind
        elif lane is Lane.COURTESY:
            assert (state, attempts, maybe) == (UNCONFIRMED, 1, 1), kind
            assert len(person.received) == early, kind
        else:
            assert (state, attempts, maybe) == (QUEUED, 1, 1), (kind, lane)
            assert len(person.received) == early, (kind, lane)
    await impatient.after(59)
    assert [
        len(person.received) for (_, lane), (person, _) in cast.items() if lane is Lane.CARE
    ] == [early] * len(UNKNOWN)
    await impatient.after(2)
    for (kind, lane), (person, _) in cast.items():
        message = rows[kind, lane]
        if lane is Lane.COURTESY:
            assert len(person.received) == early, kind
            assert await impatient.reminder(message) == (
                ReminderState.UNDELIVERED,
                Reason.UNCONFIRMED,
            )
            continue
        assert await impatient.states(message) == (SENT, 2, 1), (kind, lane)
        assert len(person.received) == 1 + early, (kind, lane)
        # Only a step says that it may come twice; nobody minds reading an answer again.
        assert person.last_message.text.startswith(TWICE) == (lane is Lane.CARE), (kind, lane)
        if lane is Lane.CARE:
            assert await impatient.reminder(message) == (ReminderState.SENT, None)
            assert person.last_message.labels == person.received[0].labels
    sent = len(impatient.telegram.calls_of("sendMessage"))
    await impatient.after(3600)
    assert len(impatient.telegram.calls_of("sendMessage")) == sent


async def test_a_second_silence_ends_it_unconfirmed_and_danger_goes_on(sending: Post) -> None:
    lanes = (Lane.DANGER, Lane.REPLY, Lane.CARE)
    cast = {lane: await sending.patient(lane) for lane in lanes}
    rows = {}
    for lane, (person, patient) in cast.items():
        sending.telegram.faults.drop("sendMessage", chat=person.id, times=3, delivered=True)
        rows[lane] = await sending.queue(patient, lane)
    await sending.pump()
    await sending.after(61)
    for lane in (Lane.REPLY, Lane.CARE):
        assert await sending.states(rows[lane]) == (UNCONFIRMED, 2, 2), lane
        assert len(cast[lane][0].received) == 2, lane
    assert await sending.reminder(rows[Lane.CARE]) == (
        ReminderState.UNDELIVERED,
        Reason.UNCONFIRMED,
    )
    await sending.after(61)
    # Danger is repeated at growing distances until there is an answer.
    assert await sending.states(rows[Lane.DANGER]) == (SENT, 4, 3)
    at = [message.date for message in cast[Lane.DANGER][0].received]
    assert len(at) == 4
    assert (at[1] - at[0]).total_seconds() < 1
    assert (at[2] - at[1]).total_seconds() >= 2
    for lane in (Lane.REPLY, Lane.CARE):
        assert len(cast[lane][0].received) == 2, lane


async def test_what_surely_was_not_sent_is_sent_once_and_unmarked(sending: Post) -> None:
    cast = {lane: await sending.patient(lane) for lane in Lane}
    rows = {lane: await sending.queue(patient, lane) for lane, (_, patient) in cast.items()}
    await sending.server.goes_away()
    await sending.pump()
    for _ in range(10):
        await sending.after(30)
    for lane, message in rows.items():
        state, attempts, maybe = await sending.states(message)
        assert (state, maybe) == (QUEUED, 0), lane
        # Danger keeps trying; the rest waits until something harmless gets an answer.
        assert attempts > 5 if lane is Lane.DANGER else attempts <= 1, lane
    await sending.server.listens()
    await sending.after(10)
    for lane, message in rows.items():
        assert (await sending.message(message)).state is SENT, lane
        assert (await sending.message(message)).maybe_copies == 0, lane
        assert len(cast[lane][0].received) == 1, lane
        assert not cast[lane][0].last_message.text.startswith(TWICE), lane


async def test_an_outage_does_not_use_up_what_falls_due_in_it(sending: Post) -> None:
    cast = [await sending.patient(f"patient {number}") for number in range(12)]
    sending.telegram.faults.down = True
    rows = [await sending.queue(patient, Lane.CARE) for _, patient in cast]
    await sending.pump()
    for _ in range(20):
        await sending.after(30)
    tried = [await sending.states(row) for row in rows]
    # Those that were in the air when the line broke, and nobody after them.
    assert all(state is QUEUED for state, _, _ in tried)
    assert sum(attempts for _, attempts, _ in tried) <= 8
    sending.telegram.faults.clear()
    await sending.after(61)
    assert [len(person.received) for person, _ in cast] == [1] * 12
    marked = [person.last_message.text.startswith(TWICE) for person, _ in cast]
    assert sum(marked) == sum(attempts for _, attempts, _ in tried)


async def test_a_flood_wait_is_kept_to_the_second_and_stalls_nobody_else(sending: Post) -> None:
    cast = {lane: await sending.patient(lane) for lane in Lane}
    ben, patient = await sending.patient("Ben")
    rows = {}
    for lane, (person, who) in cast.items():
        sending.telegram.faults.flood(None, 17, chat=person.id)
        rows[lane] = await sending.queue(who, lane)
    # Many more to the same chats do not stand in the way of another chat either.
    for _ in range(10):
        for _, who in cast.values():
            await sending.queue(who, Lane.REPLY)
    last = await sending.queue(patient, Lane.CARE)
    await sending.pump()
    assert (await sending.message(last)).state is SENT
    assert len(ben.received) == 1
    await sending.after(16.9)
    for lane, (person, _) in cast.items():
        assert len(sending.telegram.calls_of("sendMessage", person)) == 1, lane
        assert person.received == [], lane
    await sending.after(0.2)
    # A chat that was flooded goes on slowly, one message a second.
    assert [len(person.received) for person, _ in cast.values()] == [1] * 4
    for _ in range(10):
        await sending.after(1)
    for lane, message in rows.items():
        state, attempts, maybe = await sending.states(message)
        # Of the eleven in this chat the most urgent one was tried first.
        assert (state, attempts <= 2, maybe) == (SENT, True, 0), lane
        assert len(cast[lane][0].received) == 11, lane
        assert len(sending.telegram.calls_of("sendMessage", cast[lane][0])) == 12, lane


async def test_a_chat_that_is_gone_is_told_to_the_practitioner_once(sending: Post) -> None:
    blocked, first = await sending.patient("Ana")
    deleted, second = await sending.patient("Ben")
    fresh, third = await sending.patient("Cem")
    lost, fourth = await sending.patient("Dora")
    blocked.blocked, deleted.deleted, fresh.started = True, True, False
    sending.telegram.faults.error("sendMessage", 400, "chat not found", chat=lost.id, times=None)
    wanted = {
        first.id: (blocked, Reason.BLOCKED),
        second.id: (deleted, Reason.DEACTIVATED),
        third.id: (fresh, Reason.BLOCKED),
        fourth.id: (lost, Reason.CHAT_NOT_FOUND),
    }
    rows = {who.id: await sending.queue(who, Lane.CARE) for who in (first, second, third, fourth)}
    await sending.pump()
    await sending.after(3600)
    for number, (person, reason) in wanted.items():
        row = await sending.message(rows[number])
        assert (row.state, row.attempts, row.reason) == (FAILED, 1, reason), person
        assert await sending.reminder(row) == (ReminderState.UNDELIVERED, reason)
        assert len(sending.telegram.calls_of("sendMessage", person)) == 1, person
        async with sending.deps.database.read() as session:
            patient = await people.patient(session, number or 0)
        assert patient.state is PatientState.UNREACHABLE
        told = [m.text for m in sending.nour.received if f"phone {person.first_name}" in m.text]
        assert len(told) == 1
    ahead = await sending.rows("SELECT * FROM v_reminder WHERE state = 'planned'")
    assert ahead == []


async def test_a_refused_message_is_told_and_the_plan_goes_on(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    sending.telegram.faults.error("sendMessage", 400, "BUTTON_DATA_INVALID", chat=ana.id)
    message = await sending.queue(patient, Lane.CARE)
    await sending.pump()
    await sending.after(3600)
    assert await sending.states(message) == (FAILED, 1, 0)
    assert await sending.reminder(message) == (ReminderState.UNDELIVERED, Reason.REFUSED)
    assert "could not be delivered" in sending.nour.last_message.text
    assert await sending.rows("SELECT * FROM v_reminder WHERE state = 'planned'") != []


async def test_formatting_that_telegram_cannot_read_goes_as_plain_words(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    sending.telegram.faults.error(
        "sendMessage", 400, "can't parse entities: unsupported start tag", chat=ana.id
    )
    message = await sending.queue(patient, Lane.CARE)
    await sending.pump()
    row = await sending.message(message)
    assert (row.state, row.attempts, row.reason) == (SENT, 1, Reason.TEMPLATE_FAULT)
    assert await sending.reminder(message) == (ReminderState.SENT, None)
    assert len(ana.received) == 1
    assert "<b>" not in ana.last_message.text
    assert "day 1 check" in ana.last_message.text
    assert ana.last_message.labels


async def test_edits_are_repeated_freely_and_never_lose_their_words(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    faults = sending.telegram.faults
    await sending.queue(patient, Lane.REPLY)
    await sending.pump()
    screen = ana.last_message
    faults.drop("editMessageText", times=2, delivered=True)
    first = await sending.edit(patient, "patient/seek_care", screen.id)
    await sending.pump()
    await sending.after(2)
    # The second and third try find the words there already: that is success.
    assert await sending.states(first) == (SENT, 3, 2)
    assert len(ana.received) == 1
    assert "please do not wait for us" in screen.text
    before = screen.text

    # An older edit that comes back late does not overwrite a newer one.
    faults.drop("editMessageText")
    stale = await sending.edit(patient, "patient/got_it", screen.id)
    newer = await sending.edit(patient, "patient/refused", screen.id)
    await sending.pump()
    await sending.after(5)
    assert (await sending.message(stale)).state is MessageState.DROPPED
    assert (await sending.message(newer)).state is SENT
    assert screen.text != before

    for refusal in ("message to edit not found", "message can't be edited"):
        faults.error("editMessageText", 400, refusal)
        known = len(ana.received)
        gone = await sending.edit(patient, "patient/got_it", screen.id)
        await sending.pump()
        assert await sending.states(gone) == (SENT, 2, 0)
        assert len(ana.received) == known + 1


@pytest.mark.parametrize(("code", "text"), [(401, ""), (409, "terminated by other")])
async def test_a_refused_bot_marks_nothing_as_failed_and_goes_on_later(
    sending: Post, code: int, text: str
) -> None:
    cast = {lane: await sending.patient(lane) for lane in Lane}
    fault = sending.telegram.faults.error(None, code, text, times=None)
    rows = {lane: await sending.queue(patient, lane) for lane, (_, patient) in cast.items()}
    await sending.pump()
    await sending.after(120)
    assert sending.delivery.line.refused is not None
    for lane, message in rows.items():
        state, _, maybe = await sending.states(message)
        assert (state, maybe) == (QUEUED, 0), lane
    sending.telegram.faults.take_off(fault)
    await sending.after(11)
    assert sending.delivery.line.refused is None
    for lane, message in rows.items():
        assert (await sending.message(message)).state is SENT, lane
        assert len(cast[lane][0].received) == 1, lane


async def test_what_was_in_the_air_at_a_kill_is_unconfirmed_and_never_simply_due(
    sending: Post,
) -> None:
    cast = {lane: await sending.patient(lane) for lane in Lane}
    rows = {lane: await sending.queue(patient, lane) for lane, (_, patient) in cast.items()}
    async with sending.deps.database.write() as session:
        # What a killed process leaves behind: committed as being sent, and no more.
        for row in rows.values():
            row.state, row.attempts, row.sent_at = MessageState.SENDING, 1, sending.clock.now()
            session.add(row)
    assert await sending.delivery.recover() == 4
    assert await sending.delivery.recover() == 0
    assert await sending.states(rows[Lane.CARE]) == (QUEUED, 1, 1)
    assert await sending.states(rows[Lane.COURTESY]) == (UNCONFIRMED, 1, 1)
    await sending.after(59)
    assert [len(cast[lane][0].received) for lane in Lane] == [1, 0, 0, 0]
    await sending.after(2)
    assert [len(cast[lane][0].received) for lane in Lane] == [1, 1, 1, 0]
    assert cast[Lane.CARE][0].last_message.text.startswith(TWICE)


async def test_one_message_that_cannot_be_made_holds_up_no_other(
    sending: Post, failures: list[str]
) -> None:
    ana, patient = await sending.patient("Ana")
    ben, other = await sending.patient("Ben")
    broken = await sending.queue(patient, Lane.REPLY, template="patient/no_such_text")
    strange = await sending.queue(patient, Lane.REPLY, menu="no_such_menu")
    good = await sending.queue(other, Lane.CARE)
    await sending.pump()
    assert [(await sending.message(row)).state for row in (broken, strange, good)] == [
        FAILED,
        FAILED,
        SENT,
    ]
    assert ana.received == []
    assert len(ben.received) == 1
    assert sum("could not be delivered" in m.text for m in sending.nour.received) == 2
    assert [line.split()[0] for line in failures] == ["text_failed", "text_failed"]
    failures.clear()


# Every kind of fault, met once by a reminder: what it is left as, how often it was tried, how many
# copies the phone holds, and how many may be there as far as the bot knows (promises.md 2).
ONCE: dict[str, tuple[Switch, MessageState, int, int, int]] = {
    "broken off before": (UNKNOWN["dropped"], SENT, 2, 1, 1),
    "broken off after": (UNKNOWN["dropped"], SENT, 2, 2, 1),
    "no answer, before": (UNKNOWN["hanging"], SENT, 2, 1, 1),
    "no answer, after": (UNKNOWN["hanging"], SENT, 2, 2, 1),
    "HTML 502 before": (UNKNOWN["a page of a gateway"], SENT, 2, 1, 1),
    "HTML 502 after": (UNKNOWN["a page of a gateway"], SENT, 2, 2, 1),
    "500 before": (UNKNOWN["a restart"], SENT, 2, 1, 1),
    "504 after": (
        lambda p, who, times, after: p.telegram.faults.error(
            "sendMessage", 504, "timed out", chat=who.id, times=times, delivered=after
        ),
        SENT,
        2,
        2,
        1,
    ),
    "half an answer, after": (
        lambda p, who, times, _: p.telegram.faults.half_answer(
            "sendMessage", chat=who.id, times=times
        ),
        SENT,
        2,
        2,
        1,
    ),
    "429": (
        lambda p, who, times, _: p.telegram.faults.flood(
            "sendMessage", 20, chat=who.id, times=times
        ),
        SENT,
        2,
        1,
        0,
    ),
    "400": (
        lambda p, who, times, _: p.telegram.faults.error(
            "sendMessage", 400, "BUTTON_DATA_INVALID", chat=who.id, times=times
        ),
        FAILED,
        1,
        0,
        0,
    ),
    "403": (
        lambda p, who, times, _: p.telegram.faults.error(
            "sendMessage", 403, "bot was blocked by the user", chat=who.id, times=times
        ),
        FAILED,
        1,
        0,
        0,
    ),
    "401": (
        lambda p, _, times, __: p.telegram.faults.error("sendMessage", 401, "", times=times),
        SENT,
        2,
        1,
        0,
    ),
    "409": (
        lambda p, _, times, __: p.telegram.faults.error(
            "sendMessage", 409, "terminated by other", times=times
        ),
        SENT,
        2,
        1,
        0,
    ),
}


@pytest.mark.parametrize("kind", ONCE)
async def test_each_fault_leads_to_exactly_so_many_tries_and_copies(
    impatient: Post, kind: str
) -> None:
    switch, state, tries, copies, maybe = ONCE[kind]
    ana, patient = await impatient.patient()
    switch(impatient, ana, 1, kind.endswith("after"))
    message = await impatient.queue(patient, Lane.CARE)
    await impatient.pump()
    for _ in range(9):
        await impatient.after(10)
    assert await impatient.states(message) == (state, tries, maybe)
    assert len(ana.received) == copies
    assert len({call.at for call in impatient.telegram.calls_of("sendMessage", ana)}) == tries
    await impatient.after(3600)
    assert len(ana.received) == copies
