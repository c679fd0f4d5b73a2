"""Working the inbox off: chats in parallel, each in order; effect and "handled" in one commit."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from telegram import Bot
from telegram import Update as TelegramUpdate
from telegram.error import TelegramError

from bot.domain.states import PatientState, UpdateState
from bot.services import intake
from bot.services.deps import Deps
from bot.services.errors import CareError
from bot.services.turn import Account, Turn, current_turn
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import inbox

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
WORKERS = 8
_BATCH = 64
_ANSWER_TIMEOUT_S = 2.0
Process = Callable[[TelegramUpdate], Awaitable[None]]


class Inbox:
    """Hands stored updates to the handlers until stopped."""

    def __init__(self, deps: Deps, telegram_bot: Bot, process: Process) -> None:
        """Parse with ``telegram_bot`` and hand each update to ``process`` within a turn."""
        self._deps = deps
        self._bot = telegram_bot
        self._process = process
        self._chats: dict[int | None, asyncio.Task[None]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._room = asyncio.Semaphore(WORKERS)

    @property
    def idle(self) -> bool:
        """Whether nothing is being handled."""
        return not self._chats and not self._answers

    async def run(self) -> None:
        """Handle what waits, and again whenever the bell rings, until :meth:`stop`."""
        bell = self._deps.bells.inbox
        while not self._stopping:
            bell.clear()
            try:
                await self._start_waiting()
            except Exception:
                log.exception("the inbox could not be read", extra={"action": "inbox_failed"})
            try:
                await asyncio.wait_for(bell.wait(), 1.0)
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Begin nothing more and let what is being handled end."""
        self._stopping = True
        self._deps.bells.inbox.set()
        tasks = [*self._chats.values(), *self._answers]
        if tasks:
            await asyncio.wait(tasks)

    async def _start_waiting(self) -> None:
        async with self._deps.database.read() as session:
            waiting = await inbox.waiting(session, limit=_BATCH)
        chats: dict[int | None, list[int]] = {}
        for update_id, chat_id in waiting:
            if chat_id not in self._chats:
                chats.setdefault(chat_id, []).append(update_id)
        for chat_id, update_ids in chats.items():
            task = asyncio.create_task(self._work_off(update_ids))  # noqa: TID251 - kept in _chats, awaited by stop
            self._chats[chat_id] = task
            task.add_done_callback(partial(self._chat_done, chat_id))

    def _chat_done(self, chat_id: int | None, _task: asyncio.Task[None]) -> None:
        self._chats.pop(chat_id, None)
        self._deps.bells.inbox.set()

    async def _work_off(self, update_ids: list[int]) -> None:
        async with self._room:
            for update_id in update_ids:
                if self._stopping or not await self._handle(update_id):
                    return

    async def _handle(self, update_id: int) -> bool:
        """Handle one update; false when it must be tried again before its chat goes on."""
        try:
            await self._handle_once(update_id)
        except Exception as error:
            log.error(
                "an update could not be handled",
                extra={"action": "handler_failed", "update_id": update_id, "cause": _where(error)},
            )
            return await self._count_failure(update_id)
        return True

    async def _handle_once(self, update_id: int) -> None:
        query_id: str | None = None
        toast = ""
        async with self._deps.database.write(Priority.INBOX) as session:
            row = await inbox.take(session, update_id)
            if row is None:
                return
            raw = sealed.read(session, row)
            update = _parse(raw, self._bot)
            now = self._deps.clock.now()
            turn = await intake.open_turn(session, self._deps, update_id, now, _account(raw))
            if turn is None and (group := _group(raw)) is not None:
                await inbox.settle(session, update_id, UpdateState.HANDLED, now)
                self._after_commit(self._leave(group))
                return
            if update is None or turn is None:
                await inbox.settle(session, update_id, UpdateState.QUARANTINED, now)
                return
            if turn.patient is not None and turn.patient.state is not PatientState.ERASED:
                turn.patient.last_heard_at = now
                session.add(turn.patient)
            query = update.callback_query
            if query is not None:
                query_id = query.id
                turn.tapped = True
                turn.message_id = query.message.message_id if query.message else None
            elif update.effective_message is not None:
                turn.message_id = update.effective_message.message_id
            toast = await self._run(turn, update)
            await inbox.settle(session, update_id, UpdateState.HANDLED, now)
        self._deps.bells.ring()
        if query_id is not None:
            self._after_commit(self._answer_query(query_id, toast))

    async def _run(self, turn: Turn, update: TelegramUpdate) -> str:
        """Let the handlers work; return the toast of a tap.

        They work in a savepoint: what cannot be done changes nothing, and is still answered.
        """
        token = current_turn.set(turn)
        try:
            async with turn.session.begin_nested():
                await self._process(update)
                if turn.failure is not None:
                    raise turn.failure
        except CareError as refusal:
            # Everything read before was rolled back with the savepoint: read who asks again.
            again = await intake.open_turn(
                turn.session, self._deps, turn.update_id, turn.now, turn.account
            )
            if again is None:
                return ""
            again.tapped, again.message_id = turn.tapped, turn.message_id
            turn = again
            await intake.refuse(turn, refusal)
        finally:
            current_turn.reset(token)
        if not turn.toast:
            return ""
        return self._deps.catalogue.label(turn.language, "toasts", turn.toast)

    async def _count_failure(self, update_id: int) -> bool:
        """Count the attempt; after the third the update is quarantined and its sender is told."""
        async with self._deps.database.write(Priority.INBOX) as session:
            attempts = await inbox.count_attempt(session, update_id)
            if attempts < MAX_ATTEMPTS:
                return False
            now = self._deps.clock.now()
            row = await inbox.take(session, update_id)
            await inbox.settle(session, update_id, UpdateState.QUARANTINED, now)
            if row is not None:
                raw = sealed.read(session, row)
                turn = await intake.open_turn(session, self._deps, update_id, now, _account(raw))
                if turn is not None:
                    turn.message_id = (raw.get("message") or {}).get("message_id")
                    await intake.apologise(turn)
        self._deps.bells.ring()
        return True

    def _after_commit(self, call: Coroutine[Any, Any, None]) -> None:
        """Let a call that says nothing to anybody go straight out, beside the work."""
        task = asyncio.create_task(call)  # noqa: TID251 - kept in _answers, awaited by stop
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _leave(self, chat_id: int) -> None:
        """Leave a group or channel: the bot speaks in private chats only."""
        try:
            await self._bot.leave_chat(chat_id)
        except TelegramError as error:
            log.info(
                "a group could not be left",
                extra={"action": "group_not_left", "cause": type(error).__name__},
            )

    async def _answer_query(self, query_id: str, toast: str) -> None:
        """Take the spinner off a tapped button; a query too old for that undoes nothing."""
        try:
            await self._bot.answer_callback_query(
                query_id, toast or None, read_timeout=_ANSWER_TIMEOUT_S
            )
        except TelegramError as error:
            log.info(
                "a tap could not be answered",
                extra={"action": "tap_not_answered", "cause": type(error).__name__},
            )


