""" "Remind me later": what asks for an errand comes once more, three hours on, if it may."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.protocol import Kind, Step
from bot.domain.states import CourseState, MessageState, PatientState, Reason
from bot.domain.times import is_quiet, next_quiet
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import situation
from bot.services.deps import new_ref
from bot.services.errors import StaleButton
from bot.services.outbox import prove_delivered
from bot.services.planning import outdated
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import outbox, people, plans
from bot.storage.tables import Message, Reminder

AFTER = timedelta(hours=3)
# What is an errand: no card, no check, no limit that ends; booking has a "later" of its own.
_ERRANDS = frozenset({Kind.PREP, Kind.CONFIRM, Kind.PHOTO, Kind.ADVICE})


def row_for(steps: Sequence[Step], message_ref: str) -> list[list[Button]]:
    """Return the row that puts a message of these steps off; none when it may not wait."""
    kinds: Collection[Kind] = {kind for step in steps for kind in step.kinds}
    if not _ERRANDS.issuperset(kinds) or any(step.safety for step in steps):
        return []
    return [[Button(label="remind_later", data=buttons.pack("later", message_ref))]]


async def put_off(turn: Turn, message_ref: str) -> None:
    """Queue the message once more, three hours on; refuse it kindly when it may not come then."""
    message = await outbox.message_by_ref(turn.session, message_ref)
    if message is None or message.chat_id != turn.account.id or message.patient_id is None:
        raise StaleButton
    patient = await people.patient(turn.session, message.patient_id)
    if patient.telegram_id != turn.account.id:
        raise StaleButton
    await prove_delivered(turn.session, message, turn.message_id, turn.now)
    rows = await plans.reminders_of_message(turn.session, message.id or 0)
    if not rows:
        raise StaleButton
    turn.patient = patient
    whole = await situation.read(turn.session, patient.id or 0)
    again = await outbox.latest_repeat(turn.session, message)
    if again is None:
        again = await _queue(turn, whole, message, rows)
    waits = again is not None and again.state is MessageState.QUEUED
    at = again.due_at.astimezone(whole.zone) if again is not None and waits else None
    await turn.tell_patient(
        patient,
        "patient/later",
        {"later_at": dates.clock(at.time()) if at is not None else None},
        [[Button(label="something_wrong", data=buttons.pack("wrong"))]],
    )


async def _queue(
    turn: Turn, whole: Situation, message: Message, rows: Sequence[Reminder]
) -> Message | None:
    due_at = turn.now + AFTER
    expires_at = _end(whole, rows, due_at)
    if expires_at is None or await plans.answered(turn.session, [row.id or 0 for row in rows]):
        return None
    content = sealed.read(turn.session, message)
    again = Message(
        ref=new_ref(),
        clinic_id=message.clinic_id,
        patient_id=message.patient_id,
        visit_id=message.visit_id,
        chat_id=message.chat_id,
        lane=message.lane,
        template=message.template,
        language=whole.patient.language,
        # Its words and its fate are those of the reminders that came with the first.
        follows_id=message.id,
        queued_at=turn.now,
        due_at=due_at,
        expires_at=expires_at,
    )
    offered = [
        [button | {"data": button["data"].replace(message.ref, again.ref)} for button in row]
        for row in content.get("buttons", [])
        # Once, and then no more.
        if all(button.get("label") != "remind_later" for button in row)
    ]
    sealed.write(turn.session, again, {"buttons": offered, "also": content.get("also", [])})
    turn.session.add(again)
    await turn.session.flush()
    return again


def _end(whole: Situation, rows: Sequence[Reminder], due_at: datetime) -> datetime | None:
    """Return until when the repeat may go: while the steps are of use, and before quiet hours."""
    rests = whole.patient.paused_until is not None
    gone = any(
        outdated(whole, row) or whole.plan_of(row.visit_id).course.state is not CourseState.ACTIVE
        for row in rows
    )
    if rests or gone or whole.patient.state is not PatientState.ACTIVE:
        return None
    if is_quiet(due_at, whole.zone, whole.quiet):
        return None
    ends = [row.expires_at for row in rows if row.expires_at is not None]
    end = min([*ends, next_quiet(due_at, whole.zone, whole.quiet)])
    return end if due_at < end else None


def is_repeat(row: Message, first: Message | None) -> bool:
    """Say whether a message is another's repeat that was asked for: the same words again."""
    return first is not None and row.template == first.template


async def no_more(session: AsyncSession, message: Message) -> None:
    """Drop the repeat of a message that was answered meanwhile."""
    again = await outbox.latest_repeat(session, message)
    if again is not None:
        await outbox.drop_queued(session, again.id or 0, Reason.REPLACED)
