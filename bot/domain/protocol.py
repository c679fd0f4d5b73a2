"""What follows one kind of treatment: its limits and steps, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, time, timedelta
from enum import StrEnum

from bot.domain.moments import (
    Anchor,
    Moment,
    later,
    minutes_from_anchor_day,
)
from bot.domain.triage import NOTHING_EXPECTED, Triage

__all__ = [
    "Anchor",
    "Condition",
    "ConditionKind",
    "Kind",
    "Limit",
    "Moment",
    "Protocol",
    "Step",
]

NUDGE_AFTER = timedelta(hours=4)
# So long after any session somebody who cannot be asked is looked for; longer where signs of
# danger come later.
WATCHED_FOR = timedelta(days=2)
FACE = ("front", "left", "right")
"""The angles of photos unless a protocol names its own."""


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
    # The variants of the protocol that it belongs to; none when it belongs to all of them.
    variants: tuple[str, ...] = ()
    # Within which days after the session the practitioner may set it; none when it is as it is.
    set_days: tuple[int, ...] = ()
    # The limits that it asks for until the visit it prepares; they hold once it was sent.
    until_visit: tuple[str, ...] = ()

    @property
    def silent(self) -> bool:
        """Whether the phone makes no sound: photos, booking and upkeep alone."""
        return _SILENT.issuperset(self.kinds)


@dataclass(frozen=True, slots=True)
class Protocol:
    """What follows one kind of treatment, or one variant of it.

    A variant is chosen at the beginning of a course: whole as it is, it stands in the place of the
    protocol, with the same name and version.
    """

    name: str
    version: int
    title: str
    limits: tuple[Limit, ...]
    steps: tuple[Step, ...]
    triage: Triage = NOTHING_EXPECTED
    # From where a photo of the area is taken, in the order in which they are asked for.
    angles: tuple[str, ...] = FACE
    # The next session is planned no earlier than so many days after the one before.
    target_not_before: int = 0
    variant: str | None = None
    variants: Mapping[str, "Protocol"] = field(default_factory=dict)

    def of(self, variant: str | None) -> "Protocol":
        """The protocol as that variant has it; itself without one, KeyError for an unknown one."""
        return self if variant is None else self.variants[variant]

    @property
    def every(self) -> tuple["Protocol", ...]:
        """The protocol and all of its variants."""
        return (self, *self.variants.values())

    @property
    def full_name(self) -> str:
        """The name with that of the variant: what the words for the treatment go by."""
        return self.name if self.variant is None else f"{self.name}-{self.variant}"

    def target(self, planned: date | None, done: date | None) -> date | None:
        """The date to book a next session for, where one is planned: never before it may be."""
        if planned is None or done is None or not self.target_not_before:
            return planned
        return max(planned, done + timedelta(days=self.target_not_before))

    def step(self, step_id: str) -> Step:
        """The step of that id; raises KeyError when the protocol has none."""
        for step in self.steps:
            if step.id == step_id:
                return step
        raise KeyError(step_id)

    @property
    def upkeep(self) -> Step | None:
        """The step whose day the practitioner may set for a course, if there is one."""
        return next((step for step in self.steps if step.set_days and not step.repeat_of), None)

    def with_upkeep(self, days: int | None) -> "Protocol":
        """The protocol with that step so many days after the session; without ``days`` as it is."""
        step = self.upkeep
        if days is None or step is None:
            return self
        return replace(self, steps=tuple(_moved(each, step, days) for each in self.steps))

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


def _moved(step: Step, upkeep: Step, days: int) -> Step:
    if upkeep.id not in (step.id, step.repeat_of):
        return step
    by = days - upkeep.when.days
    return replace(step, when=later(step.when, by), valid_until=later(step.valid_until, by))
