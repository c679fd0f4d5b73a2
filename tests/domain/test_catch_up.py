"""What is late goes as one message, the most important first, and each keeps its own end."""

from datetime import timedelta

import pytest

from bot.domain.facts import Planned
from bot.domain.grouping import catch_up, importance, is_late
from bot.domain.schedule import plan
from bot.domain.states import Reason

from .samples import BERLIN, FACE, FILLER_PROTOCOL, QUIET, at, crowded, done, local

ORDER = ["d1", "card", "d3", "d28", "d7", "prep14", "prep2", "conf", "book", "maint"]


def test_what_a_patient_needs_first() -> None:
    ranks = [importance(FACE.step(step)) for step in ORDER]
    assert ranks == sorted(ranks)
    assert ranks[0] < ranks[1]
    photo = crowded("p|D+3 11:00|D+6 20:00|photo").step("p")
    assert importance(FACE.step("book")) < importance(photo) < importance(FACE.step("maint"))
    assert importance(FILLER_PROTOCOL.step("d3")) == 0


def late(now: str, *steps: str, since: str = "2025-03-10 15:00") -> dict[str, Planned]:
    """The plan of a face session of that day at ``now``, these steps behind."""
    made = plan(
        [done(since, target="2025-03-24")],
        zone=BERLIN,
        quiet=QUIET,
        delivered=(),
        now=at(now),
        behind={("v1", step) for step in steps},
    )
    return {each.step.id: each for each in made}


@pytest.mark.parametrize(
    ("now", "behind", "together", "goes_at"),
    [
        ("2025-03-12 11:00", ["card", "d1"], ["d1"], "2025-03-12 11:00"),
        ("2025-03-15 03:00", ["d1", "d3"], ["d3"], "2025-03-15 08:30"),
        ("2025-03-14 22:00", ["d3", "book"], ["d3", "book"], "2025-03-15 08:30"),
        ("2025-03-20 12:00", ["d3", "d7", "book"], ["d7", "book"], "2025-03-20 12:00"),
        # A card that came late by hours waits for the morning like the rest.
        ("2025-03-10 23:00", ["card"], ["card"], "2025-03-11 08:30"),
        # Within the hour it is still the end of the session.
        ("2025-03-10 15:30", ["card"], [], ""),
        ("2025-03-12 11:00", [], [], ""),
    ],
)
def test_one_message_of_all_that_is_late(
    now: str, behind: list[str], together: list[str], goes_at: str
) -> None:
    made = late(now, *behind)
    grouped = [each for each in made.values() if is_late(each.group)]
    assert sorted(each.step.id for each in grouped) == sorted(together)
    assert {local(each.group_due_at) for each in grouped} == ({goes_at} if goes_at else set())
    # Each keeps its own end, and they share a name that begins with the most important.
    assert all(each.group_expires_at is None for each in grouped)
    assert {each.group for each in grouped} == ({f"late/v1/{together[0]}"} if together else set())
    for step in set(behind) - set(together) - {"card"}:
        assert (made[step].reason, made[step].final) == (Reason.TOO_LATE, True)


def test_what_would_not_outlive_the_quiet_hours_is_too_late() -> None:
    protocol = crowded("s|D+1 10:00|D+1 23:00|check|safety = true")
    made = plan(
        [done("2025-03-10 15:00", protocol=protocol)],
        zone=BERLIN,
        quiet=QUIET,
        delivered=(),
        now=at("2025-03-11 22:00"),
        behind={("v1", "s")},
    )
    (check,) = [each for each in made if each.step.id == "s"]
    assert (check.due_at, check.reason, check.final) == (None, Reason.TOO_LATE, True)


def test_a_check_that_quiet_hours_would_cost_goes_on_its_own() -> None:
    face = done("2025-03-10 15:00", visit="v2")
    made = plan(
        [done("2025-03-10 16:00", protocol=FILLER_PROTOCOL), face],
        zone=BERLIN,
        quiet=QUIET,
        delivered=(),
        now=at("2025-03-10 21:10"),
        behind={("v1", "h3"), ("v2", "card")},
    )
    found = {(each.visit, each.step.id): each for each in made}
    assert local(found["v1", "h3"].group_due_at) == "2025-03-10 21:10"
    assert local(found["v2", "card"].group_due_at) == "2025-03-11 08:30"


def test_what_has_no_room_is_the_least_important() -> None:
    kinds = ["maint", "book", "photo", "lift", "late_check", "prep", "advice", "review", "check"]
    protocol = crowded(*(f"s{n}|D+1 10:00|D+9 20:00|{kind}" for n, kind in enumerate(kinds)))
    made = plan(
        [done("2025-03-10 15:00", protocol=protocol)],
        zone=BERLIN,
        quiet=QUIET,
        delivered=(),
        now=at("2025-03-12 11:00"),
        behind={("v1", f"s{n}") for n in range(len(kinds))},
    )
    found = {each.step.id: each for each in made}
    gone = [step for step, each in found.items() if each.reason is Reason.TOO_LATE]
    assert "s0" in gone
    assert "s8" not in gone
    (group,) = {each.group for each in found.values() if each.group}
    assert group == "late/v1/s8"


def test_nothing_late_is_no_message() -> None:
    assert catch_up([]) == ((), frozenset())


def test_a_late_step_that_moved_ahead_is_not_late_any_more() -> None:
    made = late("2025-03-10 16:00", "d1")
    assert not is_late(made["d1"].group)
    assert made["d1"].due_at == at("2025-03-10 16:00") + timedelta(hours=18)
