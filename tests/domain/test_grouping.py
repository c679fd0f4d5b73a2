"""Which steps become one message, and which messages a cap leaves out."""

from dataclasses import replace
from itertools import pairwise

import pytest

from bot.domain.grouping import drop_rank, family

from .samples import (
    FACE,
    FILLER_PROTOCOL,
    at,
    crowded,
    done,
    goes,
    handed,
    local,
    planned,
    planning,
    reasons,
)

SESSION = "2025-03-10 15:00"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("card", "card"),
        ("d1", "check"),
        ("d3", "lift"),
        ("d7", "lift"),
        ("book", None),
        ("book-2", None),
        ("prep14", "prep"),
        ("prep2", "prep"),
        ("conf", None),
        ("d28", None),
        ("maint", None),
    ],
)
def test_steps_merge_by_their_question(step: str, expected: str | None) -> None:
    assert family(FACE.step(step)) == expected


def test_a_lift_that_is_a_safety_check_is_a_check() -> None:
    assert family(FILLER_PROTOCOL.step("d3")) == "check"
    assert family(FILLER_PROTOCOL.step("d7")) == "lift"


def test_two_treatments_of_one_day() -> None:
    face = done("2025-03-10 15:00")
    filler = done("2025-03-10 16:00", protocol=FILLER_PROTOCOL, visit="v2", since=None)
    made = planning(face, filler, now=face.since)
    groups = {key: p.group for key, p in made.items() if p.group}
    # both cards are of one afternoon, and go when the later one is due
    assert groups["v1/card"] == groups["v2/card"] == "v1/card"
    assert local(made["v1/card"].group_due_at) == "2025-03-10 16:00"
    # the day 1 checks go at the earliest safety check and expire with the first
    assert groups["v1/d1"] == groups["v2/d1"] == "v2/d1"
    assert local(made["v1/d1"].group_due_at) == "2025-03-11 09:00"
    assert local(made["v1/d1"].group_expires_at) == "2025-03-11 20:00"
    assert local(made["v1/d1"].due_at) == "2025-03-11 10:00"
    # day 3: morning and evening stay apart
    assert groups["v1/d3"] != groups["v2/d3"]
    # day 7: two lifts
    assert groups["v1/d7"] == groups["v2/d7"] == "v1/d7"
    assert local(made["v2/d7"].group_expires_at) == "2025-03-20 20:00"


def test_the_day_is_halved_at_noon() -> None:
    steps = crowded(
        "a|D+1 11:30|D+1 20:00|check",
        "b|D+1 11:59|D+1 20:00|check",
        "c|D+1 12:00|D+1 20:00|check",
    )
    made = planning(done(SESSION, protocol=steps))
    assert made["a"].group == made["b"].group == "v1/a"
    assert local(made["a"].group_due_at) == "2025-03-11 11:59"
    assert made["c"].group == "v1/c"


def test_a_message_goes_at_its_earliest_safety_check() -> None:
    steps = crowded(
        "a|D+1 09:00|D+1 20:00|check",
        "b|D+1 10:00|D+1 19:00|check|safety = true",
        "c|D+1 11:00|D+1 20:00|check|safety = true",
    )
    made = planning(done(SESSION, protocol=steps))
    assert {made[key].group for key in "abc"} == {"v1/a"}
    assert {local(made[key].group_due_at) for key in "abc"} == {"2025-03-11 10:00"}
    assert {local(made[key].group_expires_at) for key in "abc"} == {"2025-03-11 19:00"}


def test_what_would_expire_waiting_goes_alone() -> None:
    steps = crowded("a|D+1 09:00|D+1 11:00|check", "b|D+1 11:00|D+1 20:00|check")
    made = planning(done(SESSION, protocol=steps))
    assert (made["a"].group, made["b"].group) == ("v1/a", "v1/b")


def test_nothing_is_lifted_before_its_limit_ends() -> None:
    steps = crowded(
        "a|D+1 09:00|D+1 20:00|check|safety = true",
        "b|D+1 10:00|D+1 20:00|lift+check|safety = true",
    )
    made = planning(done(SESSION, protocol=steps))
    assert (made["a"].group, made["b"].group) == ("v1/a", "v1/b")


