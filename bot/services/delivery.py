"""Taking messages from the outbox to Telegram: ask the rules, commit ``sending``, send, settle."""

import asyncio
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession
from telegram import Bot

from bot.domain import rules
from bot.domain.rules import Drop, Go
from bot.domain.states import Cause, Lane, MessageState, Reason, ReminderState
from bot.logs import Outages
from bot.outgoing import sender
from bot.outgoing.line import Line
from bot.outgoing.pace import Pace
from bot.outgoing.sender import Outcome, Outgoing
from bot.services import compose, dispatch, holding, settling, situation, trouble, words
from bot.services.apart import alone
from bot.services.deps import Deps
from bot.services.situation import Situation
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import outbox, people, plans, told
from bot.storage.tables import Message

log = logging.getLogger(__name__)

# Fixed senders and no more: the HTTP pool gets slower with more (engine.md, pitfall 2).
SENDERS = 10
# So many of them are left to danger: large files and slow chats must not hold up an alert. The
# others are as many as keep the pool busy at once; with fewer each commit records less.
KEPT_FOR_DANGER = 2
_END_REASONS = {
    MessageState.SENT: None,
    MessageState.UNCONFIRMED: Reason.UNCONFIRMED,
    MessageState.FAILED: Reason.TEMPLATE_FAULT,
}
_HELD_LOOK_S = 2.0
_DANGER_LOOK_S = 0.1
_FUSE_REST = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message in a sender's hands."""

    message_id: int
    lane: Lane
    expires_at: datetime | None
    outgoing: Outgoing


