"""The machine's clock: followed wherever it goes, but never more than a day ahead unseen."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.clock import FARTHEST, PushedClock, SystemClock

START = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


class Machine:
    """A wall clock that can be set, and seconds that nobody sets."""

    def __init__(self) -> None:
        self.wall = START
        self.gone_s = 500.0
        self.clock = SystemClock(lambda: self.wall, lambda: self.gone_s)

    def runs(self, delta: timedelta) -> None:
        self.wall += delta
        self.gone_s += delta.total_seconds()

    def is_set(self, delta: timedelta) -> None:
        self.wall += delta


@pytest.mark.parametrize(
    "step",
    [
        timedelta(),
        timedelta(seconds=3),
        timedelta(hours=-48),
        timedelta(hours=2),
        DAY,
        timedelta(days=-400),
    ],
)
def test_what_is_not_too_far_ahead_is_followed(step: timedelta) -> None:
    machine = Machine()
    machine.runs(MINUTE)
    machine.is_set(step)
    assert machine.clock.now() == START + MINUTE + step
    assert machine.clock.doubted() == timedelta()
    assert machine.clock.stepped() == step
    assert machine.clock.stepped() == timedelta()
    machine.runs(MINUTE)
    assert machine.clock.now() == START + 2 * MINUTE + step


@pytest.mark.parametrize("step", [FARTHEST + timedelta(seconds=1), timedelta(days=30)])
def test_a_longer_step_forward_is_not_believed(step: timedelta) -> None:
    machine = Machine()
    machine.is_set(step)
    for gone in range(3):
        assert machine.clock.now() == START + gone * MINUTE
        assert machine.clock.doubted() == step
        assert machine.clock.stepped() == timedelta()
        machine.runs(MINUTE)
    # Set further, or a little back: the doubt is about the difference.
    machine.is_set(-MINUTE)
    assert machine.clock.doubted() == step - MINUTE or step - MINUTE <= FARTHEST


def test_a_clock_that_comes_back_is_followed_again() -> None:
    machine = Machine()
    machine.is_set(30 * DAY)
    assert machine.clock.now() == START
    machine.runs(MINUTE)
    machine.is_set(-30 * DAY + timedelta(seconds=5))
    assert machine.clock.now() == START + MINUTE + timedelta(seconds=5)
    assert machine.clock.doubted() == timedelta()
    assert machine.clock.stepped() == timedelta(seconds=5)


def test_once_believed_it_goes_on_from_there() -> None:
    machine = Machine()
    machine.is_set(30 * DAY)
    machine.runs(MINUTE)
    assert machine.clock.doubted() == 30 * DAY
    machine.clock.believe()
    assert machine.clock.doubted() == timedelta()
    assert machine.clock.now() == START + 30 * DAY + MINUTE
    assert machine.clock.stepped() == 30 * DAY
    # To believe what nobody doubts changes nothing.
    machine.clock.believe()
    assert machine.clock.stepped() == timedelta()


def test_a_machine_that_slept_was_not_set() -> None:
    machine = Machine()
    machine.runs(40 * DAY)
    assert machine.clock.now() == START + 40 * DAY
    assert machine.clock.stepped() == timedelta()


def test_the_machines_own_clock_is_the_time_by_default() -> None:
    clock = SystemClock()
    before = datetime.now(UTC)  # noqa: TID251 - what the clock is compared with
    seen = clock.now()
    assert before <= seen <= datetime.now(UTC)  # noqa: TID251 - as above
    assert clock.doubted() == timedelta()


def test_a_pushed_clock_is_never_in_doubt() -> None:
    clock = PushedClock(START, running=False)
    clock.push(90 * DAY)
    clock.believe()
    assert clock.now() == START + 90 * DAY
    assert (clock.doubted(), clock.stepped()) == (timedelta(), timedelta())
