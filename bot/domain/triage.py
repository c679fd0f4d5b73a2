"""What answers amount to: the level that a report reaches, by tables that a clinician approves.

The table is clinical.md 4. Every sign has one rule, the highest level of all answers counts, and
no answer can lower it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bot.domain.reading import Table
from bot.domain.states import Level

__all__ = [
    "EXPECTED_FOR_A_TIME",
    "GROUPS",
    "NOTHING_EXPECTED",
    "SIGNS",
    "Group",
    "Trend",
    "Triage",
    "highest",
    "level_of",
    "parse",
    "with_days",
]

# Feeling ill is urgent to this day after a session, and with any lump (clinical.md 4).
_FEVER_URGENT_UNTIL = 14
# From this day on "the same" is no news: the clinic is told (clinical.md 4).
_SAME_TELLS_FROM = 7
# The days of a protocol that knows none: no sign is expected, nothing is critical.
_NEVER = -1
_ORDER = tuple(Level)


class Group(StrEnum):
    """One key of the first list of signs; the first three mean an emergency by themselves."""

    BREATHING = "group_breathing"
    SIGHT = "group_sight"
    FAINT = "group_faint"
    PAIN = "group_pain"
    FEVER = "group_fever"
    MILDER = "group_milder"


class Trend(StrEnum):
    """How the area is, compared with the day before."""

    BETTER = "better"
    SAME = "same"
    WORSE = "worse"
    NOT_SURE = "not_sure"


EXPECTED_FOR_A_TIME = (
    *("redness", "swelling", "bruise", "tender", "burning", "itch", "dry", "lump", "headache"),
)
"""Signs that are expected until a day that depends on the treatment."""

GROUPS: Mapping[Group, tuple[str, ...]] = {
    Group.BREATHING: ("breathing", "throat_swelling", "swallow_speak"),
    Group.SIGHT: ("sight_loss", "sight_blur_double"),
    Group.FAINT: ("collapse_or_hives_dizzy", "chest_pain", "stroke_signs"),
    Group.PAIN: (
        *("strong_or_growing_pain", "skin_cold_numb_or_colour", "blister_pus_black"),
        *("hot_spreading", "face_or_eye_swelling", "bruise_growing_fast"),
        *("bleeding_10min", "weak_muscles"),
    ),
    Group.FEVER: ("sepsis_signs", "fever_or_ill"),
    Group.MILDER: (
        *("redness", "swelling", "bruise", "tender", "burning", "itch"),
        *("rash_or_hives", "dry", "lump", "sore_lump", "cold_sore", "dark_or_light_patch"),
        *("eyelid_droop", "headache", "unhappy", "worried"),
    ),
}
"""The signs behind each key, in the order in which they are shown."""

SIGNS: tuple[str, ...] = (
    *(sign for signs in GROUPS.values() for sign in signs),
    # Said before a visit, not after one.
    "new_medicine_ill_pregnant",
)
"""Every sign that a patient can report."""

_ALWAYS: Mapping[str, Level] = {
    **dict.fromkeys(GROUPS[Group.BREATHING], Level.EMERGENCY),
    **dict.fromkeys(GROUPS[Group.FAINT], Level.EMERGENCY),
    **dict.fromkeys(GROUPS[Group.PAIN], Level.URGENT),
    "sight_loss": Level.EMERGENCY,
    "sepsis_signs": Level.EMERGENCY,
    **dict.fromkeys(
        (
            *("rash_or_hives", "cold_sore", "dark_or_light_patch"),
            *("unhappy", "worried", "new_medicine_ill_pregnant"),
        ),
        Level.TELL_CLINIC,
    ),
    # A key of the list whose signs were not told apart: the report stopped half-way.
    Group.BREATHING: Level.EMERGENCY,
    Group.SIGHT: Level.EMERGENCY,
    Group.FAINT: Level.EMERGENCY,
    Group.PAIN: Level.URGENT,
    Group.MILDER: Level.TELL_CLINIC,
}
_HEAT_PUS_FEVER = frozenset({"hot_spreading", "blister_pus_black", "fever_or_ill", "sepsis_signs"})
_LUMPS = frozenset({"lump", "sore_lump"})


@dataclass(frozen=True, slots=True)
class Triage:
    """What a protocol says of its own signs; days count from the session, which is day 0.

    ``expected_until`` is the last day on which a sign is still expected. To ``critical_until`` not
    being sure is urgent, and no answer is looked at on the same day.
    """

    expected_until: Mapping[str, int] = field(default_factory=dict)
    critical_until: int = _NEVER
    asks_about_sight: bool = False
    eyelid_droop: Level = Level.URGENT


NOTHING_EXPECTED = Triage()
"""For a patient without a session, and for a protocol that says nothing: the strictest there is."""


def highest(levels: Collection[Level]) -> Level:
    """Return the highest of some levels; *expected* when there is none."""
    return max(levels, key=_ORDER.index, default=Level.EXPECTED)


def level_of(
    triage: Triage, day: int, answers: Collection[str], trend: Trend | None = None
) -> Level:
    """Return the level that these answers reach on a day after the session.

    ``answers`` are signs, or the keys of groups whose sign was not told. One more answer never
    makes it lower. Raises ``ValueError`` for an answer that is none.
    """
    given = frozenset(answers)
    unknown = given - {*SIGNS, *Group}
    if unknown:
        raise ValueError(f"{sorted(unknown)[0]!r} is no answer; known: {', '.join(SIGNS)}")
    reached = [_level(triage, day, answer, given) for answer in given]
    if trend is not None:
        reached.append(_of_trend(triage, day, trend))
    return highest(reached)


def _level(triage: Triage, day: int, answer: str, given: frozenset[str]) -> Level:
    if answer in EXPECTED_FOR_A_TIME:
        last = triage.expected_until.get(answer, _NEVER)
        return Level.EXPECTED if day <= last else Level.TELL_CLINIC
    if answer == "sight_blur_double":
        return Level.URGENT if triage.asks_about_sight else Level.EMERGENCY
    if answer == "eyelid_droop":
        return triage.eyelid_droop
    if answer == "sore_lump":
        return Level.URGENT if given & _HEAT_PUS_FEVER else Level.TELL_CLINIC
    if answer in ("fever_or_ill", Group.FEVER):
        urgent = day <= _FEVER_URGENT_UNTIL or given & _LUMPS
        return Level.URGENT if urgent else Level.TELL_CLINIC
    return _ALWAYS[answer]


def _of_trend(triage: Triage, day: int, trend: Trend) -> Level:
    if trend is Trend.BETTER:
        return Level.EXPECTED
    if trend is Trend.SAME:
        return Level.EXPECTED if day < _SAME_TELLS_FROM else Level.TELL_CLINIC
    return Level.URGENT if day <= triage.critical_until else Level.TELL_CLINIC


_KEYS = frozenset({"expected_until", "critical_until", "asks_about_sight", "eyelid_droop"})
_LAST_DAY = 365


def parse(table: Table) -> Triage:
    """Return what a protocol's ``[triage]`` says; raises ProtocolError for what does not fit."""
    table.only(_KEYS)
    days = table.table("expected_until")
    days.only(frozenset(EXPECTED_FOR_A_TIME))
    droops = table.text("eyelid_droop") if "eyelid_droop" in table.data else Level.URGENT.value
    if droops not in (Level.TELL_CLINIC, Level.URGENT):
        table.refuse("eyelid_droop", f"{droops!r} is not 'tell_clinic' or 'urgent'")
    return Triage(
        expected_until={sign: _day(days, sign) for sign in EXPECTED_FOR_A_TIME},
        critical_until=_day(table, "critical_until") if "critical_until" in table.data else _NEVER,
        asks_about_sight=table.flag("asks_about_sight"),
        eyelid_droop=Level(droops),
    )


def with_days(known: Triage, days: Table) -> Triage:
    """Return the same with other last days for some signs: those of a variant of the treatment."""
    days.only(frozenset(EXPECTED_FOR_A_TIME))
    own = {sign: _day(days, sign) for sign in days.data}
    return replace(known, expected_until={**known.expected_until, **own})


def _day(table: Table, key: str) -> int:
    value = table.data.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LAST_DAY:
        table.refuse(key, f"must be a day from 0 to {_LAST_DAY}, not {value!r}")
    return value
