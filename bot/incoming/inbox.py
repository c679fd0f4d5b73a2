"""Working the inbox off: chats in parallel, each in order; effect and "handled" in one commit."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from sqlalchemy.exc import InterfaceError, OperationalError, SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession
from telegram import Bot
from telegram import Update as TelegramUpdate
from telegram.error import TelegramError

from bot.domain import typed
from bot.domain.states import PatientState, UpdateState
from bot.incoming.poll import id_of
from bot.logs import Outages
from bot.services import holding, intake, reach
from bot.services.deps import Deps
from bot.services.errors import CareError
from bot.services.turn import Account, Turn, current_turn
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import inbox
from bot.storage.tables import Update
from bot.storage.vault import VaultError

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
WORKERS = 8
_BATCH = 64
_ANSWER_TIMEOUT_S = 2.0
# How long an update rests after the database failed it: that is no fault of the update's.
_STORAGE_PAUSE_S = 1.0
_LONGEST_SLEEP_S = 60.0
# As long as Telegram lets a name be; what it takes as a username, and signs that look like its @.
_NAME_LENGTH = 64
_USERNAME = re.compile("[A-Za-z0-9_]")
_AT_SIGNS = re.compile("[@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}]")
Process = Callable[[TelegramUpdate], Awaitable[None]]
Call = Callable[[], Coroutine[Any, Any, None]]


class Inbox:
    """Hands stored updates to the handlers until stopped."""

    def __init__(self, deps: Deps, telegram_bot: Bot, process: Process) -> None:
        """Parse with ``telegram_bot`` and hand each update to ``process`` within a turn."""
        self._deps = deps
        self._bot = telegram_bot
        self._process = process
        self._chats: dict[int | None, asyncio.Task[None]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._outages = Outages(log)
        self._room = asyncio.Semaphore(WORKERS)

    @property
    def idle(self) -> bool:
        """Whether nothing is being handled."""
        return not self._chats and not self._answers

    async def run(self) -> None:
        """Handle what waits, and again whenever the bell rings, until :meth:`stop`."""
        bell = self._deps.bells.inbox
        while not self._stopping.is_set():
            bell.clear()
            wait_s = _LONGEST_SLEEP_S
            try:
                more = await self._start_waiting()
                self._outages.over("inbox_failed")
                if more:
                    continue
            except Exception as error:
                self._outages.failed("the inbox could not be read", error, "inbox_failed")
                wait_s = _STORAGE_PAUSE_S
            with suppress(TimeoutError):
                await asyncio.wait_for(bell.wait(), wait_s)

    async def stop(self) -> None:
        """Begin nothing more and let what is being handled end."""
        self._stopping.set()
        self._deps.bells.inbox.set()
        while tasks := [*self._chats.values(), *self._answers]:
            await asyncio.wait(tasks)

    async def _start_waiting(self) -> bool:
        """Give each chat that waits its worker; say whether more may wait than one look took."""
        async with self._deps.database.read() as session:
            look = partial(inbox.waiting, session, limit=_BATCH, busy=self._chats.keys())
            waiting = await look()
            held = await holding.held(session) if waiting else None
            if held is not None and held.updates:
                waiting = await look(aside=held.updates)
        chats: dict[int | None, list[int]] = {}
        for update_id, chat_id in waiting:
            chats.setdefault(chat_id, []).append(update_id)
        for chat_id, update_ids in chats.items():
            task = asyncio.create_task(self._work_off(update_ids))  # noqa: TID251 - kept in _chats, awaited by stop
            self._chats[chat_id] = task
            task.add_done_callback(partial(self._chat_done, chat_id))
        return len(waiting) == _BATCH

    def _chat_done(self, chat_id: int | None, _task: asyncio.Task[None]) -> None:
        self._chats.pop(chat_id, None)
        self._deps.bells.inbox.set()

    async def _work_off(self, update_ids: list[int]) -> None:
        async with self._room:
            for update_id in update_ids:
                if self._stopping.is_set() or not await self._handle(update_id):
                    return

    async def _handle(self, update_id: int) -> bool:
        """Handle one update; false when it must be tried again before its chat goes on."""
        try:
            try:
                await self._handle_once(update_id)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:
                log.error(
                    "an update could not be handled",
                    extra={
                        "action": "handler_failed",
                        "update_id": update_id,
                        "cause": _where(error),
                    },
                )
                return await self._count_failure(update_id)
        except SQLAlchemyError as error:
            log.error(
                "the database failed an update",
                extra={"action": "inbox_failed", "update_id": update_id, "cause": _where(error)},
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), _STORAGE_PAUSE_S)
            return False
        return True

    async def _handle_once(self, update_id: int) -> None:
        async with self._deps.database.write(Priority.TURN) as session:
            afterwards = await self._within(session, update_id)
        self._deps.bells.ring()
        if afterwards is not None:
            self._after_commit(afterwards())

    async def _within(self, session: AsyncSession, update_id: int) -> Call | None:
        """Do an update's whole work in the transaction; return the call that follows its commit."""
        row = await inbox.take(session, update_id)
        if row is None:
            return None
        raw = sealed.read(session, row)
        update = _parse(raw, self._bot)
        now = self._deps.clock.now()
        turn = await intake.open_turn(session, self._deps, update_id, now, _account(raw))
        if turn is None and (group := _group(raw)) is not None:
            await inbox.settle(session, update_id, UpdateState.HANDLED, now)
            return partial(self._leave, group)
        if update is None or turn is None:
            await self._set_aside(session, update_id, raw)
            return None
        if turn.patient is not None and turn.patient.state is not PatientState.ERASED:
            turn.patient.last_heard_at = now
            session.add(turn.patient)
        if turn.practitioner is not None and update.my_chat_member is None:
            await reach.hear_from(session, turn.practitioner, now)
        query = update.callback_query
        if query is not None:
            turn.tapped = True
            turn.message_id = query.message.message_id if query.message else None
        elif update.effective_message is not None:
            turn.message_id = update.effective_message.message_id
        toast = await self._run(turn, update)
        await inbox.settle(session, update_id, UpdateState.HANDLED, now)
        return None if query is None else partial(self._answer_query, query.id, toast)

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
            if turn.has_turned:
                await again.await_text("")
            turn = again
            await intake.refuse(turn, refusal)
        finally:
            current_turn.reset(token)
        if not turn.toast:
            return ""
        return self._deps.catalogue.label(turn.language, "toasts", turn.toast)

    async def _count_failure(self, update_id: int) -> bool:
        """Count the attempt; after the third the update is set aside and its chat goes on."""
        async with self._deps.database.write(Priority.TURN) as session:
            if await inbox.count_attempt(session, update_id) < MAX_ATTEMPTS:
                return False
            row = await inbox.take(session, update_id)
            if row is not None:
                await self._set_aside(session, update_id, _readable(session, row))
        self._deps.bells.ring()
        return True

    async def _set_aside(self, session: AsyncSession, update_id: int, raw: dict[str, Any]) -> None:
        """Quarantine an update; its sender is told, and what a patient sent reaches the clinic."""
        now = self._deps.clock.now()
        await inbox.settle(session, update_id, UpdateState.QUARANTINED, now)
        log.error(
            "an update was set aside", extra={"action": "quarantined", "update_id": update_id}
        )
        # Passing it on may be the very thing that fails: then the sender is told at least.
        for passes_on in (True, False):
            try:
                async with session.begin_nested():
                    turn = await intake.open_turn(
                        session, self._deps, update_id, now, _account(raw)
                    )
                    if turn is not None:
                        turn.message_id = _message_id(raw)
                        await intake.apologise(turn, _tapped(raw), passes_on=passes_on)
            except (OperationalError, InterfaceError):
                raise
            except Exception as error:
                log.error(
                    "what was set aside could not be passed on",
                    extra={
                        "action": "handler_failed",
                        "update_id": update_id,
                        "cause": _where(error),
                    },
                )
            else:
                return

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
    except Exception:
        # A wrong shape breaks the library anywhere: at a key, a type, a date, a recursion.
        return None


