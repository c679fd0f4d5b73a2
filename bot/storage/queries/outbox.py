"""The outbox: adding, claiming, settling; Core statements, as they run for every message."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, or_, text, update
from sqlalchemy.orm import aliased
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane, MessageState, Reason
from bot.storage.tables import Message

FINAL = (
    MessageState.SENT,
    MessageState.FAILED,
    MessageState.DROPPED,
    MessageState.UNCONFIRMED,
)
_URGENCY = case(
    {Lane.DANGER: 0, Lane.REPLY: 1, Lane.CARE: 2, Lane.COURTESY: 3},
    value=Message.lane,
    else_=4,
)
# Within a lane: an alert goes before what patients sent, and so does the answer to a tap.
_PASSED_ON = case(
    (and_(col(Message.report).is_not(None), col(Message.template) != "alerts/report"), 1), else_=0
)
# In the very words of the index ``message_open``, and in its order: with anything else SQLite reads
# every message that was ever sent to find the few that wait.
_OPEN = text("message.state IN ('queued', 'sending')")
_FIRST = aliased(Message)
# The second of a pair waits for the first to be final.
_FOLLOWS_UNFINISHED = (
    select(_FIRST.id)
    .where(col(_FIRST.id) == col(Message.follows_id), col(_FIRST.state).not_in(FINAL))
    .exists()
)
_SET_BACK = timedelta(minutes=1)
_READY_AT = case(
    (col(Message.lease_until) > col(Message.due_at), col(Message.lease_until)),
    else_=col(Message.due_at),
)


def _ready(now: datetime) -> ColumnElement[bool]:
    return and_(
        _OPEN,
        col(Message.state) == MessageState.QUEUED,
        # Queued in what is now the future: the clock was set back, and nobody waits for it again.
        or_(col(Message.due_at) <= now, col(Message.queued_at) > now + _SET_BACK),
        or_(col(Message.lease_until).is_(None), col(Message.lease_until) <= now),
        ~_FOLLOWS_UNFINISHED,
    )


async def claimable(
    session: AsyncSession,
    now: datetime,
    *,
    limit: int,
    resting: Collection[int] = (),
    busy: Collection[int] = (),
    danger_only: bool = False,
    answers_above: int | None = None,
    for_update: bool = False,
) -> Sequence[Message]:
    """Return queued messages that are due, most urgent lane first, then in the order of their time.

    What patients sent comes last in its lane. Nothing goes to a chat in ``resting``, and only
    danger to one in ``busy``. With ``answers_above`` only what answers people, after that id.
    """
    statement = (
        select(Message)
        .where(_ready(now))
        .order_by(_URGENCY, _PASSED_ON, col(Message.due_at), col(Message.id))
        .limit(limit)
    )
    danger = col(Message.lane) == Lane.DANGER
    if resting:
        statement = statement.where(col(Message.chat_id).not_in(resting))
    if danger_only:
        statement = statement.where(danger)
    elif busy:
        statement = statement.where(or_(danger, col(Message.chat_id).not_in(busy)))
    if answers_above is not None:
        statement = statement.where(
            col(Message.id) > answers_above, col(Message.lane).in_([Lane.DANGER, Lane.REPLY])
        )
    if for_update:
        statement = statement.with_for_update(skip_locked=True, of=Message)
    return (await session.exec(statement)).all()


async def next_due_at(session: AsyncSession, after: datetime) -> datetime | None:
    """Return when the next queued message after ``after`` falls due, or may be tried again."""
    found = await session.exec(
        select(func.min(_READY_AT)).where(
            _OPEN, Message.state == MessageState.QUEUED, after < _READY_AT
        )
    )
    due_at: datetime | None = found.one()
    return due_at


async def anything_due(
    session: AsyncSession, now: datetime, *, resting: Collection[int] = ()
) -> bool:
    """Say whether a message to a chat not ``resting`` waits to be sent now, or is being sent."""
    found = await session.exec(
        select(Message.id)
        .where(
            or_(
                and_(_ready(now), col(Message.chat_id).not_in(resting)),
                col(Message.state) == MessageState.SENDING,
            ),
            _OPEN,
        )
        .limit(1)
    )
    return found.first() is not None


async def newer_edit(session: AsyncSession, message: Message) -> bool:
    """Say whether the screen that an edit is for has been given a newer one."""
    found = await session.exec(
        select(Message.id)
        .where(
            Message.chat_id == message.chat_id,
            Message.target_message_id == message.target_message_id,
            Message.method == "edit",
            col(Message.id) > message.id,
            Message.state != MessageState.DROPPED,
        )
        .limit(1)
    )
    return found.first() is not None


async def bring_forward(session: AsyncSession, latest: datetime) -> None:
    """Let nothing wait longer than until ``latest`` to be looked at again."""
    await session.exec(
        update(Message)
        .where(
            _OPEN,
            col(Message.state) == MessageState.QUEUED,
            col(Message.lease_until) > latest,
        )
        .values(lease_until=latest)
    )


async def waits(session: AsyncSession, practitioner_id: int, template: str) -> bool:
    """Say whether a message of that kind to the practitioner is still on its way."""
    found = await session.exec(
        select(Message.id)
        .where(_OPEN, Message.practitioner_id == practitioner_id, Message.template == template)
        .limit(1)
    )
    return found.first() is not None


async def newest_id(session: AsyncSession) -> int:
    """Return the id of the newest message; 0 when there is none."""
    found: int | None = (await session.exec(select(func.max(Message.id)))).one()
    return found or 0


async def message(session: AsyncSession, message_id: int) -> Message | None:
    """Return the message with that id."""
    return (await session.exec(select(Message).where(Message.id == message_id))).first()


async def message_by_ref(session: AsyncSession, ref: str) -> Message | None:
    """Return the message with that reference."""
    return (await session.exec(select(Message).where(Message.ref == ref))).first()


async def latest_repeat(session: AsyncSession, message: Message) -> Message | None:
    """Return the repeat of a message that its reader asked for, if there ever was one."""
    found = await session.exec(
        select(Message)
        .where(Message.follows_id == message.id, Message.template == message.template)
        .order_by(col(Message.id).desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )
    return found.first()


async def message_in_chat(
    session: AsyncSession, chat_id: int, telegram_message_id: int
) -> Message | None:
    """Return the newest row that Telegram shows under that number in that chat."""
    found = await session.exec(
        select(Message)
        .where(Message.chat_id == chat_id, Message.telegram_message_id == telegram_message_id)
        .order_by(col(Message.id).desc())
        .limit(1)
    )
    return found.first()


async def waiting_of(session: AsyncSession, template: str) -> Sequence[Message]:
    """Return the messages of this template that wait to be sent, and that no sender takes now."""
    found = await session.exec(
        select(Message)
        .where(_OPEN, Message.state == MessageState.QUEUED, Message.template == template)
        .order_by(col(Message.due_at), col(Message.id))
        .with_for_update(skip_locked=True)
    )
    return found.all()


async def of_report(session: AsyncSession, patient_id: int, report: str) -> Sequence[Message]:
    """Return every message about one report of the patient, in the order of their ids."""
    found = await session.exec(
        select(Message)
        .where(Message.patient_id == patient_id, Message.report == report)
        .order_by(col(Message.id))
    )
    return found.all()


async def being_sent(session: AsyncSession, message_ids: Collection[int]) -> Sequence[Message]:
    """Return those of these messages that are still being sent, in the order of their ids."""
    found = await session.exec(
        select(Message)
        .where(col(Message.id).in_(message_ids), col(Message.state) == MessageState.SENDING)
        .order_by(col(Message.id))
        # A tap that proves one of them waits until its result is on record, and the reverse.
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.all()


async def left_sending(session: AsyncSession) -> Sequence[Message]:
    """Return the messages that were in a sender's hands when the process ended."""
    found = await session.exec(
        select(Message)
        .where(_OPEN, Message.state == MessageState.SENDING)
        .order_by(col(Message.due_at), col(Message.id))
    )
    return found.all()


