"""What is asked of a message right before it leaves, case by case; times are in Berlin."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from bot.domain import schedule
from bot.domain.rules import Drop, Go, Verdict, Wait
from bot.domain.states import (
    AlertState,
    Lane,
    Level,
    MessageState,
    PatientState,
    Reason,
)
from bot.services import dispatch, limit_rows, outbox, situation, team
from bot.services.deps import new_ref
from bot.storage.queries import limit_ends, people
from bot.storage.tables import Alert, LimitEnd, Message, Patient, Practitioner, Reminder
from tests.faults.world import Post, bring_on

MINUTE = timedelta(minutes=1)


async def asked(sending: Post, message: Message, at: datetime | None = None) -> Verdict:
    """The verdict on a message now, as the sender asks for it."""
    async with sending.deps.database.write() as session:
        row = await session.get_one(Message, message.id)
        whole = None
        if row.visit_id is not None and row.patient_id is not None:
            whole = await situation.read(session, row.patient_id)
        return await dispatch.may_leave(session, row, whole, at or sending.clock.now())


async def change(sending: Post, kind: type[Any], row_id: int | None, **values: Any) -> None:
    """A row is as the case wants it."""
    async with sending.deps.database.write() as session:
        row = await session.get_one(kind, row_id)
        for name, value in values.items():
            setattr(row, name, value)
        session.add(row)


async def to_nour(
    sending: Post, patient: Patient | None = None, template: str = "practitioner/menu", **more: Any
) -> Message:
    """A message to the practitioner."""
    async with sending.deps.database.write() as session:
        nour = await people.practitioner(session, sending.practitioner.id or 0)
        found = await outbox.to_practitioner(
            session, nour, template, sending.clock.now(), language="en", patient=patient, **more
        )
        assert found is not None
        return found


async def test_of_several_edits_of_one_screen_the_newest_leaves(sending: Post) -> None:
    _, patient = await sending.patient()
    first = await sending.edit(patient, "patient/got_it", 7)
    text = await sending.queue(patient, Lane.REPLY)
    assert await asked(sending, first) == Go()
    newest = await sending.edit(patient, "patient/got_it", 7)
    other = await sending.edit(patient, "patient/got_it", 8)
    assert await asked(sending, first) == Drop(Reason.REPLACED)
    assert await asked(sending, newest) == Go()
    assert await asked(sending, other) == Go()
    # A message of its own stands beside any screen.
    assert await asked(sending, text) == Go()


async def test_words_for_a_practitioner_end_with_their_use_their_place_or_their_patient(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    message = await to_nour(sending, patient)
    assert message.expires_at is not None
    assert await asked(sending, message, message.expires_at - MINUTE) == Go()
    assert await asked(sending, message, message.expires_at) == Drop(Reason.TOO_LATE)
    await change(sending, Message, message.id, expires_at=None)
    assert await asked(sending, message, sending.clock.now() + timedelta(days=900)) == Go()
    await change(sending, Patient, patient.id, state=PatientState.ERASED)
    assert await asked(sending, message) == Drop(Reason.ERASED)
    # About nobody: who has left the team hears nothing more, whoever else does.
    alone = await to_nour(sending)
    assert await asked(sending, alone) == Go()
    await change(sending, Practitioner, sending.practitioner.id, removed_at=sending.clock.now())
    assert await asked(sending, alone) == Drop(Reason.NOT_ACTIVE)


async def test_a_stranger_is_answered(sending: Post) -> None:
    message = await to_nour(sending)
    await change(sending, Message, message.id, practitioner_id=None)
    await change(sending, Practitioner, sending.practitioner.id, removed_at=sending.clock.now())
    assert await asked(sending, message) == Go()


@pytest.mark.parametrize(
    ("template", "copies", "state", "verdict"),
    [
        ("alerts/report", 0, AlertState.OPEN, Go()),
        ("alerts/report", 0, AlertState.ACKNOWLEDGED, Go()),
        ("alerts/report", 1, AlertState.OPEN, Go()),
        ("alerts/report", 1, AlertState.ACKNOWLEDGED, Drop(Reason.REPLACED)),
        ("alerts/again", 0, AlertState.OPEN, Go()),
        ("alerts/again", 0, AlertState.ACKNOWLEDGED, Drop(Reason.REPLACED)),
        ("alerts/again", 1, AlertState.CLOSED, Drop(Reason.REPLACED)),
        ("alerts/passed_on", 1, AlertState.CLOSED, Go()),
    ],
)
async def test_an_alert_is_repeated_only_while_it_is_open(
    sending: Post, template: str, copies: int, state: AlertState, verdict: Verdict
) -> None:
    _, patient = await sending.patient()
    async with sending.deps.database.write() as session:
        alert = Alert(
            ref=new_ref(),
            clinic_id=patient.clinic_id,
            patient_id=patient.id or 0,
            level=Level.URGENT,
            state=state,
            opened_at=sending.clock.now(),
        )
        session.add(alert)
    message = await to_nour(sending, patient, template, report=alert.ref)
    await change(sending, Message, message.id, maybe_copies=copies)
    assert await asked(sending, message) == verdict


@pytest.mark.parametrize(
    ("state", "confirmed", "opened", "wanted"),
    [
        (PatientState.OPENED, False, -1, True),
        # Opened in the same moment as the nudge was queued: it is about that account.
        (PatientState.OPENED, False, 0, True),
        # The link was opened anew after it was queued, by another account.
        (PatientState.OPENED, False, 1, False),
        (PatientState.OPENED, False, None, False),
        (PatientState.OPENED, True, -1, False),
        (PatientState.ACTIVE, False, -1, False),
        (PatientState.DECLINED, False, -1, False),
    ],
)
async def test_a_nudge_goes_only_while_that_account_waits(
    sending: Post, state: PatientState, confirmed: bool, opened: int | None, wanted: bool
) -> None:
    _, patient = await sending.patient()
    message = await to_nour(sending, patient, team.NUDGE)
    now = message.queued_at
    await change(
        sending,
        Patient,
        patient.id,
        state=state,
        confirmed_at=now if confirmed else None,
        opened_at=None if opened is None else now + opened * MINUTE,
    )
    assert await asked(sending, message) == (Go() if wanted else Drop(Reason.REPLACED))


async def test_what_is_no_step_waits_for_the_end_of_quiet_hours_if_nobody_asked(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    night = sending.clock.now().replace(hour=23)
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        notice = await outbox.to_patient(
            session, fresh, "patient/visit_booked", night, lane=Lane.CARE, unasked=True
        )
    assert await asked(sending, notice, night) == Wait()
    assert await asked(sending, notice, night.replace(hour=12)) == Go()
    await change(sending, Message, notice.id, unasked=False)
    assert await asked(sending, notice, night) == Go()
    # A pause holds reminders, not news of a visit.
    await change(sending, Patient, patient.id, paused_until=night + timedelta(days=9))
    assert await asked(sending, notice, night.replace(hour=12)) == Go()
    await change(sending, Patient, patient.id, telegram_id=4711)
    assert await asked(sending, notice, night) == Drop(Reason.NOT_ACTIVE)


async def test_a_question_on_limits_that_waited_is_asked_anew_when_it_no_longer_holds(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    now = sending.clock.now()
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        question = await outbox.to_patient(
            session, fresh, limit_rows.AGAIN, now, lane=Lane.CARE, unasked=True
        )
        gym = next(
            row for row in await limit_ends.of_patient(session, fresh.id or 0) if row.name == "gym"
        )
    held = {"kept_at": now, "asked_at": now, "look_at": None}
    await change(sending, LimitEnd, gym.id, **held)
    later = now + MINUTE
    assert await asked(sending, question, later) == Go()
    # In a pause nothing is asked, and the question is as if it had never been put.
    await change(sending, Patient, patient.id, paused_until=now + timedelta(days=7))
    assert await asked(sending, question, later) == Drop(Reason.REPLACED)
    async with sending.deps.database.read() as session:
        row = await session.get_one(LimitEnd, gym.id)
        assert (row.asked_at, row.look_at) == (None, later)
    # Nor is it about what she has answered meanwhile.
    await change(sending, Patient, patient.id, paused_until=None)
    assert await asked(sending, question, later) == Drop(Reason.REPLACED)
    await change(sending, LimitEnd, gym.id, **held)
    assert await asked(sending, question, later) == Go()
    async with sending.deps.database.write() as session:
        session.add(
            Alert(
                ref=new_ref(),
                clinic_id=patient.clinic_id,
                patient_id=patient.id or 0,
                level=Level.URGENT,
                opened_at=now,
            )
        )
    assert await asked(sending, question, later) == Drop(Reason.REPLACED)


async def test_the_second_bubble_shares_the_fate_of_the_first(sending: Post) -> None:
    _, patient = await sending.patient()
    first = await sending.queue(patient, Lane.REPLY)
    second = await sending.queue(patient, Lane.REPLY, follows_id=first.id)
    assert await asked(sending, second) == Go()
    for state, reason in (
        (MessageState.DROPPED, Reason.STOPPED),
        (MessageState.FAILED, Reason.BLOCKED),
    ):
        await change(sending, Message, first.id, state=state, reason=reason)
        assert await asked(sending, second) == Drop(reason)
    await change(sending, Message, first.id, state=MessageState.DROPPED, reason=None)
    assert await asked(sending, second) == Drop(Reason.REPLACED)
    await change(sending, Message, first.id, state=MessageState.SENT, reason=None)
    assert await asked(sending, second) == Go()


async def test_what_waits_is_looked_at_again_in_a_minute_or_after_quiet_hours(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    for_ana = await sending.queue(patient, Lane.REPLY)
    for_nour = await to_nour(sending)
    noon = sending.clock.now().replace(hour=11)
    night = noon.replace(hour=23)
    async with sending.deps.database.read() as session:
        again = dispatch.look_again_at
        assert await again(session, for_ana, noon) == noon + MINUTE
        assert await again(session, for_nour, noon) == noon + MINUTE
        assert await again(session, for_nour, night) == night + MINUTE
        morning = night.replace(hour=7, minute=30) + timedelta(days=1)
        assert await again(session, for_ana, night) == morning


async def test_a_late_message_waits_for_what_else_is_late(sending: Post) -> None:
    _, patient = await sending.patient()
    message = await sending.queue(patient, Lane.CARE)
    now = sending.clock.now()
    late = now + schedule.LATE
    assert await asked(sending, message, late + MINUTE) == Go()
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        other = await bring_on(session, fresh, "d28", now)
    # One look at the plan puts both into one message; what is on time does not wait for that.
    assert await asked(sending, message, late - MINUTE) == Go()
    for moment in (late, late + MINUTE):
        assert await asked(sending, message, moment) == Wait()
    # What is of no more use from this moment on is not waited for.
    await change(sending, Reminder, other.id, expires_at=late)
    assert await asked(sending, message, late) == Go()


async def test_of_two_late_messages_neither_leaves_before_the_plan_is_looked_at(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    first = await sending.queue(patient, Lane.CARE)
    now = sending.clock.now()
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        await bring_on(session, fresh, "d28", now)
        await dispatch.dispatch(session, [fresh.id or 0], now)
    late = now + schedule.LATE
    assert await asked(sending, first, late - MINUTE) == Go()
    assert await asked(sending, first, late) == Wait()
    assert await asked(sending, first, late + MINUTE) == Wait()
    # One that was tried already, or that was put off, waits for nobody.
    await change(sending, Message, first.id, maybe_copies=1)
    assert await asked(sending, first, late + MINUTE) == Go()
    await change(sending, Message, first.id, maybe_copies=0, lease_until=now)
    assert await asked(sending, first, late + MINUTE) == Go()


async def test_while_the_clinic_has_something_to_answer_only_courtesies_rest(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    check = await sending.queue(patient, Lane.CARE)
    offer = await sending.queue(patient, Lane.COURTESY)
    assert await asked(sending, offer) == Go()
    async with sending.deps.database.write() as session:
        session.add(
            Alert(
                ref=new_ref(),
                clinic_id=patient.clinic_id,
                patient_id=patient.id or 0,
                level=Level.TELL_CLINIC,
                opened_at=sending.clock.now(),
                resumed_at=sending.clock.now(),
            )
        )
    assert await asked(sending, check) == Go()
    assert await asked(sending, offer) != Go()


async def test_a_message_of_two_steps_parts_when_one_is_over_unless_it_may_have_left(
    sending: Post,
) -> None:
    _, patient = await sending.patient()
    now = sending.clock.now()
    async with sending.deps.database.write() as session:
        fresh = await people.patient(session, patient.id or 0)
        steps = [await bring_on(session, fresh, step, now) for step in ("d1", "d28")]
        for row in steps:
            row.group_key = "together"
            session.add(row)
        assert await dispatch.dispatch(session, [fresh.id or 0], now) == 1
    async with sending.deps.database.read() as session:
        message = await session.get_one(Message, steps[0].message_id)
    await change(sending, Reminder, steps[1].id, expires_at=now)
    await change(sending, Message, message.id, maybe_copies=1)
    assert await asked(sending, message) == Drop(Reason.TOO_LATE)
    await change(sending, Message, message.id, maybe_copies=0)
    assert await asked(sending, message) == Drop(Reason.REPLACED)
    async with sending.deps.database.read() as session:
        kept = await session.get_one(Reminder, steps[0].id)
        assert kept.message_id is None


async def test_one_round_queues_what_is_due_to_everybody(sending: Post) -> None:
    now = sending.clock.now()
    for name in ("Ana", "Ben", "Cleo"):
        _, patient = await sending.patient(name)
        async with sending.deps.database.write() as session:
            fresh = await people.patient(session, patient.id or 0)
            await bring_on(session, fresh, "d1", now)
    assert await dispatch.dispatch_due(sending.deps, now) == 3
