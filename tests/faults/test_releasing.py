"""What a release does after a restore: what may have been sent goes once, marked, or not at all."""

from datetime import timedelta

from bot.demo.people import Person
from bot.domain.states import Lane, MessageState, Reason, ReminderState
from bot.services import dispatch, holding, outbox, releasing
from bot.services.deps import new_ref
from bot.services.holding import Why
from bot.services.releasing import Review
from bot.storage.queries import people
from bot.storage.tables import Message, Patient
from tests.faults.world import Post, add_patient, bring_on

TWICE = "this message may reach you twice"
UNCONFIRMED = (ReminderState.UNDELIVERED, Reason.UNCONFIRMED)
A_MINUTE = timedelta(minutes=1)


async def restored(sending: Post, ago: timedelta) -> None:
    """The database is that of a backup, made so long ago."""
    now = sending.clock.now()
    async with sending.deps.database.write() as session:
        await holding.hold(session, Why.RESTORED, now, backup_at=now - ago)


async def released(sending: Post) -> Review:
    """An operator looks and releases; what is due then is dispatched."""
    async with sending.deps.database.read() as session:
        seen = await releasing.review(session, sending.clock.now())
    async with sending.deps.database.write() as session:
        done = await releasing.release(session, sending.clock.now())
    assert seen is not None
    assert done is not None
    # What is shown before is what is done.
    assert seen.as_json() == done.as_json()
    await dispatch.dispatch_due(sending.deps, sending.clock.now())
    await sending.pump()
    return done


async def joined(sending: Post) -> tuple[Person, Patient]:
    """Ana has joined just now and has read the card."""
    person = sending.telegram.person("Ana")
    async with sending.deps.database.write() as session:
        patient = await add_patient(
            session, sending.deps, person, sending.practitioner, sending.clock.now()
        )
    await dispatch.dispatch_due(sending.deps, sending.clock.now())
    await sending.pump()
    return person, patient


async def steps(sending: Post, patient: Patient) -> dict[str, tuple[str, str | None]]:
    """Each step that is over, and how."""
    found = await sending.rows(
        "SELECT step, state, reason FROM v_reminder WHERE state <> 'planned'"
        f" AND patient_ref = '{patient.ref}'"
    )
    return {row["step"]: (row["state"], row["reason"]) for row in found}


async def test_a_check_that_fell_due_meanwhile_goes_once_and_says_so(sending: Post) -> None:
    person, ana = await joined(sending)
    before = len(person.received)
    # Joined at 14:30; the first check is due the next day at 10:00.
    sending.clock.passes(22 * 3600)
    await restored(sending, timedelta(hours=21))
    seen = (await released(sending)).as_json()
    assert seen["fell_due"] == [{"day": "2026-03-11", "step": "d1", "count": 1, "goes": True}]
    assert seen["patients"] == [ana.ref]
    assert "Ana" not in str(seen)
    (check,) = person.received[before:]
    assert TWICE in check.text
    (row,) = await sending.rows(
        "SELECT maybe_copies FROM v_message m JOIN v_reminder r ON r.message_id = m.message_id"
        " WHERE r.step = 'd1'"
    )
    assert row["maybe_copies"] == 1
    assert (await steps(sending, ana))["d1"] == ("sent", None)
    async with sending.deps.database.read() as session:
        assert await holding.held(session) is None


async def test_what_is_of_no_use_any_more_is_not_said_to_be_unsent(sending: Post) -> None:
    person, ana = await joined(sending)
    before = len(person.received)
    sending.clock.passes(2 * 86_400)
    await restored(sending, timedelta(days=2))
    seen = (await released(sending)).as_json()
    assert {(each["step"], each["goes"]) for each in seen["fell_due"]} == {("d1", False)}
    assert (await steps(sending, ana))["d1"] == ("undelivered", "unconfirmed")
    assert len(person.received) == before


async def test_what_falls_due_after_the_restore_was_never_sent(sending: Post) -> None:
    person, ana = await joined(sending)
    await restored(sending, timedelta(hours=1))
    sending.clock.passes(22 * 3600)
    assert (await released(sending)).as_json()["fell_due"] == []
    assert TWICE not in person.received[-1].text
    assert (await steps(sending, ana))["d1"] == ("sent", None)


async def test_courtesy_that_may_have_been_sent_is_left(sending: Post) -> None:
    person, ana = await sending.patient("Ana")
    async with sending.deps.database.write() as session:
        await bring_on(session, ana, "maint", sending.clock.now())
    sending.clock.passes(60)
    await restored(sending, timedelta(hours=1))
    await released(sending)
    assert (await steps(sending, ana))["maint"] == ("undelivered", "unconfirmed")
    assert person.received == []