def test_a_step_that_may_not_wake_does_not_follow_one_that_may() -> None:
    steps = crowded(
        "a|D+1 20:00|D+1 23:00|check",
        "b|D+1 22:00|D+1 23:00|check|safety = true|quiet_exempt = true",
    )
    made = planning(done(SESSION, protocol=steps))
    assert goes(made)["b"] == "2025-03-11 22:00"
    assert (made["a"].group, made["b"].group) == ("v1/a", "v1/b")


def test_nothing_goes_before_its_own_plan_runs() -> None:
    check = crowded("a|D+1 10:00|D+1 20:00|check|safety = true")
    other = crowded("b|D+1 11:00|D+1 20:00|check")
    visits = [
        done(SESSION, protocol=check),
        done(SESSION, protocol=other, visit="v2", since="2025-03-11 10:30"),
    ]
    made = planning(*visits, now=visits[0].since)
    assert local(made["v1/a"].group_due_at) == "2025-03-11 10:00"
    assert local(made["v2/b"].group_due_at) == "2025-03-11 11:00"


def test_an_answer_to_joining_does_not_carry_what_nobody_asked_for() -> None:
    other = crowded("b|D+1 11:30|D+1 20:00|check")
    visits = [
        done(SESSION, since="2025-03-11 10:30"),
        done(SESSION, protocol=other, visit="v2"),
    ]
    made = planning(*visits)
    assert made["v1/d1"].asked
    assert not made["v2/b"].asked
    assert (made["v1/d1"].group, made["v2/b"].group) == ("v1/d1", "v2/b")


def test_what_is_past_merges_when_it_is_due_now() -> None:
    made = planning(planned("2025-03-31 14:00", since="2025-03-18 11:00"))
    assert made["prep14"].group != made["prep2"].group
    steps = crowded("a|D+1 09:00|D+6 20:00|lift", "b|D+2 18:00|D+6 20:00|lift")
    made = planning(done(SESSION, protocol=steps), now=at("2025-03-13 10:00"))
    assert made["a"].group == made["b"].group == "v1/a"
    assert local(made["b"].group_due_at) == "2025-03-13 10:00"


def test_a_step_whose_condition_fails_neither_merges_nor_counts() -> None:
    steps = crowded(
        'x|D+1 09:00|D+1 20:00|lift|skip_if = ["NV <= D+9"]',
        "y|D+1 10:00|D+1 20:00|lift",
        "z|D+1 15:00|D+1 20:00|advice",
    )
    made = planning(done(SESSION, protocol=steps, next_visit="2025-03-17 10:00"))
    assert reasons(made) == {"x": "next_visit_near"}
    assert made["x"].group is None
    assert made["y"].group == "v1/y"


CROWDED_DAY = {
    "maint-2": "m|D 11:00|D 20:00|maint|repeat = { after_days = 1, times = 1 }",
    "book-2": "k|D 11:00|D 20:00|book|repeat = { after_days = 1, times = 1 }",
    "photo": "p|D+1 11:00|D+1 20:00|photo",
    "maint": "m|D+1 11:00|D+1 20:00|maint",
    "book": "k|D+1 11:00|D+1 20:00|book",
    "advice": "a|D+1 11:00|D+1 20:00|advice",
    "lift": "l|D+1 11:00|D+1 20:00|lift+photo",
    "prep": "r|D+1 11:00|D+1 20:00|prep+advice",
    "review": "w|D+1 11:00|D+1 20:00|review+photo",
    "check": "c|D+1 11:00|D+1 20:00|check+lift",
}
PLANNED_ID = {"maint-2": "m-2", "book-2": "k-2"}
DROP_ORDER = list(CROWDED_DAY)


@pytest.mark.parametrize(("dropped", "kept"), list(pairwise(DROP_ORDER)))
def test_a_full_day_drops_the_least_needed_first(dropped: str, kept: str) -> None:
    first = crowded(CROWDED_DAY[dropped].replace("|", "x|", 1))
    second = crowded(CROWDED_DAY[kept])
    visits = [
        done(SESSION, protocol=second, visit="v1"),
        done(SESSION, protocol=first, visit="v2"),
    ]
    # one message of the day is gone already, so one place is left
    taken = handed(visits[0], "earlier", "2025-03-11")
    made = planning(*visits, delivered=[taken])
    lost = PLANNED_ID.get(dropped, CROWDED_DAY[dropped][0])
    lost = f"v2/{lost[0]}x{lost[1:]}"
    stays = f"v1/{PLANNED_ID.get(kept, CROWDED_DAY[kept][0])}"
    assert made[lost].reason == "cap"
    assert made[lost].group is None
    assert not made[lost].final
    assert made[stays].reason is None


