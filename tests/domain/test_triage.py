"""What answers amount to: the clinicians' table, and that no answer lowers a level."""

import itertools
import tomllib

import pytest

from bot.domain.protocol_files import ProtocolError, parse
from bot.domain.states import Level
from bot.domain.triage import (
    EXPECTED_FOR_A_TIME,
    GROUPS,
    NOTHING_EXPECTED,
    SIGNS,
    Group,
    Trend,
    Triage,
    highest,
    level_of,
)

from .samples import BODY, BODY_FAT, DERMAL_FILLER, FACE, FACE_FILE

EXPECTED, TELL, URGENT, EMERGENCY = Level
# clinical.md 4: the last day on which each sign is still expected.
LAST_DAYS = {
    "meso_face": (2, 3, 14, 3, 1, 2, 7, 3, 1),
    "meso_scalp": (3, 2, 14, 3, 1, 3, 7, 3, 1),
    "meso_body": (3, 7, 14, 7, 1, 3, 7, 7, 0),
    "meso_body_fat": (3, 14, 14, 14, 1, 3, 7, 14, 0),
    "filler": (3, 7, 14, 7, 0, 2, 7, 14, 1),
    "toxin": (1, 1, 14, 2, 0, 1, 0, 0, 2),
    "peel_superficial": (3, 2, 0, 3, 2, 3, 10, 0, 0),
    "microneedling": (3, 2, 7, 3, 1, 3, 7, 1, 0),
}
SURFACE = {"toxin", "peel_superficial", "microneedling"}
VARIANTS = {
    name: Triage(
        expected_until=dict(zip(EXPECTED_FOR_A_TIME, days, strict=True)),
        critical_until=3 if name == "filler" else -1,
        asks_about_sight=name in SURFACE,
        eyelid_droop=TELL if name == "toxin" else URGENT,
    )
    for name, days in LAST_DAYS.items()
}
FACE_SIGNS, FILLER, TOXIN = VARIANTS["meso_face"], VARIANTS["filler"], VARIANTS["toxin"]
SHIPPED = {
    "meso_face": FACE,
    "meso_body": BODY,
    "meso_body_fat": BODY_FAT,
    "filler": DERMAL_FILLER,
}
ALL = {
    **VARIANTS,
    "nothing": NOTHING_EXPECTED,
    **{each.full_name: each.triage for protocol in SHIPPED.values() for each in protocol.every},
}
ANSWERS = (*SIGNS, *Group)


@pytest.mark.parametrize("row", SHIPPED)
def test_a_shipped_protocol_says_what_the_table_says(row: str) -> None:
    assert SHIPPED[row].triage == VARIANTS[row]


def test_every_shipped_protocol_and_variant_is_tried() -> None:
    shipped = {
        each.full_name
        for file in FACE_FILE.parent.glob("*.toml")
        for each in parse(file.stem, tomllib.loads(file.read_text("utf-8")), file.name).every
    }
    assert {each.full_name for each in SHIPPED.values()} == shipped


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_sign_is_expected_to_its_last_day_and_no_longer(variant: str) -> None:
    for sign, last in VARIANTS[variant].expected_until.items():
        assert level_of(VARIANTS[variant], last, [sign]) is EXPECTED
        assert level_of(VARIANTS[variant], last + 1, [sign]) is TELL
        assert level_of(VARIANTS[variant], 0, [sign]) is EXPECTED


@pytest.mark.parametrize(
    ("triage", "day", "answers", "level"),
    [
        (FACE_SIGNS, 0, ["breathing"], EMERGENCY),
        (FACE_SIGNS, 400, ["throat_swelling"], EMERGENCY),
        (TOXIN, 20, ["swallow_speak"], EMERGENCY),
        (FACE_SIGNS, 1, ["sight_loss"], EMERGENCY),
        (TOXIN, 1, ["sight_loss"], EMERGENCY),
        (FACE_SIGNS, 1, ["sight_blur_double"], EMERGENCY),
        (FILLER, 1, ["sight_blur_double"], EMERGENCY),
        (TOXIN, 1, ["sight_blur_double"], URGENT),
        # Their sight, and nobody knows what of it.
        (TOXIN, 1, [Group.SIGHT], EMERGENCY),
        (FACE_SIGNS, 0, ["chest_pain"], EMERGENCY),
        (FACE_SIGNS, 0, ["stroke_signs"], EMERGENCY),
        (FACE_SIGNS, 0, ["collapse_or_hives_dizzy"], EMERGENCY),
        *((FACE_SIGNS, day, [sign], URGENT) for sign in GROUPS[Group.PAIN] for day in (0, 99)),
        (FACE_SIGNS, 50, ["sepsis_signs"], EMERGENCY),
        (FACE_SIGNS, 14, ["fever_or_ill"], URGENT),
        (FACE_SIGNS, 15, ["fever_or_ill"], TELL),
        (FACE_SIGNS, 15, ["fever_or_ill", "lump"], URGENT),
        (FACE_SIGNS, 40, ["fever_or_ill", "sore_lump"], URGENT),
        (FACE_SIGNS, 1, ["sore_lump"], TELL),
        (FACE_SIGNS, 30, ["sore_lump", "hot_spreading"], URGENT),
        (FACE_SIGNS, 30, ["sore_lump", "blister_pus_black"], URGENT),
        (FACE_SIGNS, 2, ["sore_lump", "redness"], TELL),
        (FACE_SIGNS, 1, ["eyelid_droop"], URGENT),
        (TOXIN, 5, ["eyelid_droop"], TELL),
        *(
            (FILLER, 0, [sign], TELL)
            for sign in ("rash_or_hives", "cold_sore", "dark_or_light_patch", "unhappy", "worried")
        ),
        (FACE_SIGNS, 0, ["new_medicine_ill_pregnant"], TELL),
        # The highest counts.
        (FACE_SIGNS, 0, ["redness", "strong_or_growing_pain", "itch"], URGENT),
        (FACE_SIGNS, 0, ["redness", "itch"], EXPECTED),
        (FACE_SIGNS, 0, [], EXPECTED),
        (NOTHING_EXPECTED, 0, ["redness"], TELL),
        # The first key of a report that stopped there.
        (FACE_SIGNS, 9, [Group.PAIN], URGENT),
        (FACE_SIGNS, 9, [Group.FEVER], URGENT),
        (FACE_SIGNS, 15, [Group.FEVER], TELL),
        (FACE_SIGNS, 0, [Group.MILDER], TELL),
        (FACE_SIGNS, 0, [Group.BREATHING], EMERGENCY),
        (FACE_SIGNS, 0, [Group.FAINT], EMERGENCY),
    ],
)
def test_what_a_sign_amounts_to(triage: Triage, day: int, answers: list[str], level: Level) -> None:
    assert level_of(triage, day, answers) is level