def _parse(raw: dict[str, Any], telegram_bot: Bot) -> TelegramUpdate | None:
    """Return the update as the library's object; nothing when it has not the shape of one."""
    try:
        return TelegramUpdate.de_json(raw, telegram_bot)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _account(raw: dict[str, Any]) -> Account | None:
    """Return who spoke in a private chat; nothing for groups, channels and other bots."""
    for kind in ("message", "edited_message", "callback_query", "my_chat_member"):
        part = raw.get(kind)
        if not isinstance(part, dict):
            continue
        sender = part.get("from")
        chat = part.get("chat") or (part.get("message") or {}).get("chat") or {}
        private = kind == "callback_query" or chat.get("type") == "private"
        if not isinstance(sender, dict) or sender.get("is_bot") or not private:
            return None
        return Account(
            id=int(sender["id"]),
            first_name=str(sender.get("first_name", "")),
            username=str(sender.get("username", "")),
            language_code=str(sender.get("language_code", "")),
        )
    return None


def _group(raw: dict[str, Any]) -> int | None:
    """Return the group or channel that an update comes from, if it comes from one."""
    for kind in ("message", "edited_message", "my_chat_member"):
        chat = (raw.get(kind) or {}).get("chat") or {}
        if chat.get("type") in ("group", "supergroup", "channel"):
            return int(chat["id"])
    return None


def _where(error: BaseException) -> str:
    """Return an error's kind and place, without its text: that may quote a person."""
    trace, last = error.__traceback__, None
    while trace is not None:
        last, trace = trace, trace.tb_next
    place = (
        ""
        if last is None
        else f"{last.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{last.tb_lineno}"
    )
    return f"{type(error).__name__} at {place}"
