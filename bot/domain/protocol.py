"""What follows one kind of treatment: its limits and steps, read from plain data and checked."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time, timedelta
from enum import StrEnum
from typing import TypeVar

from bot.domain import triage
from bot.domain.moments import (
    Anchor,
    Moment,
    later,
    minutes_from_anchor_day,
    parse_clock,
    parse_limit_end,
    parse_moment,
)
from bot.domain.reading import ProtocolError, Table
from bot.domain.times import QuietHours
from bot.domain.triage import NOTHING_EXPECTED, Triage

__all__ = [
    "Anchor",
    "Condition",
    "ConditionKind",
    "Kind",
    "Limit",
    "Moment",
    "Protocol",
    "ProtocolError",
    "Step",
    "parse",
]

LATEST_WINDOW_DAYS = 7
MAX_BUTTONS = 3
NUDGE_AFTER = timedelta(hours=4)
# So long after any session somebody who cannot be asked is looked for; longer where signs of
# danger come later.
WATCHED_FOR = timedelta(days=2)
FACE = ("front", "left", "right")
"""The angles of photos unless a protocol names its own."""

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LABEL = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TEMPLATE = re.compile(r"steps(/[a-z0-9]+(-[a-z0-9]+)*)+")
_GAP = re.compile(r"gap >= (\d{1,3})")
_NEXT_VISIT_NEAR = re.compile(r"NV <= D\+(\d{1,3})")
_FILE_KEYS = frozenset({"title", "version", "limits", "triage", "angles", "step"})
_REPEAT_KEYS = frozenset({"after_days", "times"})
_INSTEAD_KEYS = frozenset({"step", "when"})
_TIME_KEYS = frozenset(
    {"when", "latest", "valid_until", "quiet_exempt", "repeat", "nudge_after", "if_skipped"}
)
_CONTENT_KEYS = frozenset({"id", "kind", "safety", "template", "warning", "buttons", "sources"})
_STEP_KEYS = _TIME_KEYS | _CONTENT_KEYS | {"only_if", "skip_if"}
_DAY = 24 * 60

T = TypeVar("T")


class Kind(StrEnum):
    """What a step does; a step may do several things."""

    CARD = "card"
    CHECK = "check"
    LIFT = "lift"
    PHOTO = "photo"
    BOOK = "book"
    PREP = "prep"
    CONFIRM = "confirm"
    LATE_CHECK = "late_check"
    MAINT = "maint"
    REVIEW = "review"
    ADVICE = "advice"


_SILENT = frozenset({Kind.PHOTO, Kind.BOOK, Kind.MAINT})


class ConditionKind(StrEnum):
    """What must hold, or must not, for a step to go."""

    UNBOOKED = "unbooked"
    LATEST = "latest"
    UNCONFIRMED = "unconfirmed"
    GAP = "gap"
    NEXT_VISIT_NEAR = "next_visit_near"


_ABOUT_A_PLANNED_VISIT = frozenset({ConditionKind.UNCONFIRMED, ConditionKind.GAP})


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; ``days`` is the smallest gap, the window of latest, or how near is near."""

    kind: ConditionKind
    days: int = 0


@dataclass(frozen=True, slots=True)
class Limit:
    """Something to avoid until a moment."""

    id: str
    until: Moment


@dataclass(frozen=True, slots=True)
class Instead:
    """When a step goes where an earlier one, bounded by its latest hour, is left out."""

    step: str
    when: Moment


@dataclass(frozen=True, slots=True)
class Step:
    """One planned message of a protocol; a repeat is a step of its own."""

    id: str
    when: Moment
    valid_until: Moment
    kinds: tuple[Kind, ...]
    safety: bool
    conditions: tuple[Condition, ...]
    template: str
    buttons: tuple[str, ...]
    sources: tuple[str, ...]
    repeat_of: str | None = None
    latest_at: time | None = None
    quiet_exempt: bool = False
    warning_template: str | None = None
    # An unanswered safety check is asked once more after this long.
    nudge_after: timedelta = NUDGE_AFTER
    if_skipped: Instead | None = None

    @property
    def silent(self) -> bool:
        """Whether the phone makes no sound: photos, booking and upkeep alone."""
        return _SILENT.issuperset(self.kinds)