async def test_a_step_in_doubt_that_nobody_wants_any_more_stays_in_doubt(sending: Post) -> None:
    _, ana = await sending.patient("Ana")
    async with sending.deps.database.write() as session:
        row = await bring_on(session, ana, "d1", sending.clock.now())
        row.maybe_sent = True
        session.add(row)
    sending.clock.passes(2 * 86_400)
    await dispatch.dispatch_due(sending.deps, sending.clock.now())
    assert (await steps(sending, ana))["d1"] == ("undelivered", "unconfirmed")


async def test_what_waited_goes_as_after_a_send_without_an_answer(sending: Post) -> None:
    crowd = {lane: await sending.patient(lane.value) for lane in Lane}
    waited = {lane: await sending.queue(patient, lane) for lane, (_, patient) in crowd.items()}
    report = await _report(sending, crowd[Lane.REPLY][1])
    screen = await sending.edit(crowd[Lane.CARE][1], "patient/got_it", 5)
    in_the_air = await sending.queue((await sending.patient("Ben"))[1], Lane.CARE)
    async with sending.deps.database.write() as session:
        row = await session.get_one(Message, in_the_air.id)
        row.state, row.attempts, row.sent_at = MessageState.SENDING, 1, sending.clock.now()
        session.add(row)
    await restored(sending, A_MINUTE)
    seen = (await released(sending)).as_json()
    assert {(each["kind"], each["goes"], each["count"]) for each in seen["waiting"]} == {
        ("danger", True, 1),
        ("care", True, 2),
        ("report", True, 1),
        ("courtesy", False, 1),
        ("reply", False, 2),
    }
    await sending.after(70)
    sent, given_up = MessageState.SENT, MessageState.UNCONFIRMED
    for message, state in (
        (waited[Lane.DANGER], sent),
        (waited[Lane.CARE], sent),
        (waited[Lane.REPLY], given_up),
        (waited[Lane.COURTESY], given_up),
        (report, sent),
        (screen, given_up),
        (in_the_air, sent),
    ):
        found = await sending.message(message)
        assert (found.state, found.maybe_copies) == (state, 1), message.template
    assert await sending.reminder(waited[Lane.COURTESY]) == UNCONFIRMED
    assert TWICE in crowd[Lane.CARE][0].received[-1].text
    assert crowd[Lane.REPLY][0].received == []
    assert crowd[Lane.COURTESY][0].received == []


async def _report(sending: Post, patient: Patient) -> Message:
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        practitioner = await people.practitioner(session, sending.practitioner.id or 0)
        message = await outbox.to_practitioner(
            session,
            practitioner,
            "patient/got_it",
            sending.clock.now(),
            language="en",
            patient=fresh,
            report=new_ref(),
        )
    assert message is not None
    return message


async def test_a_repeat_that_waited_is_not_repeated_again(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    message = await sending.queue(patient, Lane.CARE)
    async with sending.deps.database.write() as session:
        row = await session.get_one(Message, message.id)
        row.maybe_copies = 1
        session.add(row)
    await restored(sending, A_MINUTE)
    await released(sending)
    await sending.after(70)
    assert (await sending.message(message)).state is MessageState.UNCONFIRMED
    assert await sending.reminder(message) == UNCONFIRMED
    assert ana.received == []


async def test_a_step_in_the_air_at_the_backup_goes_once_more(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    message = await sending.queue(patient, Lane.CARE)
    async with sending.deps.database.write() as session:
        row = await session.get_one(Message, message.id)
        row.state, row.attempts = MessageState.SENDING, 1
        session.add(row)
    await restored(sending, A_MINUTE)
    sending.clock.passes(5)
    # The start after the restore counts the send of which nobody knows; the release does not again.
    await sending.delivery.recover()
    assert (await sending.states(message))[2] == 1
    await released(sending)
    await sending.after(70)
    assert await sending.states(message) == (MessageState.SENT, 2, 1)
    (said,) = ana.received
    assert TWICE in said.text


async def test_a_clock_is_released_without_touching_a_row(sending: Post) -> None:
    ana, patient = await sending.patient("Ana")
    waits = await sending.queue(patient, Lane.CARE)
    async with sending.deps.database.write() as session:
        await holding.hold(session, Why.CLOCK, sending.clock.now())
        await bring_on(session, patient, "d3", sending.clock.now() + A_MINUTE)
    sending.clock.passes(120)
    seen = (await released(sending)).as_json()
    assert [(each["step"], each["goes"]) for each in seen["fell_due"]] == [("d3", True)]
    assert (seen["why"], seen["waiting"]) == ("clock", [])
    found = await sending.message(waits)
    assert (found.state, found.maybe_copies) == (MessageState.SENT, 0)
    assert TWICE not in "".join(each.text for each in ana.received)


async def test_without_a_hold_nothing_is_released(sending: Post) -> None:
    async with sending.deps.database.write() as session:
        assert await releasing.release(session, sending.clock.now()) is None
