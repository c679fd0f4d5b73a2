"""A protocol read from plain data (TOML, or JSON made from it) and checked, key by key."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
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
from bot.domain.protocol import (
    FACE,
    NUDGE_AFTER,
    Condition,
    ConditionKind,
    Instead,
    Kind,
    Limit,
    Protocol,
    Step,
)
from bot.domain.reading import ProtocolError, Table
from bot.domain.times import QuietHours
from bot.domain.triage import NOTHING_EXPECTED

__all__ = ["ProtocolError", "parse"]

LATEST_WINDOW_DAYS = 7
MAX_BUTTONS = 3
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LABEL = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_TEMPLATE = re.compile(r"steps(/[a-z0-9]+(-[a-z0-9]+)*)+")
_GAP = re.compile(r"gap >= (\d{1,3})")
_NEXT_VISIT_NEAR = re.compile(r"NV <= D\+(\d{1,3})")
_FILE_KEYS = frozenset(
    {"title", "version", "limits", "triage", "angles", "target_not_before", "variants", "step"}
)
_VARIANT_KEYS = frozenset({"expected_until", "target_not_before"})
_REPEAT_KEYS = frozenset({"after_days", "times"})
_INSTEAD_KEYS = frozenset({"step", "when"})
_TIME_KEYS = frozenset(
    {
        *("when", "latest", "valid_until", "quiet_exempt", "repeat", "nudge_after"),
        *("if_skipped", "set_days"),
    }
)
_CONTENT_KEYS = frozenset({"id", "kind", "safety", "template", "warning", "buttons", "sources"})
_STEP_KEYS = _TIME_KEYS | _CONTENT_KEYS | {"only_if", "skip_if", "variants", "until_visit"}
_DAY = 24 * 60

T = TypeVar("T")
_ABOUT_A_PLANNED_VISIT = frozenset({ConditionKind.UNCONFIRMED, ConditionKind.GAP})


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
    found = table.table("variants") if "variants" in table.data else Table(file, "variants", {})
    known = frozenset(found.data)
    steps: list[Step] = []
    for entry in table.tables("step"):
        for step in _steps(entry, known):
            if any(other.id == step.id for other in steps):
                entry.refuse("id", f"{step.id!r} is already the id of another step")
            _check_instead(entry, step, steps)
            steps.append(step)
    common = tuple(step for step in steps if not step.variants)
    cards = [step for step in steps if Kind.CARD in step.kinds]
    if len(cards) != 1 or cards[0] not in common:
        table.refuse("step", "must hold one card, what a patient who joins gets first")
    floor = _floor(table)
    whole = Protocol(name, version, title, limits, common, signs, angles, floor)
    variants = {each: _variant(found, each, whole, steps) for each in found.data}
    return replace(whole, variants=variants)


def _variant(table: Table, name: str, whole: Protocol, steps: Sequence[Step]) -> Protocol:
    """The protocol as one variant has it: its own days and floor, and the steps that it adds."""
    if not _NAME.fullmatch(name):
        table.refuse(name, f"does not look like {_NAME.pattern}")
    own = table.table(name)
    own.only(_VARIANT_KEYS)
    signs = whole.triage
    if "expected_until" in own.data:
        signs = triage.with_days(signs, own.table("expected_until"))
    return replace(
        whole,
        steps=tuple(step for step in steps if not step.variants or name in step.variants),
        triage=signs,
        target_not_before=_floor(own) or whole.target_not_before,
        variant=name,
    )


def _floor(table: Table) -> int:
    return table.count("target_not_before") if "target_not_before" in table.data else 0


def _limits(table: Table) -> tuple[Limit, ...]:
    ends = table.table("limits")
    if not ends.data:
        table.refuse("limits", "must not be empty")
    for key in ends.data:
        if not _LABEL.fullmatch(key):
            ends.refuse(key, f"does not look like {_LABEL.pattern}")
    return tuple(Limit(key, _read(ends, key, parse_limit_end)) for key in ends.data)


def _steps(table: Table, variants: frozenset[str]) -> tuple[Step, ...]:
    table.only(_STEP_KEYS)
    for each in table.texts("variants"):
        if each not in variants:
            table.refuse("variants", f"{each!r} is no variant of this protocol")
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
        variants=table.texts("variants"),
        set_days=_set_days(table) if "set_days" in table.data else (),
        until_visit=table.texts("until_visit"),
    )
    _check_times(table, step)
    _check_meaning(table, step)
    return (step, *_repeats(table, step))


def _set_days(table: Table) -> tuple[int, ...]:
    days = table.data["set_days"]
    if (
        not isinstance(days, list | tuple)
        or not all(isinstance(each, int) and not isinstance(each, bool) for each in days)
        or [*days] != sorted(days)
        or len(days) != 2
    ):
        table.refuse("set_days", f"must be the fewest and the most days, not {days!r}")
    return tuple(days)


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
    if step.set_days:
        both = step.when.anchor is Anchor.D and step.valid_until.anchor is Anchor.D
        if not both or not step.set_days[0] <= step.when.days <= step.set_days[1]:
            table.refuse("set_days", "must enclose a 'when' such as 'D+180 11:00'")
    if step.until_visit and step.when.anchor is not Anchor.NV:
        table.refuse("until_visit", "belongs to a step before a visit, such as 'NV-2 18:00'")
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