@dataclass(frozen=True, slots=True)
class Protocol:
    """What follows one kind of treatment."""

    name: str
    version: int
    title: str
    limits: tuple[Limit, ...]
    steps: tuple[Step, ...]
    triage: Triage = NOTHING_EXPECTED
    # From where a photo of the area is taken, in the order in which they are asked for.
    angles: tuple[str, ...] = FACE

    def step(self, step_id: str) -> Step:
        """The step of that id; raises KeyError when the protocol has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    @property
    def watched_for(self) -> timedelta:
        """How long after a session a silent patient is asked, or phoned, without being asked."""
        return max(WATCHED_FOR, timedelta(days=self.triage.critical_until))

    @property
    def books(self) -> bool:
        """Whether sessions follow one another, so that a next one is planned and booked."""
        return any(Kind.BOOK in step.kinds for step in self.steps)

    def lifted_by(self, step: Step) -> tuple[str, ...]:
        """The limits by the calendar that have ended by this step, and not by a lift before it."""
        if Kind.LIFT not in step.kinds:
            return ()
        due = minutes_from_anchor_day(step.when)[0]
        earlier = [
            minute
            for other in self.steps
            if Kind.LIFT in other.kinds and (minute := minutes_from_anchor_day(other.when)[0]) < due
        ]
        since = max(earlier, default=0)
        return tuple(
            limit.id
            for limit in self.limits
            if limit.until.elapsed is None
            and since < minutes_from_anchor_day(limit.until)[0] <= due
        )

    def told_by(self, limit_id: str) -> Step | None:
        """The step that says that the limit is over, or when: its lift; of hours, the next check.

        That check is the first of a later day than the session's. None when no step says it.
        """
        limit = next(each for each in self.limits if each.id == limit_id)
        if limit.until.elapsed is None:
            return next((step for step in self.steps if limit_id in self.lifted_by(step)), None)
        later_checks = (
            step
            for step in self.steps
            if Kind.CHECK in step.kinds and step.when.anchor is Anchor.D and step.when.days
        )
        return min(
            later_checks, key=lambda step: minutes_from_anchor_day(step.when)[0], default=None
        )


def parse(name: str, data: Mapping[str, object], file: str) -> Protocol:
    """The protocol that ``data`` (TOML, or JSON made from it) describes, repeats as own steps.

    Raises ProtocolError naming ``file``, the key and the reason for whatever does not fit.
    """
    table = Table(file, "", data)
    if not _NAME.fullmatch(name):
        table.refuse("name", f"{name!r} does not look like {_NAME.pattern}")
    table.only(_FILE_KEYS)
    title, version = table.text("title"), table.count("version")
    limits = _limits(table)
    signs = triage.parse(table.table("triage")) if "triage" in table.data else NOTHING_EXPECTED
    angles = table.texts("angles", _LABEL) if "angles" in table.data else FACE
    if len(angles) > MAX_BUTTONS:
        table.refuse("angles", f"must be {MAX_BUTTONS} at most")
    steps: list[Step] = []
    for entry in table.tables("step"):
        for step in _steps(entry):
            if any(other.id == step.id for other in steps):
                entry.refuse("id", f"{step.id!r} is already the id of another step")
            _check_instead(entry, step, steps)
            steps.append(step)
    if sum(Kind.CARD in step.kinds for step in steps) != 1:
        table.refuse("step", "must hold one card, what a patient who joins gets first")
    return Protocol(name, version, title, limits, tuple(steps), signs, angles)


def _limits(table: Table) -> tuple[Limit, ...]:
    ends = table.table("limits")
    if not ends.data:
        table.refuse("limits", "must not be empty")
    for key in ends.data:
        if not _LABEL.fullmatch(key):
            ends.refuse(key, f"does not look like {_LABEL.pattern}")
    return tuple(Limit(key, _read(ends, key, parse_limit_end)) for key in ends.data)


def _steps(table: Table) -> tuple[Step, ...]:
    table.only(_STEP_KEYS)
    step = Step(
        id=table.text("id", _NAME),
        when=_read(table, "when", parse_moment),
        valid_until=_read(table, "valid_until", parse_moment),
        kinds=_kinds(table),
        safety=table.flag("safety"),
        conditions=_conditions(table),
        template=table.text("template", _TEMPLATE),
        buttons=table.some_texts("buttons", _LABEL),
        sources=table.some_texts("sources"),
        latest_at=_read(table, "latest", parse_clock) if "latest" in table.data else None,
        quiet_exempt=table.flag("quiet_exempt"),
        warning_template=table.text("warning", _TEMPLATE) if "warning" in table.data else None,
        nudge_after=_read(table, "nudge_after", _hours)
        if "nudge_after" in table.data
        else NUDGE_AFTER,
        if_skipped=_instead(table.table("if_skipped")) if "if_skipped" in table.data else None,
    )
    _check_times(table, step)
    _check_meaning(table, step)
    return (step, *_repeats(table, step))


def _instead(table: Table) -> Instead:
    table.only(_INSTEAD_KEYS)
    return Instead(table.text("step", _NAME), _read(table, "when", parse_moment))


def _check_instead(table: Table, step: Step, before: Sequence[Step]) -> None:
    if step.if_skipped is None:
        return
    if not any(each.id == step.if_skipped.step and each.latest_at for each in before):
        table.refuse("if_skipped", "names no step above this one that has a 'latest'")
    usual, instead = step.when, step.if_skipped.when
    if (usual.anchor, instead.anchor) != (Anchor.D, Anchor.D) or not (
        minutes_from_anchor_day(instead)[0] < minutes_from_anchor_day(usual)[0]
    ):
        table.refuse("if_skipped", "is no time such as 'D+1 08:30' before 'when'")


def _kinds(table: Table) -> tuple[Kind, ...]:
    kinds = []
    for text in table.some_texts("kind"):
        if text not in set(Kind):
            table.refuse("kind", f"{text!r} is not one of {', '.join(Kind)}")
        kinds.append(Kind(text))
    return tuple(kinds)


def _conditions(table: Table) -> tuple[Condition, ...]:
    found: list[Condition] = []
    for text in table.texts("only_if"):
        if gap := _GAP.fullmatch(text):
            found.append(Condition(ConditionKind.GAP, int(gap[1])))
        elif text == ConditionKind.LATEST:
            found.append(Condition(ConditionKind.LATEST, LATEST_WINDOW_DAYS))
        elif text in (ConditionKind.UNBOOKED, ConditionKind.UNCONFIRMED):
            found.append(Condition(ConditionKind(text)))
        else:
            table.refuse(
                "only_if", f"{text!r} is not 'unbooked', 'latest', 'unconfirmed' or 'gap >= 21'"
            )
    for text in table.texts("skip_if"):
        near = _NEXT_VISIT_NEAR.fullmatch(text)
        if near is None:
            table.refuse("skip_if", f"{text!r} is not like 'NV <= D+9'")
        found.append(Condition(ConditionKind.NEXT_VISIT_NEAR, int(near[1])))
    return tuple(found)


def _check_times(table: Table, step: Step) -> None:
    if _counted_from(step.when) != _counted_from(step.valid_until):
        table.refuse("valid_until", "is counted from something else than 'when'")
    if step.valid_until.earliest is not None:
        table.refuse("valid_until", "must be one time, not the later of two")
    start, end = minutes_from_anchor_day(step.when), minutes_from_anchor_day(step.valid_until)
    if step.when.elapsed is not None and step.valid_until.elapsed is not None:
        end = (end[0], end[0])
    if end[1] <= start[0]:
        table.refuse("valid_until", "lies before 'when'")
    if step.latest_at is not None and (step.when.anchor, step.when.at) != (Anchor.T0, None):
        table.refuse("latest", "only bounds a time such as 'T0+3h'")
    exact = start[0] == start[1] and end[0] == end[1]
    if exact and not step.quiet_exempt and _quiet_end(start[0]) >= end[1]:
        table.refuse("valid_until", "lies in the same quiet hours as 'when': it would never go")


def _check_meaning(table: Table, step: Step) -> None:
    if step.safety and Kind.CHECK not in step.kinds:
        table.refuse("safety", "belongs to a check only")
    if Kind.CARD in step.kinds and step.when != Moment(
        Anchor.T0, elapsed=parse_moment("T0").elapsed
    ):
        table.refuse("when", "must be 'T0': a card goes at the end of the session")
    if step.warning_template and Kind.CARD not in step.kinds:
        table.refuse("warning", "belongs to a card only")
    if step.quiet_exempt and not (step.safety or Kind.CARD in step.kinds):
        table.refuse("quiet_exempt", "belongs to a card or a safety check only")
    if "nudge_after" in table.data and not step.safety:
        table.refuse("nudge_after", "belongs to a safety check only")
    if len(step.buttons) > MAX_BUTTONS:
        table.refuse("buttons", f"must be {MAX_BUTTONS} at most")
    for condition in step.conditions:
        about_planned = condition.kind in _ABOUT_A_PLANNED_VISIT
        if about_planned != (step.when.anchor is Anchor.NV):
            key = "skip_if" if condition.kind is ConditionKind.NEXT_VISIT_NEAR else "only_if"
            table.refuse(key, f"{condition.kind.value!r} cannot be judged for 'when'")


def _repeats(table: Table, step: Step) -> tuple[Step, ...]:
    if "repeat" not in table.data:
        return ()
    repeat = table.table("repeat")
    repeat.only(_REPEAT_KEYS)
    after_days, times = repeat.count("after_days"), repeat.count("times")
    if step.when.at is None or step.valid_until.at is None:
        table.refuse("repeat", "needs calendar times in 'when' and 'valid_until'")
    if step.when.anchor is Anchor.NV:
        table.refuse("repeat", "would run past the visit it prepares")
    return tuple(
        replace(
            step,
            id=f"{step.id}-{number + 1}",
            when=later(step.when, after_days * number),
            valid_until=later(step.valid_until, after_days * number),
            repeat_of=step.id,
        )
        for number in range(1, times + 1)
    )


def _counted_from(moment: Moment) -> Anchor:
    return Anchor.D if moment.anchor is Anchor.T0 else moment.anchor


def _quiet_end(minute: int) -> int:
    quiet = QuietHours()
    start, end = (clock.hour * 60 + clock.minute for clock in (quiet.start, quiet.end))
    day, clock = divmod(minute, _DAY)
    if clock >= start:
        return (day + 1) * _DAY + end
    return day * _DAY + end if clock < end else minute


def _hours(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,2})h", text)
    if found is None or not int(found[1]):
        raise ValueError(f"{text!r} is not like '4h'")
    return timedelta(hours=int(found[1]))


def _read(table: Table, key: str, reader: Callable[[str], T]) -> T:
    text = table.text(key)
    try:
        return reader(text)
    except ValueError as error:
        table.refuse(key, str(error))
