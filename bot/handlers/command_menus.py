"""The command lists that Telegram shows: patients' by default, a practitioner's in their chat."""

import asyncio
import logging

from telegram import Bot, BotCommand, BotCommandScopeAllPrivateChats, BotCommandScopeChat
from telegram.error import TelegramError

from bot.services.deps import Deps
from bot.storage.queries import people

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 60.0


class Menus:
    """Keeps the lists in step with the team; a failure is tried again and hurts nobody."""

    def __init__(self, deps: Deps, telegram_bot: Bot) -> None:
        """Prepare to set the lists through ``telegram_bot``."""
        self._deps = deps
        self._bot = telegram_bot
        self._done: set[int] = set()
        self._default = False
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Set what is missing, and look again every minute, until :meth:`stop`."""
        while not self._stopping.is_set():
            try:
                await self._refresh()
            except TelegramError as error:
                log.info(
                    "the command lists could not be set",
                    extra={"action": "menus_failed", "cause": type(error).__name__},
                )
            try:
                await asyncio.wait_for(self._stopping.wait(), _LOOK_AGAIN_S)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """End after the round under way."""
        self._stopping.set()

    async def _refresh(self) -> None:
        if not self._default:
            for language in self._deps.catalogue.languages:
                await self._bot.set_my_commands(
                    self._commands(language, "patient_commands"),
                    scope=BotCommandScopeAllPrivateChats(),
                    language_code=language[:2] if language != "en" else "",
                )
            self._default = True
        async with self._deps.database.read() as session:
            clinic = await people.the_clinic(session)
            team = await people.practitioners(session, clinic.id or 0) if clinic else []
        for practitioner in team:
            chat_id = practitioner.telegram_id
            if clinic is None or chat_id is None or chat_id in self._done:
                continue
            await self._bot.set_my_commands(
                self._commands(clinic.language, "practitioner_commands"),
                scope=BotCommandScopeChat(chat_id),
            )
            self._done.add(chat_id)

    def _commands(self, language: str, section: str) -> list[BotCommand]:
        catalogue = self._deps.catalogue
        return [
            BotCommand(name, catalogue.label(language, section, name))
            for name in catalogue.keys(language, section)
        ]
