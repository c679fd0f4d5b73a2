"""How fast messages may leave: over all, to one chat, after a flood, and after an outage."""

import pytest

from bot.outgoing.pace import Pace

ANA, BEN = 1, 2


class Seconds:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 500.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def leaves(pace: Pace, seconds: Seconds, chat: int) -> float:
    """Wait as the pace says, let one message leave; answer when that was."""
    seconds.now += max(pace.wait_s, pace.resting().get(chat, 0.0))
    pace.take(chat)
    return seconds.now


def test_a_burst_leaves_at_the_rate_and_not_faster(seconds: Seconds) -> None:
    pace = Pace(seconds, rate=28)
    at = [leaves(pace, seconds, chat) for chat in range(1_000, 1_500)]
    # In no second do more than Telegram's thirty leave.
    assert all(late - early >= 1 for early, late in zip(at, at[30:], strict=False))
    # The last one leaves as early as the rate allows.
    assert at[-1] - at[0] == pytest.approx(499 / 28, abs=0.1)


def test_a_late_wake_is_made_up_for_once(seconds: Seconds) -> None:
    pace = Pace(seconds, rate=20)
    at = []
    for chat in range(200):
        at.append(leaves(pace, seconds, chat))
        # The loop comes back ten milliseconds late, every time.
        seconds.now += pace.wait_s + 0.01
    assert at[-1] - at[0] == pytest.approx(199 / 20, abs=0.1)
    seconds.now += 60
    # A minute of silence saves up no burst.
    quick = [leaves(pace, seconds, chat) for chat in range(3)]
    assert quick[2] - quick[0] == pytest.approx(1 / 20)


def test_one_chat_gets_four_at_once_and_then_one_a_second(seconds: Seconds) -> None:
    pace = Pace(seconds, rate=1_000)
    at = [leaves(pace, seconds, ANA) - 500 for _ in range(7)]
    assert at == pytest.approx([0, 0, 0, 0, 1, 2, 3], abs=0.02)
    # Meanwhile the next chat waits for nobody.
    assert BEN not in pace.resting()
    seconds.now += 10
    assert pace.resting() == {}
    at = [leaves(pace, seconds, ANA) for _ in range(5)]
    assert at[3] - at[0] == pytest.approx(0, abs=0.02)
    assert at[4] - at[0] == pytest.approx(1, abs=0.02)


def test_a_flooded_chat_rests_and_goes_on_slowly(seconds: Seconds) -> None:
    pace = Pace(seconds, rate=1_000)
    pace.take(ANA)
    pace.close_chat(ANA, 30)
    pace.close_chat(ANA, 5)
    assert pace.resting() == pytest.approx({ANA: 30})
    assert pace.resting(longer_than_s=31) == {}
    assert pace.wait_s <= 0.001
    seconds.now += 30
    assert pace.resting() == {}
    at = [leaves(pace, seconds, ANA) for _ in range(3)]
    assert [late - at[0] for late in at] == pytest.approx([0, 1, 2], abs=0.01)


def test_closing_is_never_shortened(seconds: Seconds) -> None:
    pace = Pace(seconds, rate=28)
    assert pace.closed_s == 0
    pace.close(10)
    pace.close(2)
    assert pace.closed_s == pytest.approx(10)
    seconds.now += 11
    assert pace.closed_s == 0


def test_chats_that_have_rested_are_forgotten(seconds: Seconds) -> None:
    pace = Pace(seconds, rate=100_000)
    for chat in range(5_000):
        pace.take(chat)
    seconds.now += 2
    pace.take(ANA)
    assert pace.resting(longer_than_s=-10) == pytest.approx({ANA: -2})
