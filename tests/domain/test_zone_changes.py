"""Local time is local time: every change of offset of every zone, four local times each."""

import logging
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

from bot.domain.schedule import plan
from bot.domain.times import changes, fingerprint, to_utc
from tests.faults.record import proved

from .samples import QUIET, crowded, done

log = logging.getLogger(__name__)

SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
EVERY = os.environ.get("AFTERCARE_ZONES") == "all"
SAMPLE = 25
MINUTE = timedelta(minutes=1)
# Before the change, inside what it skips or repeats, at its very end, and later that day.
INTO = (timedelta(minutes=-30), timedelta(minutes=15), timedelta(), timedelta(hours=5))


def cases(names: list[str]) -> Iterator[tuple[ZoneInfo, datetime, int, int]]:
    """Zone, instant, offset before and offset after of each change from 2026 to 2035."""
    for name in names:
        zone = ZoneInfo(name)
        found = changes(zone, 2026, 2035)
        for (_, before), (at, after) in pairwise(found):
            if at.year <= 2035:
                yield zone, at, before, after


def shown(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)


def test_every_local_time_comes_exactly_once() -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    names = sorted(available_timezones())
    if not EVERY:
        names = random.Random(SEED).sample(names, SAMPLE)  # noqa: S311 - to be lived again
    gaps = folds = plain = 0
    for zone, at, before, after in cases(names):
        # The wall clock at which the change begins, by the offset before it.
        wall = (at + timedelta(seconds=min(before, after))).replace(tzinfo=None)
        for into in INTO:
            wanted = (wall + into).replace(second=0, microsecond=0)
            due = sends(wanted.date(), wanted.time(), zone)
            assert len(due) == 1, (zone.key, wanted)
            passes = instants(wanted, zone, (before, after))
            if not passes:
                gaps += 1
                # The first minute that exists after the gap, and not one before it.
                assert due[0] >= at
                assert due[0] - at < MINUTE, (zone.key, wanted, due)
                assert shown(due[0] - MINUTE, zone) < wanted < shown(due[0], zone)
            else:
                folds += len(passes) == 2
                plain += len(passes) == 1
                assert due == [passes[0]], (zone.key, wanted)
    counted = {"cases": gaps + folds + plain, "in a gap": gaps, "in a fold": folds}
    log.warning("zones: %s", counted)
    if EVERY:
        proved("zones", counted)


def sends(day: date, clock: time, zone: ZoneInfo) -> list[datetime]:
    """When a step of that local time goes, by the real planner: a list of one, or it is lost."""
    protocol = crowded(f"s|D+3 {clock:%H:%M}|D+9 20:00|advice")
    done_day = day - timedelta(days=3)
    session = to_utc(done_day, time(12), zone)
    facts = replace(done("2025-03-10 15:00", protocol=protocol), done_at=session)
    facts = replace(facts, done_date=done_day, since=session)
    off = replace(QUIET, start=time(0), end=time(0))
    made = plan([facts], zone=zone, quiet=off, delivered=(), now=session)
    return [each.group_due_at for each in made if each.step.id == "s" and each.group_due_at]


def instants(wanted: datetime, zone: ZoneInfo, offsets: tuple[int, int]) -> list[datetime]:
    """Every instant at which clocks there show that time, found without the planner."""
    found = {
        moment
        for offset in offsets
        if shown(moment := (wanted - timedelta(seconds=offset)).replace(tzinfo=UTC), zone) == wanted
    }
    return sorted(found)


def test_two_versions_of_a_zone_are_told_apart() -> None:
    assert fingerprint(ZoneInfo("Europe/Berlin")) == fingerprint(ZoneInfo("Europe/Paris"))
    assert fingerprint(ZoneInfo("Europe/Berlin")) != fingerprint(ZoneInfo("Europe/Lisbon"))
    # Morocco goes back for each Ramadan, of which 2030 has two.
    assert len(changes(ZoneInfo("Africa/Casablanca"), 2026, 2035)) == 1 + 2 * 11
    assert changes(ZoneInfo("UTC"), 2026, 2035) == ((datetime(2026, 1, 1, tzinfo=UTC), 0),)