async def open_up_to(session: AsyncSession, message_id: int) -> Sequence[Message]:
    """Return the unfinished messages up to that id, in the order of their ids."""
    found = await session.exec(
        select(Message).where(_OPEN, col(Message.id) <= message_id).order_by(col(Message.id))
    )
    return found.all()


async def drop_queued(session: AsyncSession, message_id: int, reason: Reason) -> bool:
    """Drop a message that no sender holds; false when it was already on its way."""
    dropped = await session.exec(
        update(Message)
        .where(col(Message.id) == message_id, col(Message.state) == MessageState.QUEUED)
        .values(state=MessageState.DROPPED, reason=reason)
    )
    return dropped.rowcount == 1


async def drop_questions(
    session: AsyncSession, patient_id: int, templates: Collection[str]
) -> None:
    """Drop what waits to be asked about a patient: it is asked anew."""
    await session.exec(
        update(Message)
        .where(
            col(Message.patient_id) == patient_id,
            col(Message.template).in_(templates),
            col(Message.state) == MessageState.QUEUED,
        )
        .values(state=MessageState.DROPPED, reason=Reason.REPLACED)
    )


async def end(session: AsyncSession, message_id: int, state: MessageState) -> None:
    """Give a message its final state and nothing else."""
    await session.exec(update(Message).where(col(Message.id) == message_id).values(state=state))


async def prove(
    session: AsyncSession, message_id: int, telegram_message_id: int | None, now: datetime
) -> bool:
    """Take a message that may have arrived as sent; false when nobody doubted it."""
    proved = await session.exec(
        update(Message)
        .where(
            col(Message.id) == message_id,
            col(Message.maybe_copies) > 0,
            col(Message.state).in_(
                [MessageState.QUEUED, MessageState.SENDING, MessageState.UNCONFIRMED]
            ),
        )
        .values(
            state=MessageState.SENT,
            reason=None,
            lease_until=None,
            telegram_message_id=telegram_message_id,
            sent_at=func.coalesce(Message.sent_at, now),
        )
    )
    return proved.rowcount == 1


async def queued_for_patient(session: AsyncSession, patient_id: int) -> Sequence[Message]:
    """Return the patient's reminders-in-waiting: queued messages that nobody asked for.

    One that a sender has just claimed is left to it: the two would wait for each other.
    """
    found = await session.exec(
        select(Message)
        .where(
            Message.patient_id == patient_id,
            Message.state == MessageState.QUEUED,
            col(Message.lane).in_([Lane.CARE, Lane.COURTESY]),
        )
        .order_by(col(Message.id))
        .with_for_update(skip_locked=True)
    )
    return found.all()


async def put_back(
    session: AsyncSession, message: Message, *, now: datetime, wait: timedelta
) -> None:
    """Queue a message again, not to go before ``wait`` is over; it keeps its place in the order."""
    message.state = MessageState.QUEUED
    message.worker = None
    message.lease_until = now + wait if wait else None
    session.add(message)
