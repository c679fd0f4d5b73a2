"""When a limit is over, who says so, and until when one is on that is kept on: tables."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import product

import pytest

from bot.domain.limits import LOOK_AGAIN, AtEnd, Look, Said, Say, at_end, kept_until, said_until
from bot.domain.protocol import Kind
from tests.domain.samples import BERLIN, DERMAL_FILLER, FACE, at, crowded, local


@pytest.mark.parametrize(
    ("kept", "end", "now", "until"),
    [
        # One day later at the hour of the limit's own end, whenever it was said.
        ("2026-03-13 18:05", "2026-03-13 18:00", "2026-03-13 18:05", "2026-03-14 18:00"),
        ("2026-03-14 09:00", "2026-03-13 18:00", "2026-03-14 09:00", "2026-03-15 18:00"),
        ("2026-03-14 23:59", "2026-03-13 18:00", "2026-03-14 23:59", "2026-03-15 18:00"),
        ("2026-03-15 00:01", "2026-03-13 18:00", "2026-03-15 00:01", "2026-03-16 18:00"),
        ("2026-03-13 18:05", "2026-03-13 18:00", "2026-03-14 17:59", "2026-03-14 18:00"),
        # It never ends by the clock: from then on it is always the next such hour.
        ("2026-03-13 18:05", "2026-03-13 18:00", "2026-03-14 18:00", "2026-03-15 18:00"),
        ("2026-03-13 18:05", "2026-03-13 18:00", "2026-03-20 07:00", "2026-03-20 18:00"),
        ("2026-03-13 18:05", "2026-03-13 18:00", "2026-03-20 19:00", "2026-03-21 18:00"),
        # The clock's hour, also where a day has 23 hours, and where the hour is left out.
        ("2026-03-28 10:30", "2026-03-28 10:00", "2026-03-28 10:30", "2026-03-29 10:00"),
        ("2026-03-28 10:30", "2026-03-27 02:30", "2026-03-28 10:30", "2026-03-29 03:00"),
    ],
)
def test_a_limit_kept_on_is_on_until_somebody_says_so(
    kept: str, end: str, now: str, until: str
) -> None:
    assert local(kept_until(at(kept), at(end), at(now), BERLIN)) == until


def test_a_limit_kept_on_ends_at_no_time_at_all() -> None:
    kept, end = at("2026-03-13 18:05"), at("2026-03-13 18:00")
    for hours in range(24 * 30):
        now = kept + timedelta(hours=hours)
        assert now < kept_until(kept, end, now, BERLIN) <= now + timedelta(hours=48)


@pytest.mark.parametrize(
    ("true_at", "until"),
    [
        ("2026-03-13 10:00", "2026-03-14 20:00"),
        ("2026-03-13 23:30", "2026-03-14 20:00"),
        ("2026-03-14 00:30", "2026-03-15 20:00"),
        ("2026-03-28 10:00", "2026-03-29 20:00"),
    ],
)
def test_it_is_worth_saying_until_the_next_evening(true_at: str, until: str) -> None:
    assert local(said_until(at(true_at), BERLIN)) == until


END = at("2026-03-13 18:00")
MEANWHILE, MORNING = at("2026-03-13 12:00"), at("2026-03-14 08:00")
BEFORE, AFTER, LATE = at("2026-03-13 17:59"), at("2026-03-13 18:00"), at("2026-03-14 20:00")
PLAIN = AtEnd(END)


@pytest.mark.parametrize(
    ("limit", "now", "rests", "follows"),
    [
        (PLAIN, BEFORE, False, Look(END)),
        (PLAIN, AFTER, False, Say()),
        (PLAIN, LATE - timedelta(seconds=1), False, Say()),
        (PLAIN, LATE, False, Look(None)),
        # Somebody who reported something urgent, or is paused, reads nothing of it meanwhile.
        (PLAIN, AFTER, True, Look(AFTER + LOOK_AGAIN)),
        (PLAIN, LATE, True, Look(None)),
        # The step that lifts it has said it, on its day or, of hours, the morning before.
        (replace(PLAIN, said_at=AFTER), AFTER, False, Said(AFTER)),
        (replace(PLAIN, said_at=MEANWHILE), AFTER, True, Said(MEANWHILE)),
        (replace(PLAIN, said_at=MEANWHILE), BEFORE, False, Look(END)),
        # It is still to come, or was given up.
        (replace(PLAIN, comes_until=LATE), AFTER, False, Look(LATE)),
        (replace(PLAIN, comes_until=AFTER), AFTER, False, Look(AFTER + LOOK_AGAIN)),
        (replace(PLAIN, given_up_at=MEANWHILE), AFTER, False, Say()),
        (replace(PLAIN, given_up_at=LATE), LATE, False, Say()),
        (replace(PLAIN, given_up_at=MORNING), LATE + timedelta(days=1), False, Look(None)),
    ],
)
def test_what_follows_when_a_limit_ends(
    limit: AtEnd, now: datetime, rests: bool, follows: Say | Said | Look
) -> None:
    assert at_end(limit, now, BERLIN, rests=rests) == follows


def test_a_notice_goes_only_where_nothing_else_says_it() -> None:
    moments = (None, BEFORE, AFTER, MORNING, LATE)
    said = 0
    for said_at, comes_until, given_up_at, rests, now in product(
        moments, moments, moments, (False, True), moments[1:]
    ):
        follows = at_end(
            AtEnd(END, said_at, comes_until, given_up_at), now or END, BERLIN, rests=rests
        )
        if isinstance(follows, Say):
            said += 1
            assert (said_at, comes_until, rests) == (None, None, False)
            assert now is not None
            assert now >= END
        if isinstance(follows, Look) and follows.at is not None:
            assert now is not None
            assert follows.at > now or follows.at == END
    assert said


@pytest.mark.parametrize("protocol", [FACE, DERMAL_FILLER], ids=lambda each: each.name)
def test_every_limit_is_told_by_its_lift_or_the_check_of_day_1(protocol: object) -> None:
    found = FACE if protocol is FACE else DERMAL_FILLER
    tells = {limit.id: found.told_by(limit.id) for limit in found.limits}
    for limit in found.limits:
        step = tells[limit.id]
        if limit.until.elapsed is not None:
            assert step is not None
            assert step.id == "d1"
        elif step is not None:
            assert Kind.LIFT in step.kinds
            assert limit.id in found.lifted_by(step)
    untold = {limit for limit, step in tells.items() if step is None}
    assert untold == ({"other_procedure", "strong_sun"} if found is FACE else set())


def test_a_treatment_without_a_later_check_tells_no_hours() -> None:
    assert crowded("d1|D+1 09:00|D+1 20:00|advice").told_by("gym") is None