class Delivery:
    """The outbox's only way out; one of it runs for a bot."""

    def __init__(self, deps: Deps, telegram_bot: Bot, pace: Pace) -> None:
        """Prepare to send through ``telegram_bot``, no faster than ``pace`` allows."""
        self._deps = deps
        self._bot = telegram_bot
        self._pace = pace
        # Chats whose message is in the air or not settled yet; danger passes all but danger.
        self._busy: set[int] = set()
        self._busy_danger: set[int] = set()
        self._sends: set[asyncio.Task[None]] = set()
        self._done: list[tuple[_Taken, Outcome]] = []
        self._flowing = False
        # When it was last looked for what may leave.
        self._taken_s = -math.inf
        self._stopping = False
        self._recovers = False
        self._outages = Outages(log)
        self.line = Line(telegram_bot, pace, deps.bells.outbox.set)

    @property
    def idle(self) -> bool:
        """Whether nothing is in a sender's hands, waits to be settled or is being asked."""
        return not self._sends and not self._done and not self.line.asking

    async def anything_in_the_air(self) -> bool:
        """Say whether another process, dead or not, has left messages that are being sent."""
        async with self._deps.database.read() as session:
            return bool(await outbox.left_sending(session))

    async def recover(self) -> int:
        """Treat what a killed process was sending as unknown; return how many there were."""
        now = self._deps.clock.now()
        async with self._deps.database.write(Priority.RESULT) as session:
            left = await outbox.left_sending(session)
            for row in left:
                message_id = row.id or 0
                work = partial(self._recover, session, row, now)
                if not await alone(session, "recover", work):
                    # What follows from it cannot be done; at least it holds up nobody else.
                    await self._end(session, message_id, MessageState.UNCONFIRMED, now)
        return len(left)

    async def _recover(self, session: AsyncSession, row: Message, now: datetime) -> int:
        await settling.unknown(session, row, now, killed=True)
        return 1

    def recover_first(self) -> None:
        """Claim nothing until what another process may have been sending is recovered."""
        self._recovers = True
        self._deps.bells.outbox.set()

    async def run(self) -> None:
        """Send whatever falls due until :meth:`stop`; a failing message stops no other."""
        bell = self._deps.bells.outbox
        while not self._stopping:
            bell.clear()
            wait_s = 1.0
            try:
                wait_s = await self.round()
                self._outages.over("outbox_failed")
            except Exception as error:
                self._outages.failed("the outbox could not be read", error, "outbox_failed")
            if wait_s > 0:
                try:
                    await asyncio.wait_for(bell.wait(), wait_s)
                except TimeoutError:
                    continue
        await self._land()

    async def stop(self) -> None:
        """Claim nothing more, let what is in the air land, and record it."""
        self._stopping = True
        self._deps.bells.outbox.set()
        self.line.close()
        await self._land()

    async def _land(self) -> None:
        """Record each send as it lands: what is known must not wait for one that hangs."""
        while self._sends or self._done:
            if self._sends:
                await asyncio.wait(self._sends, return_when=asyncio.FIRST_COMPLETED)
            try:
                await self._settle()
            except Exception as error:
                self._outages.failed("results were not recorded", error, "outbox_failed")
                return

    async def round(self) -> float:
        """Settle what came back, hand free senders what is due; return seconds to wait."""
        await self._settle()
        self.line.probe_if_doubtful()
        if self._recovers and not self._sends:
            await self.recover()
            self._recovers = False
        free = 0 if self._recovers else SENDERS - len(self._sends)
        if free == 0 or self._stopping:
            # A send that lands rings the bell.
            return 60.0
        if self._pace.wait_s > 0:
            return self._pace.wait_s
        if free <= KEPT_FOR_DANGER:
            # In full flow the next landing comes sooner, and whoever takes its place sees danger.
            rest_s = self._taken_s + _DANGER_LOOK_S - self._deps.clock.monotonic()
            if rest_s > 0:
                return rest_s
        self._taken_s = self._deps.clock.monotonic()
        taken, wait_s = await self._take(free)
        for each in taken:
            self._busy_of(each).add(each.outgoing.chat_id)
            task = asyncio.create_task(self._send(each))  # noqa: TID251 - kept in _sends, awaited by stop
            self._sends.add(task)
            task.add_done_callback(self._landed)
        return wait_s

    def _busy_of(self, taken: _Taken) -> set[int]:
        return self._busy_danger if taken.lane is Lane.DANGER else self._busy

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._deps.bells.outbox.set()

    async def _take(self, free: int) -> tuple[list[_Taken], float]:
        """Commit ``sending`` for as many messages as there are free senders and the pace allows.

        The last of them take danger only.
        Returns them with the seconds to wait before the next look.
        """
        now = self._deps.clock.now()
        resting = self._pace.resting()
        closed = self._busy_danger.union(resting)
        few = free <= KEPT_FOR_DANGER
        danger_only = few or self.line.danger_only
        # An empty look takes no writing transaction; in full flow it would only cost time.
        if few or not self._flowing:
            async with self._deps.database.read() as session:
                look = partial(
                    outbox.claimable,
                    session,
                    now,
                    limit=1,
                    resting=closed,
                    busy=self._busy,
                    danger_only=danger_only,
                )
                if not await look():
                    return [], await self._until_next(session, now, resting)
                held = await holding.held(session)
                if held is not None and not await look(answers_above=held.above):
                    # Another process releases, and rings no bell here.
                    return [], min(await self._until_next(session, now, resting), _HELD_LOOK_S)
        taken: list[_Taken] = []
        async with self._deps.database.write(Priority.RESULT) as session:
            held = await holding.held(session)
            rows = await outbox.claimable(
                session,
                now,
                limit=free,
                resting=closed,
                busy=self._busy,
                danger_only=danger_only,
                answers_above=held.above if held else None,
                for_update=not self._deps.database.is_sqlite,
            )
            situations = await self._situations(session, rows)
            reached = await self._reached(session, rows, now)
            chats: set[int] = set()
            for row in rows:
                if self._pace.wait_s > 0:
                    break
                kept = free - len(taken) <= KEPT_FOR_DANGER and row.lane is not Lane.DANGER
                if row.chat_id in chats or kept:
                    continue
                if self._fuse_blows(row, reached):
                    await self._rest(session, row, now)
                    continue
                chats.add(row.chat_id)
                outgoing = await self._prepare(session, row, situations, now)
                if outgoing is not None:
                    self._pace.take(row.chat_id)
                    taken.append(_Taken(row.id or 0, row.lane, row.expires_at, outgoing))
        self._flowing = bool(rows)
        return taken, self._pace.wait_s

    async def _reached(
        self, session: AsyncSession, rows: Sequence[Message], now: datetime
    ) -> dict[int, tuple[int, int]]:
        """Return what left for each patient within the window of the fuse."""
        patients = {row.patient_id or 0 for row in rows if row.practitioner_id is None}
        since = now - rules.FUSE_WINDOW
        return await told.reached_since(session, patients - {0}, since, now)

    def _fuse_blows(self, row: Message, reached: Mapping[int, tuple[int, int]]) -> bool:
        """Say whether a patient has had so much within the hour that no more goes now."""
        if row.patient_id is None or row.practitioner_id is not None:
            return False
        sent, sent_unasked = reached.get(row.patient_id, (0, 0))
        return rules.fuse_blows(row.lane, unasked=row.unasked, sent=sent, sent_unasked=sent_unasked)

    async def _rest(self, session: AsyncSession, row: Message, now: datetime) -> None:
        """Let what is too much for one patient wait; the leads hear of it."""
        row.lease_until = now + _FUSE_REST
        session.add(row)
        log.error("too much for one patient", extra={"action": "fuse", "message_id": row.ref})
        patient = await people.patient(session, row.patient_id or 0)
        most = rules.MOST_UNASKED_AN_HOUR if row.unasked else rules.MOST_AN_HOUR
        values = {"patient": words.name_of(session, patient), "how_many": most}
        await trouble.raise_(session, Cause.FUSE, now, values)

    async def _until_next(
        self, session: AsyncSession, now: datetime, resting: Mapping[int, float]
    ) -> float:
        due_at = await outbox.next_due_at(session, now)
        waits = [60.0, *resting.values()]
        if due_at is not None:
            waits.append((due_at - now).total_seconds())
        if self._pace.closed_s > 0:
            waits.append(self._pace.closed_s)
        return max(0.001, min(waits))

    async def _end_broken(self, session: AsyncSession, row: Message, now: datetime) -> None:
        """End a message that cannot be made; if even telling somebody fails, end it without."""
        message_id = row.id or 0
        try:
            async with session.begin_nested():
                await settling.never(session, row, Reason.TEMPLATE_FAULT, now)
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            await self._end(session, message_id, MessageState.FAILED, now)

    async def _end(
        self, session: AsyncSession, message_id: int, state: MessageState, now: datetime
    ) -> None:
        """End a message and its reminders, and nothing else of what follows from it."""
        await outbox.end(session, message_id, state)
        arrived = state is MessageState.SENT
        await plans.finish_reminders(
            session,
            [message_id],
            ReminderState.SENT if arrived else ReminderState.UNDELIVERED,
            _END_REASONS[state],
            now,
        )

    async def _situations(
        self, session: AsyncSession, rows: Sequence[Message]
    ) -> dict[int, Situation]:
        """Return the situations of whoever the messages are for; none when one cannot be read.

        Then each message reads its own, and only that patient's cannot be made.
        """
        patient_ids = {row.patient_id or 0 for row in rows if _is_judged(row)}
        try:
            return await situation.read_all(session, patient_ids)
        except SQLAlchemyError:
            raise
        except Exception:
            return {}

    async def _prepare(
        self,
        session: AsyncSession,
        row: Message,
        situations: Mapping[int, Situation],
        now: datetime,
    ) -> Outgoing | None:
        """Ask the rules again and put the words on; nothing when it will not go now."""
        try:
            whole = situations.get(row.patient_id or 0) if _is_judged(row) else None
            if whole is None and _is_judged(row):
                whole = await situation.read(session, row.patient_id or 0)
            verdict = await dispatch.may_leave(session, row, whole, now)
            composed = (
                await compose.compose(session, self._deps, row, whole, now)
                if isinstance(verdict, Go)
                else None
            )
        except SQLAlchemyError:
            raise
        except Exception as error:
            # One message that cannot be made must not hold up those behind it.
            log.error(
                "a text could not be made",
                extra={
                    "action": "text_failed",
                    "message_id": row.ref,
                    "template": row.template,
                    "cause": type(error).__name__,
                },
            )
            await self._end_broken(session, row, now)
            return None
        if isinstance(verdict, Drop):
            await settling.drop(session, row, verdict.reason, now)
            return None
        if composed is None:
            row.lease_until = await dispatch.look_again_at(session, row, now)
            session.add(row)
            return None
        if await settling.overtaken(session, row):
            await settling.give_up(session, row, now)
            return None
        row.state = MessageState.SENDING
        row.attempts += 1
        row.lease_until = None
        row.template_version = composed.text_version
        row.sent_at = now
        sealed.write(session, row, sealed.read(session, row) | {"text": composed.html})
        session.add(row)
        return composed.outgoing

    async def _send(self, taken: _Taken) -> None:
        def left_s() -> float:
            # The commit before, or a first try, may have taken its time.
            if taken.expires_at is None:
                return math.inf
            return (taken.expires_at - self._deps.clock.now()).total_seconds()

        outcome = await self._deliver(taken.outgoing, left_s)
        self._done.append((taken, outcome))

    async def _deliver(self, outgoing: Outgoing, left_s: Callable[[], float]) -> Outcome:
        """Make what is made only now, and send it; what cannot be made never goes."""
        if outgoing.make is not None:
            try:
                outgoing = replace(outgoing, file=await outgoing.make(), make=None)
            except Exception as error:
                log.warning(
                    "a picture could not be made",
                    extra={"action": "picture_failed", "cause": type(error).__name__},
                )
                return sender.NeverWill(Reason.TEMPLATE_FAULT)
        return await sender.deliver(self._bot, outgoing, left_s)

    async def _settle(self) -> None:
        """Record every result that came back, in one commit."""
        done, self._done = self._done, []
        if not done:
            return
        now = self._deps.clock.now()
        try:
            async with self._deps.database.write(Priority.RESULT) as session:
                await self._record(session, done, now)
        except (OperationalError, InterfaceError):
            # What is known of a send must not be forgotten because the database is busy.
            self._done = done + self._done
            raise
        except Exception:
            log.exception("a result has no consequences", extra={"action": "outbox_failed"})
            await self._settle_one_by_one(done, now)
            return
        for taken, _ in done:
            self._busy_of(taken).discard(taken.outgoing.chat_id)

    async def _settle_one_by_one(
        self, done: Sequence[tuple[_Taken, Outcome]], now: datetime
    ) -> None:
        """Record each result alone; one whose consequences fail is at least not sent again."""
        for taken, outcome in done:
            try:
                async with self._deps.database.write(Priority.RESULT) as session:
                    await self._record(session, [(taken, outcome)], now)
            except (OperationalError, InterfaceError):
                self._done.append((taken, outcome))
                continue
            except Exception:
                arrived = isinstance(outcome, sender.Delivered)
                state = MessageState.SENT if arrived else MessageState.FAILED
                try:
                    async with self._deps.database.write(Priority.RESULT) as session:
                        await self._end(session, taken.message_id, state, now)
                except SQLAlchemyError:
                    # Until it is on record the chat stays as it is, and nothing goes twice.
                    self._done.append((taken, outcome))
                    continue
            self._busy_of(taken).discard(taken.outgoing.chat_id)

    async def _record(
        self,
        session: AsyncSession,
        done: Sequence[tuple[_Taken, Outcome]],
        now: datetime,
    ) -> None:
        outcomes = {taken.message_id: outcome for taken, outcome in done}
        # A tap may have proved meanwhile that an earlier copy arrived: that one is sent by now.
        rows = await outbox.being_sent(session, outcomes)
        for row in rows:
            self.line.heed(row.chat_id, outcomes[row.id or 0])
        await settling.settle(session, [(row, outcomes[row.id or 0]) for row in rows], now)


def _is_judged(row: Message) -> bool:
    """Say whether a message belongs to a patient's visit, and so may carry reminders."""
    return row.patient_id is not None and row.practitioner_id is None and row.visit_id is not None
