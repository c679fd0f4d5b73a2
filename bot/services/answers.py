"""What a patient taps under a step: kept, answered, and passed on where a person must know."""

from collections.abc import Awaitable, Callable, Sequence

from bot.domain.protocol import Kind, Step
from bot.domain.states import Level, ReminderState, VisitState
from bot.domain.triage import Trend
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import (
    alerting,
    dispatch,
    later,
    limit_ends,
    limit_rows,
    phones,
    photos,
    reporting,
    reports,
    situation,
    words,
)
from bot.services.deps import new_ref
from bot.services.errors import StaleButton
from bot.services.outbox import prove_delivered
from bot.services.planning import replan
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import outbox, people, plans
from bot.storage.tables import Answer, Message, Patient, Reminder, Visit


async def answer(turn: Turn, message_ref: str, key: str) -> None:
    """Record an answer to a step and say what follows from it.

    Buttons stay good for ever: an old one is still recorded and passed on. One that is not this
    person's, or names nothing, is stale.
    """
    message = await outbox.message_by_ref(turn.session, message_ref)
    if message is None and await _of_a_lost_message(turn, key):
        return
    if message is None or message.patient_id is None or not _is_whose(turn, message):
        if key in DANGER and turn.patient is None and turn.practitioner is None:
            # An account whose data were erased, or let go of, reads the phone numbers all the same.
            await reporting.something_wrong(turn)
        raise StaleButton
    patient = await people.patient(turn.session, message.patient_id)
    if patient.telegram_id != turn.account.id:
        raise StaleButton
    if message.chat_id == turn.account.id:
        await prove_delivered(turn.session, message, turn.message_id, turn.now)
    # A repeat that was asked for carries the reminders of the first.
    carrier = message.id, message.follows_id
    rows = [
        row for each in carrier for row in await plans.reminders_of_message(turn.session, each or 0)
    ]
    if not rows:
        raise StaleButton
    turn.patient = patient
    await later.no_more(turn.session, message)
    whole = await situation.read(turn.session, patient.id or 0)
    row = _lead_row(whole, rows, key)
    if await _tapped_twice(turn, row, key):
        return
    await _record(turn, patient, row, key)
    step = whole.plan_of(row.visit_id).protocol.step(row.step)
    follow = _FOLLOWS.get(key)
    if follow is None:
        raise StaleButton
    await follow(turn, whole, row, step)


def _is_whose(turn: Turn, message: Message) -> bool:
    """Say whether a message is of whoever taps: in their chat, or in the one of their old account.

    What was kept on before a new phone is let go on the new one.
    """
    if message.chat_id == turn.account.id:
        return True
    return turn.patient is not None and turn.patient.id == message.patient_id


async def _of_a_lost_message(turn: Turn, key: str) -> bool:
    """Answer a sign of danger under a message that a restored database does not know.

    Its buttons are on the patient's phone all the same. Says whether it was one.
    """
    if key not in DANGER or turn.patient is None:
        return False
    await reporting.begin(turn, turn.patient, reporting.CHECK)
    return True


def _lead_row(whole: Situation, rows: Sequence[Reminder], key: str) -> Reminder:
    """Return the reminder whose step has that button; the most important step if several do.

    Whether the skin is calm is asked again, in other words, of every step that lifts limits.
    """
    for row in dispatch.in_order(whole, rows):
        step = whole.step_of(row)
        if key in step.buttons or (key in limit_ends.ANSWERS and Kind.LIFT in step.kinds):
            return row
    raise StaleButton


async def _tapped_twice(turn: Turn, row: Reminder, key: str) -> bool:
    """Say whether this answer was given a moment ago; then it is ticked off and nothing more."""
    last = await plans.latest_answer(turn.session, row.id or 0)
    if last is None or turn.now - last.given_at > reporting.SAME_TAP:
        return False
    if sealed.read(turn.session, last).get("answer") != key:
        return False
    turn.toast = "got_it"
    return True


async def _record(turn: Turn, patient: Patient, row: Reminder, key: str) -> None:
    given = Answer(
        ref=new_ref(),
        patient_id=patient.id or 0,
        reminder_id=row.id or 0,
        update_id=turn.update_id,
        given_at=turn.now,
    )
    sealed.write(turn.session, given, {"answer": key})
    turn.session.add(given)
    await turn.session.flush()