@pytest.mark.parametrize(
    ("triage", "day", "trend", "level"),
    [
        (FACE_SIGNS, 1, Trend.BETTER, EXPECTED),
        (FACE_SIGNS, 90, Trend.BETTER, EXPECTED),
        (FACE_SIGNS, 6, Trend.SAME, EXPECTED),
        (FACE_SIGNS, 7, Trend.SAME, TELL),
        (FACE_SIGNS, 0, Trend.WORSE, TELL),
        (FACE_SIGNS, 0, Trend.NOT_SURE, TELL),
        (FILLER, 3, Trend.WORSE, URGENT),
        (FILLER, 3, Trend.NOT_SURE, URGENT),
        (FILLER, 4, Trend.NOT_SURE, TELL),
        (FILLER, 3, Trend.SAME, EXPECTED),
    ],
)
def test_what_a_trend_amounts_to(triage: Triage, day: int, trend: Trend, level: Level) -> None:
    assert level_of(triage, day, [], trend) is level


def test_no_answer_lowers_a_level() -> None:
    """All variants, days, trends, pairs of answers: what comes on top only raises."""
    order = list(Level).index
    for triage, day in itertools.product(ALL.values(), (*range(16), 21, 28, 84)):
        alone = {answer: order(level_of(triage, day, [answer])) for answer in ANSWERS}
        trends = {trend: order(level_of(triage, day, [], trend)) for trend in Trend}
        for one, other in itertools.product(ANSWERS, ANSWERS):
            both = order(level_of(triage, day, [one, other]))
            assert both >= max(alone[one], alone[other]), (day, one, other)
        for answer, trend in itertools.product(ANSWERS, Trend):
            together = order(level_of(triage, day, [answer], trend))
            assert together == max(alone[answer], trends[trend]), (day, answer, trend)


def test_three_answers_are_never_less_than_two() -> None:
    order = list(Level).index
    low = [sign for sign in SIGNS if level_of(FACE_SIGNS, 20, [sign]) is not EMERGENCY]
    for signs in itertools.combinations(low, 3):
        whole = order(level_of(FACE_SIGNS, 20, signs))
        for two in itertools.combinations(signs, 2):
            assert whole >= order(level_of(FACE_SIGNS, 20, two)), signs


def test_every_sign_has_one_place_and_a_level_everywhere() -> None:
    listed = [sign for signs in GROUPS.values() for sign in signs]
    assert len(listed) == len(set(listed)) == len(SIGNS) - 1
    for triage, day, answer in itertools.product(ALL.values(), (0, 7, 100), ANSWERS):
        assert isinstance(level_of(triage, day, [answer]), Level)


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="'tired' is no answer"):
        level_of(FACE_SIGNS, 0, ["tired"])


def test_the_highest_of_none_is_expected() -> None:
    assert highest([]) is EXPECTED
    assert highest([TELL, EMERGENCY, URGENT]) is EMERGENCY


@pytest.mark.parametrize(
    ("triage", "key", "reason"),
    [
        ({"expected_until": {"redness": 2}}, "triage.expected_until.swelling", "must be a day"),
        ({"critical_until": -1}, "triage.critical_until", "must be a day"),
        ({"critical_until": True}, "triage.critical_until", "must be a day"),
        ({"eyelid_droop": "expected"}, "triage.eyelid_droop", "not 'tell_clinic' or 'urgent'"),
        ({"asks_about_sight": 1}, "triage.asks_about_sight", "must be true or false"),
        ({"worse": "urgent"}, "triage.worse", "is not known"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    triage: dict[str, object], key: str, reason: str
) -> None:
    data = tomllib.loads(FACE_FILE.read_text("utf-8"))
    data["triage"] |= triage
    with pytest.raises(ProtocolError, match=reason) as refused:
        parse("mesotherapy-face", data, "file")
    assert refused.value.key == key
