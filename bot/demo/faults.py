"""Switches that make the local Telegram fail in the ways the real one does, per method and chat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from bot.demo.refusals import Json, Refusal, flood


class Kind(StrEnum):
    """What a fault does to a call."""

    error = "error"
    hang = "hang"
    drop = "drop"
    slow = "slow"
    html = "html"
    half = "half"
    twice = "twice"
    backwards = "backwards"


@dataclass(slots=True, eq=False)
class Fault:
    """One switch: which calls it hits, how often, and whether the call took effect before it
    failed.
    """

    kind: Kind
    method: str | None = None
    chat: int | None = None
    times: int | None = 1
    skip: int = 0
    delivered: bool = False
    seconds: float = 0.0
    refusal: Refusal | None = None
    hits: int = 0
    off: bool = False

    def matches(self, method: str, chat: int | None) -> bool:
        """Whether it is meant for this call."""
        return (self.method is None or self.method.lower() == method) and self.chat in (None, chat)


class Faults:
    """The switches that are on; `down` makes every connection break at once, whatever is asked."""

    def __init__(self, ring: Callable[[], None]) -> None:
        self._ring = ring
        self._on: list[Fault] = []
        self._hanging: list[Fault] = []
        self.down = False

    def add(self, fault: Fault) -> Fault:
        """The switch is on; `times` None keeps it on until it is taken off."""
        self._on.append(fault)
        return fault

    def error(
        self,
        method: str | None,
        code: int,
        description: str,
        *,
        parameters: Json | None = None,
        chat: int | None = None,
        times: int | None = 1,
        skip: int = 0,
        delivered: bool = False,
    ) -> Fault:
        """The next `times` calls are answered with this code; the description without its class
        prefix.
        """
        refusal = Refusal(code, description, parameters)
        return self.add(Fault(Kind.error, method, chat, times, skip, delivered, refusal=refusal))

    def flood(
        self, method: str | None, seconds: int, *, chat: int | None = None, times: int | None = 1
    ) -> Fault:
        """The next `times` calls are answered 429 with this retry_after and its header."""
        return self.add(Fault(Kind.error, method, chat, times, refusal=flood(seconds)))

    def restart(
        self,
        method: str | None,
        *,
        chat: int | None = None,
        times: int | None = 1,
        delivered: bool = False,
    ) -> Fault:
        """The next `times` calls are answered with the 500 of a restarting server."""
        return self.error(method, 500, "restart", chat=chat, times=times, delivered=delivered)

    def hang(
        self,
        method: str | None,
        *,
        chat: int | None = None,
        times: int | None = 1,
        delivered: bool = False,
    ) -> Fault:
        """The next `times` calls get no answer until the caller leaves or the switch is taken
        off.
        """
        return self.add(Fault(Kind.hang, method, chat, times, delivered=delivered))

    def drop(
        self,
        method: str | None,
        *,
        chat: int | None = None,
        times: int | None = 1,
        delivered: bool = False,
    ) -> Fault:
        """The next `times` calls have their connection broken, before or after the message went
        out.
        """
        return self.add(Fault(Kind.drop, method, chat, times, delivered=delivered))

    def slow(
        self,
        method: str | None,
        seconds: float,
        *,
        chat: int | None = None,
        times: int | None = None,
    ) -> Fault:
        """Calls take so many real seconds longer."""
        return self.add(Fault(Kind.slow, method, chat, times, seconds=seconds))

    def bad_gateway(
        self,
        method: str | None,
        *,
        chat: int | None = None,
        times: int | None = 1,
        delivered: bool = False,
    ) -> Fault:
        """The next `times` calls are answered with 502 and an HTML page."""
        return self.add(Fault(Kind.html, method, chat, times, delivered=delivered))

    def half_answer(
        self, method: str | None, *, chat: int | None = None, times: int | None = 1
    ) -> Fault:
        """The next `times` calls take effect, and their connection breaks in mid-answer."""
        return self.add(Fault(Kind.half, method, chat, times, delivered=True))

    def updates_twice(self, times: int | None = 1) -> Fault:
        """The next `times` polls are given each update two times."""
        return self.add(Fault(Kind.twice, "getUpdates", None, times, delivered=True))

    def updates_backwards(self, times: int | None = 1) -> Fault:
        """The next `times` polls are given the newest update first."""
        return self.add(Fault(Kind.backwards, "getUpdates", None, times, delivered=True))

    def take_off(self, fault: Fault) -> None:
        """The switch is off; a call that hangs in it is answered."""
        if fault in self._on:
            self._on.remove(fault)
        fault.off = True
        self._ring()

    def clear(self) -> None:
        """Every switch is off and the server is up."""
        self.down = False
        for fault in [*self._on, *self._hanging]:
            self.take_off(fault)
        self._hanging.clear()

    def hit(self, method: str, chat: int | None) -> Fault | None:
        """The switch that this call runs into, counted once."""
        for fault in self._on:
            if not fault.matches(method, chat):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            if fault.kind is Kind.hang and fault not in self._hanging:
                self._hanging.append(fault)
            if fault.times is not None:
                fault.times -= 1
                if fault.times <= 0:
                    self._on.remove(fault)
            return fault
        return None