def _wrong_row() -> list[Button]:
    return [Button(label="something_wrong", data=buttons.pack("wrong"))]


async def _got_it(turn: Turn, _whole: Situation, _row: Reminder, _step: Step) -> None:
    turn.toast = "got_it"
    if turn.patient is not None:
        await turn.tell_patient(turn.patient, "patient/got_it")


async def _ask_clinic(turn: Turn, _whole: Situation, _row: Reminder, _step: Step) -> None:
    await reports.ask_clinic(turn)


async def _wrong(turn: Turn, _whole: Situation, _row: Reminder, _step: Step) -> None:
    await reporting.something_wrong(turn)


async def _none(turn: Turn, whole: Situation, row: Reminder, step: Step) -> None:
    """No warning sign: ask for the trend after a check; a late check is simply ticked off.

    Both say which limits are over that an earlier answer kept on.
    """
    over = await _let_go(turn, whole, row)
    if Kind.CHECK in step.kinds:
        await turn.tell_patient(
            whole.patient,
            "patient/trend",
            {"ended": over},
            [
                [Button(label=key, data=buttons.pack("trend", row.ref, key))]
                for key in ("better", "the_same", "worse")
            ],
        )
    elif over:
        await _say_calm(turn, whole, over)
    else:
        await turn.tell_patient(
            whole.patient,
            "patient/noted",
            {"next_date": words.next_date(whole, turn.now)},
            [_wrong_row()],
        )


