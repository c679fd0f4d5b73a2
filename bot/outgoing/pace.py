"""How fast Telegram lets us talk: so many messages a second over all, and one a second a chat."""

from collections.abc import Callable

CHAT_RATE = 1.0
# Short bursts to one chat pass (telegram.md, Rates): a card and its second bubble go together.
CHAT_BURST = 4.0
# What a loop that wakes late may make up for; far too little to be a burst at Telegram's rate.
_SLACK_S = 0.035
# So many chats refused in a row: it is us who talk too fast, not one chat.
_CHATS_IN_A_ROW = 5


class Pace:
    """Says how long to wait before the next message; measured in the clock's monotonic seconds."""

    def __init__(
        self, monotonic: Callable[[], float], rate: float, chat_burst: float = CHAT_BURST
    ) -> None:
        """Allow ``rate`` messages a second over all, and ``chat_burst`` at once to one chat."""
        self._burst_s = (chat_burst - 1) / CHAT_RATE
        self._monotonic = monotonic
        self._gap_s = 1 / rate
        self._free_at = monotonic()
        self._closed_until = 0.0
        self._chats: dict[int, float] = {}
        self._flooded: set[int] = set()
        # The longest wait that Telegram ever asked for, for the operator.
        self.longest_flood_s = 0.0

    @property
    def wait_s(self) -> float:
        """The seconds until the next message may go, to whomever; 0 means now."""
        return max(self._free_at - self._monotonic(), 0.0)

    @property
    def closed_s(self) -> float:
        """The seconds for which nothing leaves but what is urgent."""
        return max(self._closed_until - self._monotonic(), 0.0)

    def resting(self, *, longer_than_s: float = 0.0) -> dict[int, float]:
        """Return the chats that nothing may go to now, with the seconds until something may."""
        now = self._monotonic()
        self._chats = {chat: free for chat, free in self._chats.items() if free > now}
        rests = {chat: free - self._burst_s - now for chat, free in self._chats.items()}
        return {chat: rest for chat, rest in rests.items() if rest > longer_than_s}

    def take(self, chat_id: int) -> None:
        """Count a message to this chat as leaving now."""
        now = self._monotonic()
        self._free_at = max(self._free_at, now - max(self._gap_s, _SLACK_S)) + self._gap_s
        self._chats[chat_id] = max(self._chats.get(chat_id, 0.0), now) + 1 / CHAT_RATE

    def close(self, seconds: float) -> None:
        """Let only what is urgent leave for so long; a shorter wait never reopens a longer one."""
        self._closed_until = max(self._closed_until, self._monotonic() + seconds)

    def close_chat(self, chat_id: int, seconds: float) -> None:
        """Let nothing leave to this chat for so many seconds."""
        free = self._monotonic() + seconds + self._burst_s
        self._chats[chat_id] = max(self._chats.get(chat_id, 0.0), free)

    def flood(self, chat_id: int, seconds: float) -> None:
        """Obey a flood wait: for that chat, and for all once it repeats from chat to chat."""
        self.longest_flood_s = max(self.longest_flood_s, seconds)
        self.close_chat(chat_id, seconds)
        self._flooded.add(chat_id)
        if len(self._flooded) >= _CHATS_IN_A_ROW:
            self.close(seconds)

    def flows(self) -> None:
        """Note that a message was taken: the refusals before it were about their chats."""
        self._flooded.clear()
