"""Taking messages from the outbox to Telegram: ask the rules, commit ``sending``, send, settle."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession
from telegram import Bot

from bot.domain import rules
from bot.domain.rules import Drop, GiveUp, Go, Standing
from bot.domain.states import Lane, MessageState, PatientState, Reason, ReminderState
from bot.domain.times import QuietHours, is_quiet
from bot.outgoing import sender
from bot.outgoing.pace import Pace
from bot.outgoing.sender import Outcome, Outgoing
from bot.outgoing.texts import TextError
from bot.services import compose, dispatch, reach, situation
from bot.services.deps import Deps
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import outbox, people, plans
from bot.storage.tables import Message, Patient

log = logging.getLogger(__name__)

# Fixed senders and no more: the HTTP pool gets slower with more (engine.md, pitfall 2).
SENDERS = 8
_FIRST_BACKOFF = timedelta(seconds=1)
_LONGEST_BACKOFF = timedelta(seconds=60)
_REFUSED_PAUSE_S = 10.0


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message in a sender's hands."""

    message_id: int
    outgoing: Outgoing


class Delivery:
    """The outbox's only way out; one of it runs for a bot."""

    def __init__(self, deps: Deps, telegram_bot: Bot, pace: Pace) -> None:
        """Prepare to send through ``telegram_bot``, no faster than ``pace`` allows."""
        self._deps = deps
        self._bot = telegram_bot
        self._pace = pace
        self._busy: dict[int, int] = {}
        self._sends: set[asyncio.Task[None]] = set()
        self._done: list[tuple[int, Outcome]] = []
        self._stopping = False
        self.refused: str | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing is in a sender's hands or waits to be settled."""
        return not self._sends and not self._done

    async def recover(self) -> int:
        """Treat what a killed process was sending as unknown; return how many there were."""
        now = self._deps.clock.now()
        async with self._deps.database.write(Priority.RESULT) as session:
            left = await outbox.left_sending(session)
            for row in left:
                await self._unknown(session, row, now)
        return len(left)

    async def run(self) -> None:
        """Send whatever falls due until :meth:`stop`; a failing message stops no other."""
        bell = self._deps.bells.outbox
        while not self._stopping:
            bell.clear()
            wait_s = 1.0
            try:
                wait_s = await self.round()
            except Exception:
                log.exception("the outbox could not be read", extra={"action": "outbox_failed"})
            if wait_s > 0:
                try:
                    await asyncio.wait_for(bell.wait(), wait_s)
                except TimeoutError:
                    continue

    async def stop(self) -> None:
        """Claim nothing more, let what is in the air land, and record it."""
        self._stopping = True
        self._deps.bells.outbox.set()
        if self._sends:
            await asyncio.wait(self._sends)
        await self._settle()

    async def round(self) -> float:
        """Settle what came back, hand free senders what is due; return seconds to wait."""
        await self._settle()
        free = SENDERS - len(self._sends)
        if free == 0:
            return 1.0
        blocked_s = self._pace.wait_s(0)
        if blocked_s > 0:
            return blocked_s
        taken, wait_s = await self._take(free)
        for each in taken:
            self._busy[each.outgoing.chat_id] = each.message_id
            task = asyncio.create_task(self._send(each))  # noqa: TID251 - kept in _sends, awaited by stop
            self._sends.add(task)
            task.add_done_callback(self._landed)
        return 0.0 if taken and len(self._sends) < SENDERS else wait_s

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._sends.discard(task)
        self._deps.bells.outbox.set()

    async def _take(self, free: int) -> tuple[list[_Taken], float]:
        """Commit ``sending`` for as many messages as there are free senders."""
        now = self._deps.clock.now()
        taken: list[_Taken] = []
        wait_s = 1.0
        async with self._deps.database.read() as session:
            if not await outbox.claimable(
                session, now, limit=1, busy_chats=self._busy, for_update=False
            ):
                return [], await self._until_next(session, now)
        async with self._deps.database.write(Priority.RESULT) as session:
            rows = await outbox.claimable(
                session,
                now,
                limit=free * 4,
                busy_chats=self._busy,
                for_update=not self._deps.database.is_sqlite,
            )
            chats: set[int] = set()
            for row in rows:
                if row.chat_id in chats:
                    continue
                chats.add(row.chat_id)
                pause_s = self._pace.wait_s(row.chat_id)
                if pause_s > 0:
                    wait_s = min(wait_s, pause_s)
                    continue
                outgoing = await self._prepare(session, row, now)
                if outgoing is not None:
                    self._pace.take(row.chat_id)
                    taken.append(_Taken(row.id or 0, outgoing))
                if len(taken) == free:
                    break
        return taken, wait_s

    async def _until_next(self, session: AsyncSession, now: datetime) -> float:
        due_at = await outbox.next_due_at(session, now)
        return 60.0 if due_at is None else min(60.0, max(0.01, (due_at - now).total_seconds()))

    async def _prepare(self, session: AsyncSession, row: Message, now: datetime) -> Outgoing | None:
        """Ask the rules again and put the words on; nothing when it will not go now."""
        verdict = await self._judge(session, row, now)
        if isinstance(verdict, Drop):
            await self._drop(session, row, verdict.reason, now)
            return None
        if not isinstance(verdict, Go):
            row.lease_until = now + timedelta(seconds=60)
            session.add(row)
            return None
        try:
            composed = await compose.compose(session, self._deps, row, now)
        except TextError as error:
            log.error(
                "a text could not be made",
                extra={"action": "text_failed", "message_id": row.ref, "template": error.template},
            )
            await self._never(session, row, Reason.TEMPLATE_FAULT, now)
            return None
        row.state = MessageState.SENDING
        row.attempts += 1
        row.lease_until = None
        row.template_version = composed.text_version
        row.sent_at = now
        sealed.write(session, row, sealed.read(session, row) | {"text": composed.html})
        session.add(row)
        return composed.outgoing

    async def _judge(self, session: AsyncSession, row: Message, now: datetime) -> rules.Verdict:
        if row.practitioner_id is not None:
            person = await people.practitioner(session, row.practitioner_id)
            if person.removed_at is not None:
                return Drop(Reason.NOT_ACTIVE)
            late = row.expires_at is not None and now >= row.expires_at
            if late:
                return Drop(Reason.TOO_LATE)
            return await self._still_wanted(session, row)
        if row.patient_id is None:
            late = row.expires_at is not None and now >= row.expires_at
            return Drop(Reason.TOO_LATE) if late else Go()
        if row.follows_id is not None:
            first = await outbox.message(session, row.follows_id)
            if first is not None and first.state in (MessageState.DROPPED, MessageState.FAILED):
                return Drop(first.reason or Reason.REPLACED)
        reminders = await plans.reminders_of_message(session, row.id or 0)
        if reminders:
            whole = await situation.read(session, row.patient_id)
            return rules.may_go(dispatch.standing(whole, reminders, now), now)
        patient = await people.patient(session, row.patient_id)
        clinic = await people.clinic(session, row.clinic_id)
        zone = ZoneInfo(patient.timezone or clinic.timezone)
        return rules.may_go(
            Standing(
                lane=row.lane,
                unasked=row.unasked,
                safety=False,
                expires_at=row.expires_at,
                patient=patient.state,
                course=None,
                paused=False,
                quiet=is_quiet(now, zone, QuietHours(patient.quiet_start, patient.quiet_end)),
            ),
            now,
        )

    async def _still_wanted(self, session: AsyncSession, row: Message) -> rules.Verdict:
        """A nudge to confirm somebody goes only while that person still waits."""
        if row.template == reach.NUDGE and row.patient_id is not None:
            patient = await people.patient(session, row.patient_id)
            if patient.state is not PatientState.OPENED or patient.confirmed_at is not None:
                return Drop(Reason.REPLACED)
        return Go()

    async def _send(self, taken: _Taken) -> None:
        outcome = await sender.deliver(self._bot, taken.outgoing)
        self._done.append((taken.message_id, outcome))
        self._busy.pop(taken.outgoing.chat_id, None)

    async def _settle(self) -> None:
        """Record every result that came back, in one commit."""
        done, self._done = self._done, []
        if not done:
            return
        now = self._deps.clock.now()
        try:
            async with self._deps.database.write(Priority.RESULT) as session:
                for message_id, outcome in done:
                    row = await outbox.message(session, message_id)
                    if row is not None:
                        await self._record(session, row, outcome, now)
        except Exception:
            # What is known of a send must not be forgotten because the database is busy.
            self._done = done + self._done
            raise

    async def _record(
        self, session: AsyncSession, row: Message, outcome: Outcome, now: datetime
    ) -> None:
        match outcome:
            case sender.Delivered(message_id=telegram_id):
                self.refused = None
                await self._sent(session, row, telegram_id, now)
            case sender.NotSent(wait=wait, flood=flood):
                await self._not_sent(session, row, wait, now, flood=flood)
            case sender.NeverWill(reason=reason):
                await self._never(session, row, reason, now)
            case sender.TargetGone():
                row.method, row.target_message_id = "text", None
                await outbox.put_back(session, row, now=now, wait=timedelta())
            case sender.Refused(cause=cause):
                self.refused = cause
                self._pace.close(_REFUSED_PAUSE_S)
                log.error("Telegram refuses this bot", extra={"action": "refused", "cause": cause})
                await outbox.put_back(session, row, now=now, wait=timedelta())
            case sender.Unknown(cause=cause):
                log.warning(
                    "a send was not answered",
                    extra={"action": "send_unknown", "message_id": row.ref, "cause": cause},
                )
                await self._unknown(session, row, now)

    async def _sent(
        self, session: AsyncSession, row: Message, telegram_id: int, now: datetime
    ) -> None:
        row.state = MessageState.SENT
        row.telegram_message_id = telegram_id
        row.sent_at = now
        content = sealed.read(session, row)
        # The link was the secret; what it pictured is gone once it is delivered.
        content.pop("file", None)
        sealed.write(session, row, content)
        session.add(row)
        await plans.finish_reminders(session, row.id or 0, ReminderState.SENT, None, now)
        log.info("delivered", extra={"action": "delivered", "message_id": row.ref})

    async def _not_sent(
        self,
        session: AsyncSession,
        row: Message,
        wait: timedelta | None,
        now: datetime,
        *,
        flood: bool,
    ) -> None:
        if wait is None:
            wait = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2 ** min(row.attempts, 10))
        if flood:
            self._pace.close_chat(row.chat_id, wait.total_seconds())
        await outbox.put_back(session, row, now=now, wait=wait)

    async def _never(
        self, session: AsyncSession, row: Message, reason: Reason, now: datetime
    ) -> None:
        row.state, row.reason = MessageState.FAILED, reason
        session.add(row)
        log.warning(
            "a message cannot be delivered",
            extra={"action": "undeliverable", "message_id": row.ref, "reason": reason.value},
        )
        await plans.finish_reminders(session, row.id or 0, ReminderState.UNDELIVERED, reason, now)
        patient = await self._patient_reached(session, row)
        if patient is not None:
            await reach.lost(session, patient, reason, now)

    async def _patient_reached(self, session: AsyncSession, row: Message) -> Patient | None:
        """Return whom the message was for, if that is a patient."""
        if row.practitioner_id is not None or row.patient_id is None:
            return None
        return await people.patient(session, row.patient_id)

    async def _drop(
        self, session: AsyncSession, row: Message, reason: Reason, now: datetime
    ) -> None:
        row.state, row.reason = MessageState.DROPPED, reason
        session.add(row)
        await plans.finish_reminders(session, row.id or 0, rules.state_for(reason), reason, now)

    async def _unknown(self, session: AsyncSession, row: Message, now: datetime) -> None:
        """Cool down, then repeat once or give up, as the lane says (promises.md 2.2)."""
        row.maybe_copies += 1
        verdict = rules.after_unknown(
            row.lane,
            row.method,
            row.maybe_copies,
            heard_since=await self._heard_since(session, row),
        )
        if isinstance(verdict, GiveUp):
            row.state, row.reason = MessageState.UNCONFIRMED, Reason.UNCONFIRMED
            session.add(row)
            await plans.finish_reminders(
                session, row.id or 0, ReminderState.UNDELIVERED, Reason.UNCONFIRMED, now
            )
            return
        wait = timedelta() if row.lane is Lane.DANGER else rules.COOL_DOWN
        await outbox.put_back(session, row, now=now, wait=wait)

    async def _heard_since(self, session: AsyncSession, row: Message) -> bool:
        if row.patient_id is None or row.practitioner_id is not None or row.sent_at is None:
            return False
        patient = await people.patient(session, row.patient_id)
        return patient.last_heard_at is not None and patient.last_heard_at > row.sent_at
