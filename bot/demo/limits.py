"""Telegram's pace: token buckets over all, per chat and per group; switched off unless a story
is about them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from bot.demo.refusals import flood


@dataclass(slots=True)
class _Bucket:
    rate: float
    burst: float
    tokens: float
    at: float

    def missing(self, now: float) -> float:
        """Seconds until a token is there; 0 when one is."""
        self.tokens = min(self.burst, self.tokens + (now - self.at) * self.rate)
        self.at = now
        return 0.0 if self.tokens >= 1 else (1 - self.tokens) / self.rate


@dataclass(slots=True)
class Limits:
    """One message a second to a chat with short bursts, 30 a second in all, 20 a minute to a
    group.
    """

    on: bool = False
    monotonic: Callable[[], float] = time.monotonic
    per_chat: float = 1.0
    chat_burst: float = 5.0
    over_all: float = 30.0
    group_per_minute: float = 20.0
    _buckets: dict[int, _Bucket] = field(default_factory=dict, repr=False)

    def check(self, chat: int) -> None:
        """One message to this chat is counted, or refused with the seconds to wait."""
        if not self.on:
            return
        now = self.monotonic()
        whole = self._bucket(0, self.over_all, self.over_all, now)
        if chat < 0:
            own = self._bucket(chat, self.group_per_minute / 60, self.group_per_minute, now)
        else:
            own = self._bucket(chat, self.per_chat, self.chat_burst, now)
        missing = max(whole.missing(now), own.missing(now))
        if missing > 0:
            raise flood(max(1, math.ceil(missing)))
        whole.tokens -= 1
        own.tokens -= 1

    def _bucket(self, key: int, rate: float, burst: float, now: float) -> _Bucket:
        if key not in self._buckets:
            self._buckets[key] = _Bucket(rate, burst, burst, now)
        return self._buckets[key]