async def _sign(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    """A warning sign: which one, and a person is told; what was to end for no sign stays on."""
    await limit_rows.keep_on(turn.session, whole, row, turn.now)
    await reporting.begin(turn, whole.patient, reporting.CHECK, reminder=row)


async def _unsure(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    trend = Trend.NOT_SURE
    await limit_rows.keep_on(turn.session, whole, row, turn.now)
    await reporting.begin(turn, whole.patient, "check", reminder=row, trend=trend)


async def _let_go(turn: Turn, whole: Situation, row: Reminder) -> list[str]:
    """End what was kept on of the limits that the message lifts; return what is over, in words."""
    names = limit_rows.lifted(whole, row)
    over = await limit_rows.let_go(turn.session, whole, names, turn.now)
    catalogue, language = turn.deps.catalogue, whole.patient.language
    return [catalogue.label(language, "limits", limit) for limit in over]


async def _not_calm(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    """The limits stay, the clinic is told; a sign of danger besides is asked for."""
    again_at = await limit_rows.keep_on(turn.session, whole, row, turn.now)
    reported = [("reports", "not_calm")]
    await alerting.raise_alert(turn, whole.patient, Level.TELL_CLINIC, reported)
    rows = [
        [Button(label=key, data=buttons.pack("danger", row.ref, key))]
        for key in ("no", "yes", "not_sure")
    ]
    language = whole.patient.language
    again = dates.moment(again_at, whole.zone, language, turn.now) if again_at else None
    await reports.say_told(
        turn,
        whole.patient,
        "patient/not_calm",
        rows,
        values={
            "again_at": again,
            "told_later": alerting.is_told_later(turn),
            "closed": await alerting.is_closed(turn, whole.patient),
        },
    )


async def danger(turn: Turn, reminder_ref: str, key: str) -> None:
    """Take the answer to "strong pain, heat, pus or a fever?"."""
    whole, row = await _own_reminder(turn, reminder_ref)
    if key == "no":
        await _not_now(turn, whole, row, whole.step_of(row))
    elif key in DANGER_ASKED:
        trend = Trend.NOT_SURE if key == "not_sure" else None
        why = "check" if trend else reporting.CHECK
        await reporting.begin(turn, whole.patient, why, reminder=row, trend=trend)
    else:
        raise StaleButton


async def _own_reminder(turn: Turn, ref: str) -> tuple[Situation, Reminder]:
    """Return a reminder of whoever taps, with their situation; anything else is stale."""
    row = await plans.reminder_by_ref(turn.session, ref)
    if row is None or (turn.patient is None and turn.practitioner is None):
        raise StaleButton
    whole = await situation.read(turn.session, row.patient_id)
    if whole.patient.telegram_id != turn.account.id:
        raise StaleButton
    turn.patient = whole.patient
    return whole, row


async def _calm(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    """The patient's own word: what was kept on of these limits is over, and this says so."""
    await _say_calm(turn, whole, await _let_go(turn, whole, row))


async def _say_calm(turn: Turn, whole: Situation, over: list[str]) -> None:
    await turn.tell_patient(
        whole.patient,
        "patient/calm",
        {"ended": over, "next_date": words.next_date(whole, turn.now)},
        [_wrong_row()],
    )


async def _send_photo(turn: Turn, _whole: Situation, _row: Reminder, _step: Step) -> None:
    await photos.coach(turn)


async def _show_times(turn: Turn, whole: Situation, _row: Reminder, _step: Step) -> None:
    await reports.say_told(turn, whole.patient, "patient/booking_asked", [_wrong_row()])
    await reports.tell_practitioner(turn, whole.patient, "practitioner/wants_times")
    await phones.ask(turn, whole.patient, phones.BOOKING)


async def _later(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    again_at = min(
        (
            each.due_at
            for each in whole.reminders
            if each.visit_id == row.visit_id
            and each.state is ReminderState.PLANNED
            and each.outlook is None
            and each.due_at is not None
            and each.due_at > turn.now
            and Kind.BOOK in whole.plan_of(each.visit_id).protocol.step(each.step).kinds
        ),
        default=None,
    )
    language, today = whole.patient.language, turn.now.astimezone(whole.zone).date()
    day = again_at.astimezone(whole.zone).date() if again_at is not None else None
    await turn.tell_patient(
        whole.patient,
        "patient/booking_later",
        {"later_date": dates.day(day, language, today) if day is not None else None},
    )


async def _not_this_time(turn: Turn, whole: Situation, _row: Reminder, _step: Step) -> None:
    whole.patient.booking_requests = False
    turn.session.add(whole.patient)
    await replan(turn.session, whole.patient.id or 0, turn.now)
    await reports.say_told(turn, whole.patient, "patient/booking_declined")
    await reports.tell_practitioner(turn, whole.patient, "practitioner/booking_declined")


async def _coming(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    visit = _planned(turn, whole, row)
    visit.confirmed_at = turn.now
    turn.session.add(visit)
    await replan(turn.session, whole.patient.id or 0, turn.now)
    if visit.planned_at is not None:
        await turn.tell_patient(
            whole.patient,
            "patient/visit_confirmed",
            words.visit_values(turn.clinic, visit.planned_at, whole.patient, turn.now),
        )
        await reports.tell_practitioner(
            turn, whole.patient, "practitioner/visit_confirmed", _visit_at(turn, visit)
        )


def _visit_at(turn: Turn, visit: Visit) -> dict[str, str]:
    at = visit.planned_at or turn.now
    return {"visit_at": dates.moment(at, turn.clinic_zone, turn.clinic.language, turn.now)}


def _planned(turn: Turn, whole: Situation, row: Reminder) -> Visit:
    """Return the visit a prep or confirmation is about, while it still lies ahead."""
    visit = whole.visit(row.visit_id)
    ahead = visit.planned_at is not None and visit.planned_at > turn.now
    # A button from before the visit was moved speaks of another date.
    if visit.state is not VisitState.PLANNED or not ahead or row.round < visit.round:
        raise StaleButton
    return visit


async def _changed(turn: Turn, whole: Situation, _row: Reminder, _step: Step) -> None:
    await turn.await_text("change")
    await reports.say_told(turn, whole.patient, "patient/something_changed", [_wrong_row()])
    reported = [("reports", "something_changed")]
    await alerting.raise_alert(turn, whole.patient, Level.TELL_CLINIC, reported)


async def _change_time(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    await change_time(turn, whole.patient, whole.visit(row.visit_id))


async def change_time(turn: Turn, patient: Patient, visit: Visit) -> None:
    """Pass the wish for another time on to the practitioner."""
    ahead = visit.planned_at is not None and visit.planned_at > turn.now
    if visit.state is not VisitState.PLANNED or not ahead:
        raise StaleButton
    await reports.say_told(turn, patient, "patient/change_wanted", [_wrong_row()])
    await reports.tell_practitioner(
        turn, patient, "practitioner/wants_change", _visit_at(turn, visit)
    )


async def change_time_of(turn: Turn, visit_ref: str) -> None:
    """The same from the note on a booked visit, where the button names the visit."""
    if turn.patient is None:
        raise StaleButton
    visit = await plans.visit_by_ref(turn.session, turn.patient.clinic_id, visit_ref)
    if visit is None or visit.patient_id != turn.patient.id:
        raise StaleButton
    await change_time(turn, turn.patient, visit)


async def _cancel_visit(turn: Turn, whole: Situation, row: Reminder, _step: Step) -> None:
    visit = _planned(turn, whole, row)
    visit.state = VisitState.CANCELLED
    turn.session.add(visit)
    await replan(turn.session, whole.patient.id or 0, turn.now)
    await dispatch.dispatch(turn.session, [whole.patient.id or 0], turn.now)
    if visit.planned_at is not None:
        await turn.tell_patient(
            whole.patient,
            "patient/visit_cancelled",
            words.visit_values(turn.clinic, visit.planned_at, whole.patient, turn.now),
        )
    await reports.tell_practitioner(
        turn, whole.patient, "practitioner/visit_cancelled_by_patient", _visit_at(turn, visit)
    )


async def _book_after_maint(turn: Turn, whole: Situation, row: Reminder, step: Step) -> None:
    await _show_times(turn, whole, row, step)


async def _not_now(turn: Turn, whole: Situation, _row: Reminder, _step: Step) -> None:
    await turn.tell_patient(
        whole.patient,
        "patient/noted",
        {"next_date": words.next_date(whole, turn.now)},
        [_wrong_row()],
    )


async def _lump(turn: Turn, whole: Situation, row: Reminder, step: Step) -> None:
    """A lump: a sign like any other, so what was to end for none stays on."""
    await limit_rows.keep_on(turn.session, whole, row, turn.now)
    why = "check" if Kind.CHECK in step.kinds else "late_sign"
    await reporting.begin(turn, whole.patient, why, reminder=row)


async def trend(turn: Turn, reminder_ref: str, key: str) -> None:
    """Take the answer to "how is the area": worse asks what it is, the rest counts at once."""
    said = _TRENDS.get(key)
    if said is None:
        raise StaleButton
    whole, row = await _own_reminder(turn, reminder_ref)
    if await _tapped_twice(turn, row, key):
        return
    await _record(turn, whole.patient, row, key)
    if said is Trend.WORSE:
        await limit_rows.keep_on(turn.session, whole, row, turn.now)
        await reporting.begin(turn, whole.patient, "check", reminder=row, trend=said)
    else:
        await reporting.of_trend(turn, whole.patient, said, row)


_TRENDS = {"better": Trend.BETTER, "the_same": Trend.SAME, "worse": Trend.WORSE}
Follow = Callable[[Turn, Situation, Reminder, Step], Awaitable[None]]
_FOLLOWS: dict[str, Follow] = {
    "got_it": _got_it,
    "ok": _got_it,
    "ask_clinic": _ask_clinic,
    "have_question": _ask_clinic,
    "something_wrong": _wrong,
    "none_of_these": _none,
    "no": _none,
    "yes_i_have_one": _sign,
    "yes": _lump,
    "not_sure": _unsure,
    "yes_calm": _calm,
    "not_yet": _not_calm,
    "not_calm": _not_calm,
    "send_photo": _send_photo,
    "show_times": _show_times,
    "later": _later,
    "not_this_time": _not_this_time,
    "will_come": _coming,
    "yes_coming": _coming,
    "something_changed": _changed,
    "change_time": _change_time,
    "cancel_visit": _cancel_visit,
    "no_lump_book": _book_after_maint,
    "no_lump_not_now": _not_now,
    "yes_happy": _not_now,
    "yes_lump": _lump,
}
FOLLOWED = frozenset(_FOLLOWS)
DANGER = frozenset(key for key, follow in _FOLLOWS.items() if follow in (_wrong, _sign, _unsure))
"""Answers that report danger, or may: on some days a doubt is urgent."""

DANGER_ASKED = frozenset({"yes", "not_sure"})
"""The same of the answers to the question about danger."""
