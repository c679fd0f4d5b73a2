"""The shipped body protocol and its variant: times worked out by hand, limits, what is refused."""

import tomllib
from datetime import date

import pytest

from bot.domain.protocol_files import ProtocolError, parse
from bot.domain.schedule import limit_ends
from bot.domain.states import Level
from bot.domain.times import local_date
from bot.domain.triage import EXPECTED_FOR_A_TIME, level_of
from tests.domain.samples import (
    BERLIN,
    BODY,
    BODY_FAT,
    BODY_FILE,
    FACE,
    at,
    done,
    goes,
    local,
    planning,
    reasons,
)

# The session ends on a Saturday; on Sunday at 02:00 Berlin's clocks go forward.
DONE = "2026-03-28 18:30"
COURSE = {
    "card": "2026-03-28 18:30",
    "d1": "2026-03-29 10:00",
    "d3": "2026-03-31 18:00",
    "d7": "2026-04-04 10:00",
    "d28": "2026-04-25 11:00",
    "d56": "2026-05-23 11:00",
    "maint": "2026-06-20 11:00",
    "maint-2": "2026-09-12 11:00",
}
D14 = {"d14": "2026-04-11 11:00"}


def test_the_course_with_and_without_the_variant() -> None:
    unplanned = {"book": "no_target_date!", "book-2": "no_target_date!"}
    plain, fat = planning(done(DONE, protocol=BODY)), planning(done(DONE, protocol=BODY_FAT))
    assert (goes(plain), reasons(plain)) == (COURSE, unplanned)
    assert (goes(fat), reasons(fat)) == (COURSE | D14, unplanned)
    assert local(fat["d14"].expires_at) == "2026-04-17 20:00"
    assert local(fat["d56"].expires_at) == "2026-06-06 20:00"


def test_the_variant_books_no_session_before_four_weeks() -> None:
    """Ten messages a session at most: the last repeat of upkeep is the first to go."""
    booked = {"book": "2026-03-31 12:00", "book-2": "2026-04-04 12:00"}
    plain = planning(done(DONE, protocol=BODY, target="2026-04-10"))
    assert goes(plain) == COURSE | booked
    for target in ("2026-04-01", "2026-04-10", "2026-04-25"):
        fat = planning(done(DONE, protocol=BODY_FAT, target=target))
        assert goes(fat)["book"] == "2026-04-15 12:00"
        assert local(fat["book"].expires_at) == "2026-05-09 20:00"
        assert goes(fat)["book-2"] == "2026-04-19 12:00"
        assert reasons(fat) == {"maint-2": "cap"}
    later = planning(done(DONE, protocol=BODY_FAT, target="2026-04-26"))
    assert goes(later)["book"] == "2026-04-16 12:00"


def test_a_target_is_never_earlier_than_it_may_be() -> None:
    session, soon, late = date(2026, 3, 28), date(2026, 4, 10), date(2026, 5, 1)
    assert BODY_FAT.target(soon, session) == date(2026, 4, 25)
    assert BODY_FAT.target(late, session) == late
    assert BODY_FAT.target(None, session) is None
    assert BODY_FAT.target(soon, None) == soon
    assert BODY.target(soon, session) == FACE.target(soon, session) == soon


@pytest.mark.parametrize(
    ("next_visit", "left_out"),
    [
        ("2026-04-06 09:00", {"d7", "d14"}),
        ("2026-04-07 09:00", {"d14"}),
        ("2026-04-13 09:00", {"d14"}),
        ("2026-04-14 09:00", set()),
    ],
)
def test_a_visit_soon_takes_the_place_of_a_check(next_visit: str, left_out: set[str]) -> None:
    made = planning(done(DONE, protocol=BODY_FAT, next_visit=next_visit))
    near = {step for step, reason in reasons(made).items() if reason == "next_visit_near"}
    assert near == left_out


def test_the_limits_end_alike_and_each_is_lifted_by_one_step() -> None:
    done_at = at(DONE)
    by_end: dict[str | None, list[str]] = {}
    for limit, end in limit_ends(BODY, done_at, local_date(done_at, BERLIN), BERLIN):
        by_end.setdefault(local(end), []).append(limit)
    assert by_end == {
        "2026-03-29 19:30": ["touch_rub", "bath_soak", "alcohol"],
        "2026-03-31 18:00": ["gym", "hot_bath", "tight_clothes", "shave_wax"],
        "2026-04-04 10:00": ["sauna_steam", "pool_sea", "massage_unless_told"],
        "2026-04-11 10:00": ["sun_on_area", "sunbed", "other_procedure"],
    }
    assert BODY_FAT.limits == BODY.limits
    for protocol in BODY.every:
        lifts = {step.id: protocol.lifted_by(step) for step in protocol.steps}
        assert {step: lifted for step, lifted in lifts.items() if lifted} == {
            "d3": ("gym", "hot_bath", "tight_clothes", "shave_wax"),
            "d7": ("sauna_steam", "pool_sea", "massage_unless_told"),
        }


def test_the_variant_is_the_same_but_for_what_it_says() -> None:
    assert [BODY.variant, BODY_FAT.variant] == [None, "fat-dissolving"]
    assert [each.full_name for each in BODY.every] == [
        "mesotherapy-body",
        "mesotherapy-body-fat-dissolving",
    ]
    assert BODY.of(None) is BODY
    with pytest.raises(KeyError):
        BODY.of("oil")
    assert (BODY_FAT.name, BODY_FAT.version) == (BODY.name, BODY.version)
    assert [step for step in BODY_FAT.steps if step.id != "d14"] == list(BODY.steps)
    differing = {
        sign
        for sign in EXPECTED_FOR_A_TIME
        if BODY.triage.expected_until[sign] != BODY_FAT.triage.expected_until[sign]
    }
    assert differing == {"swelling", "tender", "lump"}
    assert BODY.angles == BODY_FAT.angles == ("whole", "closer")


@pytest.mark.parametrize("sign", ["swelling", "tender", "lump"])
def test_the_variant_expects_a_sign_for_two_weeks(sign: str) -> None:
    for day, plain, fat in (
        (7, Level.EXPECTED, Level.EXPECTED),
        (8, Level.TELL_CLINIC, Level.EXPECTED),
        (14, Level.TELL_CLINIC, Level.EXPECTED),
        (15, Level.TELL_CLINIC, Level.TELL_CLINIC),
    ):
        assert level_of(BODY.triage, day, [sign]) is plain
        assert level_of(BODY_FAT.triage, day, [sign]) is fat


@pytest.mark.parametrize(
    ("old", "new", "key", "reason"),
    [
        ('variants = ["fat-dissolving"]', 'variants = ["oil"]', "step.d14.variants", "no variant"),
        ("target_not_before = 28", "target_not_before = 0", None, "from 1 on"),
        ("target_not_before = 28", "floor = 28", None, "is not known"),
        ("lump = 14", "lump = -1", None, "must be a day"),
        ("lump = 14", "worried = 14", None, "is not known"),
        ('id = "card"', 'id = "card"\nvariants = ["fat-dissolving"]', "step", "one card"),
        ("[variants.fat-dissolving.", "[variants.Fat.", None, "does not look like"),
    ],
)
def test_a_variant_that_does_not_fit_is_refused(
    old: str, new: str, key: str | None, reason: str
) -> None:
    text = BODY_FILE.read_text("utf-8")
    assert text.count(old) == 1
    with pytest.raises(ProtocolError, match=reason) as refused:
        parse("mesotherapy-body", tomllib.loads(text.replace(old, new)), "file")
    assert refused.value.key == (key or refused.value.key)
