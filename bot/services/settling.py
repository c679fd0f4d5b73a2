"""What a send came to: kept on the message and its reminders, and told where a person must act."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import rules
from bot.domain.rules import GiveUp
from bot.domain.states import Lane, MessageState, Reason, ReminderState
from bot.outgoing import sender
from bot.outgoing.sender import Delivered, Outcome
from bot.services import own_words, reach, team
from bot.services.erasing import GOODBYE
from bot.services.planning import catch_up
from bot.storage import sealed
from bot.storage.queries import inbox, limit_ends, outbox, people, plans
from bot.storage.queries.erasing import NOBODY
from bot.storage.tables import Message

log = logging.getLogger(__name__)

# Danger keeps trying while the line is down, and must not wait a minute once it is back.
_LONGEST_WAIT_S = 10


async def settle(
    session: AsyncSession, results: Sequence[tuple[Message, Outcome]], now: datetime
) -> None:
    """Give messages that were being sent the state that follows (promises.md 2.2)."""
    arrived: list[Message] = []
    for row, outcome in results:
        if isinstance(outcome, Delivered):
            _sent(session, row, outcome, now)
            arrived.append(row)
        else:
            await _failed(session, row, outcome, now)
    if arrived:
        await _finish(session, arrived, ReminderState.SENT, None, now)


async def _failed(session: AsyncSession, row: Message, outcome: Outcome, now: datetime) -> None:
    match outcome:
        case sender.NeverWill(reason=reason):
            await never(session, row, reason, now)
        case sender.Unknown(cause=cause):
            log.warning(
                "a send was not answered",
                extra={"action": "send_unknown", "message_id": row.ref, "cause": cause},
            )
            await unknown(session, row, now)
        case sender.TargetGone():
            row.method, row.target_message_id = "text", None
            await _put_back(session, row, now, timedelta())
        case sender.NotSent(wait=wait, flood=True):
            await _put_back(session, row, now, wait or timedelta())
        case sender.NotSent() | sender.Refused():
            tries = min(row.attempts - 1, 10)
            wait_s = min(_LONGEST_WAIT_S, 2**tries) if row.lane is Lane.DANGER else 0
            await _put_back(session, row, now, timedelta(seconds=wait_s))
        case sender.TooLate():
            row.attempts -= 1
            await _put_back(session, row, now, timedelta())


async def _put_back(session: AsyncSession, row: Message, now: datetime, wait: timedelta) -> None:
    """Queue again what surely was not sent."""
    if row.maybe_copies == 0:
        row.sent_at = None
    await outbox.put_back(session, row, now=now, wait=wait)


def _sent(session: AsyncSession, row: Message, delivered: Delivered, now: datetime) -> None:
    row.state = MessageState.SENT
    row.telegram_message_id = delivered.message_id
    row.sent_at = now
    if delivered.plain:
        row.reason = Reason.TEMPLATE_FAULT
        log.error(
            "a text went without its formatting",
            extra={"action": "sent_plain", "message_id": row.ref, "template": row.template},
        )
    session.add(row)
    log.info("delivered", extra={"action": "delivered", "message_id": row.ref})


async def _finish(
    session: AsyncSession,
    rows: Sequence[Message],
    state: ReminderState,
    reason: Reason | None,
    now: datetime,
) -> None:
    """End the reminders of messages that are final, and what must not outlive them."""
    for row in rows:
        if row.method == "photo":
            # An invitation: the link was the secret, and nobody needs it here any more.
            sealed.write(session, row, {})
            session.add(row)
        if row.template == GOODBYE:
            # The last that was known of an erased account.
            row.chat_id = NOBODY
            sealed.write(session, row, {})
            session.add(row)
    # Only what belongs to a visit carries reminders; it may have moved meanwhile.
    carriers = [row.id or 0 for row in rows if row.visit_id is not None]
    if carriers:
        await plans.finish_reminders(session, carriers, state, reason, now)
        await catch_up(session, carriers, now)
        if state is not ReminderState.SENT:
            # A limit that a step was to tell is told by a notice.
            await limit_ends.look_now(session, carriers, now)


async def never(session: AsyncSession, row: Message, reason: Reason, now: datetime) -> None:
    """Give up a message that Telegram will not take; whoever can still act on it is told."""
    row.state, row.reason, row.sent_at = MessageState.FAILED, reason, None
    session.add(row)
    log.warning(
        "a message cannot be delivered",
        extra={"action": "undeliverable", "message_id": row.ref, "reason": reason.value},
    )
    await _finish(session, [row], ReminderState.UNDELIVERED, reason, now)
    if row.practitioner_id is not None:
        await team.not_told(session, row, reason, now)
    elif row.patient_id is not None:
        patient = await people.locked_patient(session, row.patient_id)
        # An account that was let go meanwhile says nothing about whom the patient is now.
        if patient.telegram_id == row.chat_id:
            await reach.lost(session, patient, reason, now)
    await own_words.lost(session, row, now)


async def drop(session: AsyncSession, row: Message, reason: Reason, now: datetime) -> None:
    """End a message that is not to go any more, and its reminders with it."""
    if reason is Reason.TOO_LATE and row.maybe_copies > 0:
        # Too late for its repeat; whether the first one arrived is still not known.
        await give_up(session, row, now)
        return
    row.state, row.reason = MessageState.DROPPED, reason
    session.add(row)
    await _finish(session, [row], rules.state_for(reason), reason, now)
    if reason is Reason.NOT_ACTIVE and row.practitioner_id is not None:
        # Their access ended while a report was on its way to them.
        await team.not_told(session, row, reason, now)
    await own_words.lost(session, row, now)


async def unknown(
    session: AsyncSession, row: Message, now: datetime, *, killed: bool = False
) -> None:
    """Cool down, then repeat or give up, as the lane says; the maybe-copy is on record before."""
    row.maybe_copies += 1
    verdict = rules.after_unknown(
        row.lane,
        row.method,
        row.maybe_copies,
        heard_since=await _heard_since(session, row),
        killed=killed,
        report=row.report is not None,
        own_words=own_words.are(row),
    )
    if isinstance(verdict, GiveUp):
        await give_up(session, row, now)
    else:
        await outbox.put_back(session, row, now=now, wait=verdict.after)


async def give_up(session: AsyncSession, row: Message, now: datetime) -> None:
    """Leave a message unconfirmed: nobody knows, and the practitioner sees just that."""
    row.state, row.reason = MessageState.UNCONFIRMED, Reason.UNCONFIRMED
    session.add(row)
    await _finish(session, [row], ReminderState.UNDELIVERED, Reason.UNCONFIRMED, now)
    await own_words.lost(session, row, now)


async def overtaken(session: AsyncSession, row: Message) -> bool:
    """Say whether a repeat has lost its point because the chat has gone on."""
    if row.maybe_copies == 0:
        return False
    heard_since = await _heard_since(session, row)
    return rules.overtaken(
        row.lane,
        row.method,
        row.maybe_copies,
        heard_since=heard_since,
        report=row.report is not None,
        own_words=own_words.are(row),
    )


async def _heard_since(session: AsyncSession, row: Message) -> bool:
    """Say whether the chat spoke after the message was last tried."""
    return row.sent_at is not None and await inbox.heard_since(session, row.chat_id, row.sent_at)
