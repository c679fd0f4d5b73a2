"""The one exception to "first a row": the safety text, when a danger report cannot be stored."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from telegram import Bot

from bot.domain.states import Lane, MessageState, Reason
from bot.outgoing import buttons, catalogue, sender
from bot.outgoing.sender import Outcome, Outgoing
from bot.outgoing.texts import Rendered
from bot.services import answers, reporting, reports, words
from bot.services.deps import Deps, new_ref
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import people
from bot.storage.tables import Message

log = logging.getLogger(__name__)

TEMPLATE = "patient/not_saved"
PATIENCE_S = 1.0
_LOOK_EVERY_S = 0.5
_ONCE_IN_S = 600.0
_REFRESH_EVERY_S = 30.0
_AGAIN_S = 1.0
# Only patients who read something else than the rest of the clinic; a few bytes each.
_MOST_READERS = 100_000
# People's chats, as the database holds them as a number; groups are below zero.
_CHATS = range(1, 2**63)
# By the action of a button: the values that report danger.
_DANGER: Mapping[str, frozenset[str]] = {
    "step": answers.DANGER,
    "danger": answers.DANGER_ASKED,
    "trend": frozenset({"worse"}),
    "sign": frozenset(reporting.DANGER),
    "said": frozenset({"it_got_worse", "no_one_answers", "reached_no"}),
}
Raw = Sequence[dict[str, Any]]
T = TypeVar("T")


class _Reader(NamedTuple):
    """Whose numbers, in which language, and whether the reader lives in another zone."""

    clinic_id: int
    language: str
    other_zone: bool


class SafetyText:
    """Holds the texts ready, and sends one when what stores an update is slow or fails."""

    def __init__(self, deps: Deps, telegram_bot: Bot, patience_s: float = PATIENCE_S) -> None:
        """Send through ``telegram_bot`` once storing has taken longer than ``patience_s``."""
        self._deps = deps
        self._bot = telegram_bot
        self._patience_s = patience_s
        words_of = deps.catalogue
        self._labels = {
            words_of.label(each, "buttons", "something_wrong") for each in words_of.languages
        }
        self._usual = _Reader(0, catalogue.FALLBACK, other_zone=False)
        self._readers: Mapping[int, _Reader] = {}
        self._team: frozenset[int] = frozenset()
        self._texts: Mapping[_Reader, Rendered] = {}
        # Updates that come again and again while they cannot be stored, and chats that have theirs.
        self._answered: set[int] = set()
        self._not_before_s: dict[int, float] = {}
        self._sends: set[asyncio.Task[None]] = set()
        self._unrecorded: list[tuple[dict[str, Any], str]] = []
        self._bell = asyncio.Event()
        self._stopping = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing is in the air and nothing waits to be recorded."""
        return not self._sends and not self._unrecorded

    async def run(self) -> None:
        """Keep the texts fresh and record what has left, as soon as the database answers."""
        while not self._stopping.is_set():
            self._bell.clear()
            wait_s = await self._keep_up()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._bell.wait(), wait_s)
        if self._sends:
            await asyncio.wait(self._sends)
        await self._keep_up()

    def stop(self) -> None:
        """End once what is in the air has landed."""
        self._stopping.set()
        self._bell.set()

    async def _keep_up(self) -> float:
        """Do what needs the database; return the seconds until the next time."""
        try:
            await self._record()
            await self.refresh()
        except Exception as error:
            log.warning(
                "the safety text waits for the database",
                extra={"action": "safety_text_waits", "cause": type(error).__name__},
            )
        return _AGAIN_S if self._unrecorded else _REFRESH_EVERY_S

    async def refresh(self) -> None:
        """Hold ready what every reader would be sent, with the numbers as they are now.

        What fails here leaves the texts that were held before.
        """
        async with self._deps.database.read() as session:
            clinics = {each.id or 0: each for each in await people.clinics(session)}
            usual = next(iter(clinics.values()))
            apart = await people.readers_apart(session, usual, limit=_MOST_READERS)
            team = frozenset(await people.team_accounts(session))
        held = _Reader(usual.id or 0, usual.language, other_zone=False)
        readers = {chat: _Reader(clinic, lang, far) for chat, clinic, lang, far in apart}
        texts = {
            reader: self._deps.texts.render(
                reader.language,
                TEMPLATE,
                words.clinic_values(clinics[reader.clinic_id]) | {"other_zone": reader.other_zone},
            )
            for reader in {held, *readers.values()}
        }
        self._usual, self._readers, self._team, self._texts = held, readers, team, texts

    async def beside(
        self, storing: Awaitable[T], raw: Raw, look: Callable[[], Awaitable[Raw]] | None = None
    ) -> T:
        """Return what ``storing`` these updates returns, and answer the danger in them meanwhile.

        It is answered when storing takes longer than a second, or fails. Until then ``look`` gives
        what has come in since: a report must not wait behind another chat's update.
        """
        task, stored = asyncio.ensure_future(storing), raw
        try:
            await asyncio.wait({task}, timeout=self._patience_s)
            while not task.done():
                self._answer(raw)
                await asyncio.wait({task}, timeout=_LOOK_EVERY_S if look else None)
                if look is not None and not task.done():
                    raw = await look()
            if task.exception() is not None:
                self._answer(raw)
            elif self._answered:
                self._answered.difference_update(number for number, _ in self._dangers(stored))
            return task.result()
        finally:
            if task.cancel():
                # It ends before the database is closed, or its connection stays open.
                await asyncio.wait({task})

    def _answer(self, raw: Raw) -> None:
        """Send the safety text to whoever reports danger, once for an update and a chat."""
        now_s = self._deps.clock.monotonic()
        for number, chat_id in self._dangers(raw):
            if number in self._answered:
                continue
            self._answered.add(number)
            waits = {chat: at for chat, at in self._not_before_s.items() if at > now_s}
            if chat_id not in waits:
                waits[chat_id] = now_s + _ONCE_IN_S
                task = asyncio.create_task(self._send(number, chat_id))  # noqa: TID251 - kept in _sends, awaited by run
                self._sends.add(task)
                task.add_done_callback(self._sends.discard)
            self._not_before_s = waits

    def _dangers(self, raw: Raw) -> list[tuple[int, int]]:
        """Return update and chat of each danger report, told from the raw update alone."""
        found: list[tuple[int, int]] = []
        for update in raw:
            match update:
                case {
                    "update_id": int(number),
                    "callback_query": {"from": {"id": int(chat_id)}, "data": str(data)},
                } if _is_danger(data):
                    found.append((number, chat_id))
                case {
                    "update_id": int(number),
                    "message": {"chat": {"id": int(chat_id), "type": "private"}} as message,
                } if self._says_danger(chat_id, message):
                    found.append((number, chat_id))
        return [(number, chat_id) for number, chat_id in found if chat_id in _CHATS]

    def _says_danger(self, chat_id: int, message: Mapping[str, Any]) -> bool:
        said = message.get("text") or message.get("caption")
        if not isinstance(said, str):
            return False
        if said.strip() in self._labels or _is_command(said):
            return True
        # Words raise a patient's message only: a practitioner may write of pus.
        language = self._readers.get(chat_id, self._usual).language
        return chat_id not in self._team and reports.says_danger(
            self._deps.catalogue, language, said
        )

    async def _send(self, number: int, chat_id: int) -> None:
        """Send the text until Telegram has it, or the report is stored and the bot answers it."""
        reader = self._readers.get(chat_id, self._usual)
        text = self._texts[reader]
        while number in self._answered and not self._stopping.is_set():
            outcome = await sender.deliver(self._bot, Outgoing(chat_id, "text", text.html))
            if isinstance(outcome, sender.NotSent | sender.Refused):
                wait = outcome.wait if isinstance(outcome, sender.NotSent) else None
                wait_s = max(_AGAIN_S, wait.total_seconds() if wait else 0.0)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), wait_s)
                continue
            ref, now = new_ref(), self._deps.clock.now()
            log.warning(
                "a danger report could not be stored yet",
                extra={"action": "safety_text_sent", "update_id": number, "message_id": ref},
            )
            row = {
                "ref": ref,
                "clinic_id": reader.clinic_id,
                "chat_id": chat_id,
                "lane": Lane.DANGER,
                "template": TEMPLATE,
                "template_version": text.version,
                "language": reader.language,
                "attempts": 1,
                **dict.fromkeys(("queued_at", "due_at", "sent_at"), now),
                **_result(outcome),
            }
            self._unrecorded.append((row, text.html))
            self._bell.set()
            return
        # None went out: the next report in an outage must not be taken for answered.
        self._not_before_s.pop(chat_id, None)

    async def _record(self) -> None:
        """Put what has left on record, in one commit; the rows are final, nothing sends them."""
        said = list(self._unrecorded)
        if not said:
            return
        async with self._deps.database.write(Priority.RESULT) as session:
            for values, html in said:
                patient = await people.patient_by_account(session, values["chat_id"])
                row = Message(**values)
                if patient is not None:
                    row.patient_id, row.clinic_id = patient.id, patient.clinic_id
                sealed.write(session, row, {"text": html})
                session.add(row)
        del self._unrecorded[: len(said)]


def _is_danger(data: str) -> bool:
    """Say whether the data of a button report danger."""
    action, values = buttons.unpack(data)
    return action == "wrong" or not _DANGER.get(action, frozenset()).isdisjoint(values[1:])


def _is_command(said: str) -> bool:
    return re.match(r"\s*/wrong\b", said, re.IGNORECASE) is not None


def _result(outcome: Outcome) -> dict[str, Any]:
    """Return what the row says of a send."""
    match outcome:
        case sender.Delivered(message_id=message_id, plain=plain):
            reason = Reason.TEMPLATE_FAULT if plain else None
            state = MessageState.SENT
            return {"state": state, "reason": reason, "telegram_message_id": message_id}
        case sender.NeverWill(reason=reason):
            return {"state": MessageState.FAILED, "reason": reason}
    # Once is enough: the bot's own answer follows.
    state = MessageState.UNCONFIRMED
    return {"state": state, "reason": Reason.UNCONFIRMED, "maybe_copies": 1}
