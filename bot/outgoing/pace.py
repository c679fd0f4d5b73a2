"""How fast Telegram lets us talk: so many messages a second over all, and one a second a chat."""

from collections.abc import Callable

CHAT_RATE = 1.0
# Short bursts to one chat pass (telegram.md, Rates): a card and its second bubble go together.
CHAT_BURST = 4.0


class Pace:
    """Says how long to wait before the next message; measured in the clock's monotonic seconds."""

    def __init__(
        self, monotonic: Callable[[], float], rate: float, chat_burst: float = CHAT_BURST
    ) -> None:
        """Allow ``rate`` messages a second over all, and ``chat_burst`` at once to one chat."""
        self._burst_s = (chat_burst - 1) / CHAT_RATE
        self._monotonic = monotonic
        self._rate = rate
        self._free_at = monotonic()
        self._closed_until = 0.0
        self._chats: dict[int, float] = {}

    def wait_s(self, chat_id: int) -> float:
        """Return the seconds until a message to this chat may go; 0 means now."""
        now = self._monotonic()
        chat_free = self._chats.get(chat_id, 0.0) - self._burst_s
        return max(self._free_at - now, self._closed_until - now, chat_free - now, 0.0)

    def take(self, chat_id: int) -> None:
        """Count a message to this chat as leaving now."""
        now = self._monotonic()
        self._free_at = max(self._free_at, now) + 1 / self._rate
        self._chats[chat_id] = max(self._chats.get(chat_id, 0.0), now) + 1 / CHAT_RATE
        if len(self._chats) > 4096:
            self._chats = {chat: free for chat, free in self._chats.items() if free > now}

    def close(self, seconds: float) -> None:
        """Let nothing leave for so many seconds; a shorter wait never reopens a longer one."""
        self._closed_until = max(self._closed_until, self._monotonic() + seconds)

    def close_chat(self, chat_id: int, seconds: float) -> None:
        """Let nothing leave to this chat for so many seconds."""
        free = self._monotonic() + seconds + self._burst_s
        self._chats[chat_id] = max(self._chats.get(chat_id, 0.0), free)