def test_ranks_follow_the_drop_order() -> None:
    ranks = [
        drop_rank(crowded(line).step(PLANNED_ID.get(name, line[0])))
        for name, line in CROWDED_DAY.items()
    ]
    assert ranks == list(range(10))


def test_an_upkeep_repeat_goes_first_even_with_a_photo() -> None:
    upkeep = crowded("m|D 11:00|D 20:00|maint+photo|repeat = { after_days = 1, times = 1 }")
    assert drop_rank(upkeep.step("m-2")) == 0


@pytest.mark.parametrize("step", ["card", "d1", "prep2", "conf", "d28"])
def test_some_steps_are_never_dropped(step: str) -> None:
    assert drop_rank(FACE.step(step)) is None


def test_what_is_never_dropped_may_pass_the_daily_cap() -> None:
    steps = crowded(
        "a|D+1 09:00|D+1 20:00|check|safety = true",
        "b|D+1 15:00|D+1 20:00|check|safety = true",
        "c|D+1 10:00|D+1 20:00|late_check",
        "d|D+1 10:00|D+1 20:00|lift",
    )
    made = planning(done(SESSION, protocol=steps))
    assert reasons(made) == {"d": "cap"}


def test_the_day_is_the_patients() -> None:
    steps = crowded(
        "a|D+1 09:00|D+1 20:00|advice",
        "b|D+1 15:00|D+1 20:00|advice",
        "c|D+1 20:00|D+1 23:00|advice",
        "d|D+2 09:00|D+2 20:00|advice",
    )
    made = planning(done(SESSION, protocol=steps))
    assert reasons(made) == {"c": "cap"}


def test_steps_delivered_as_one_message_count_once() -> None:
    steps = crowded("z|D+1 20:00|D+1 23:00|advice")
    session = done(SESSION, protocol=steps)
    alone = [handed(session, "a", "2025-03-11"), handed(session, "b", "2025-03-11")]
    assert reasons(planning(session, delivered=alone)) == {"z": "cap"}
    together = [replace(item, group="v1/a") for item in alone]
    assert reasons(planning(session, delivered=together)) == {}
    asked = [replace(item, unasked=False) for item in alone]
    assert reasons(planning(session, delivered=asked)) == {}


def test_ten_a_session() -> None:
    steps = crowded(
        *(f"a{day}|D+{day} 10:00|D+{day} 20:00|advice" for day in range(1, 10)),
        "m|D+20 11:00|D+30 20:00|maint|repeat = { after_days = 84, times = 1 }",
        "z|D+40 11:00|D+41 20:00|late_check",
    )
    made = planning(done(SESSION, protocol=steps))
    # a card, nine pieces of advice, one late check: eleven without any upkeep
    assert reasons(made) == {"a9": "cap", "m": "cap", "m-2": "cap"}


def test_a_next_visits_preparation_counts_to_the_session_before() -> None:
    steps = crowded(*(f"a{day}|D+{day} 10:00|D+{day} 20:00|advice" for day in range(1, 9)))
    session = done(SESSION, protocol=steps)
    visit = planned("2025-04-10 14:00", since=SESSION)
    made = planning(session, visit)
    # card, prep2 and conf are never dropped; prep14 outranks advice: six places are left
    assert reasons(made) == {"v1/a7": "cap", "v1/a8": "cap"}
    other = replace(visit, session="v2")
    assert reasons(planning(session, other)) == {}


def test_what_answers_the_persons_own_action_is_outside_the_caps() -> None:
    session = done(SESSION, since="2025-03-11 21:30")
    taken = [handed(session, "a", "2025-03-11"), handed(session, "b", "2025-03-11")]
    made = planning(session, delivered=taken)
    assert goes(made)["card"] == goes(made)["d1"] == "2025-03-11 21:30"
