"""Groups, as far as a bot for private chats meets them: it is added, hears commands, and leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.demo.chats import Chat, Message
from bot.demo.entities import typed
from bot.demo.people import Person
from bot.demo.refusals import Json

if TYPE_CHECKING:
    from bot.demo.telegram import LocalTelegram


class Group:
    """A group chat that the bot may be added to."""

    def __init__(self, telegram: LocalTelegram, number: int, title: str) -> None:
        self._telegram = telegram
        self.chat = Chat(number, "group", None, title, bot_is_member=False)

    @property
    def messages(self) -> list[Message]:
        """What the group shows, oldest first."""
        return list(self.chat.messages)

    async def adds_bot(self, by: Person) -> None:
        """The bot is a member, and hears who added it."""
        self.chat.bot_is_member = True

        def member(status: str) -> Json:
            return {"user": self._telegram.me, "status": status}

        change = {
            "chat": self.chat.api,
            "from": by.api,
            "date": int(self._telegram.now().timestamp()),
            "old_chat_member": member("left"),
            "new_chat_member": member("member"),
        }
        self._telegram.updates.add("my_chat_member", change, self.chat.id)

    async def hears(self, person: Person, text: str) -> Message:
        """A member writes; the bot hears it when it is a command, as privacy mode has it."""
        now = self._telegram.now()
        message = Message(self.chat, self.chat.next_id(), now, person, typed(text))
        self.chat.add(message)
        if self.chat.bot_is_member and text.startswith("/"):
            self._telegram.updates.add("message", message.api(self._telegram.me), self.chat.id)
        self._telegram.bell.ring()
        return message

    async def upgrades(self) -> int:
        """The group is a supergroup with a new id, which is answered; the old id refuses and
        names it.
        """
        self.chat.upgraded_to = -1_001_000_000_000 + self.chat.id
        self._telegram.bell.ring()
        return self.chat.upgraded_to