def _part(value: object, key: str) -> dict[str, Any]:
    """Return the object under a key of something that should be one; empty when it is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _account(raw: dict[str, Any]) -> Account | None:
    """Return who spoke in a private chat; nothing for groups, channels and other bots."""
    for kind in ("message", "edited_message", "callback_query", "my_chat_member"):
        part = _part(raw, kind)
        if not part:
            continue
        sender = _part(part, "from")
        chat = _part(part, "chat") or _part(_part(part, "message"), "chat")
        # A tap tells its presser; one in a group is none of ours all the same.
        private = chat.get("type") == "private" or (kind == "callback_query" and not chat)
        number = id_of(sender)
        if number is None or sender.get("is_bot") or not private:
            return None
        return Account(
            id=number,
            first_name=_name(sender, "first_name"),
            username="".join(_USERNAME.findall(str(sender.get("username") or ""))),
            language_code=str(sender.get("language_code", "")),
            last_name=_name(sender, "last_name"),
        )
    return None


def _name(sender: dict[str, Any], key: str) -> str:
    """Return a part of the name in one short line that cannot pass for a username."""
    plain = _AT_SIGNS.sub("", str(sender.get(key) or ""))
    return typed.one_line(plain)[:_NAME_LENGTH].rstrip()


def _group(raw: dict[str, Any]) -> int | None:
    """Return the group or channel that an update comes from, if it comes from one."""
    for kind in ("message", "edited_message", "callback_query", "my_chat_member"):
        part = _part(raw, kind)
        chat = _part(part, "chat") or _part(_part(part, "message"), "chat")
        if chat.get("type") in ("group", "supergroup", "channel"):
            return id_of(chat)
    return None


def _message_id(raw: dict[str, Any]) -> int | None:
    """Return the number of a message that was sent or changed; nothing for a tap."""
    sent = _part(raw, "message") or _part(raw, "edited_message")
    return id_of({"id": sent.get("message_id")})


def _tapped(raw: dict[str, Any]) -> str:
    """Return what stands on the button that was tapped, as the chat shows it."""
    query = _part(raw, "callback_query")
    rows = _part(_part(query, "message"), "reply_markup").get("inline_keyboard")
    for row in rows if isinstance(rows, list) else ():
        for button in row if isinstance(row, list) else ():
            if isinstance(button, dict) and button.get("callback_data") == query.get("data"):
                return str(button.get("text", ""))
    return ""


def _readable(session: AsyncSession, row: Update) -> dict[str, Any]:
    """Return the raw update; empty when its sealed column cannot be opened any more."""
    try:
        return sealed.read(session, row)
    except VaultError:
        return {}


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
