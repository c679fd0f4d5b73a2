"""When each step of a protocol goes: anchors, joining late, quiet hours, conditions, the plan."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.domain.facts import Delivered, Planned, VisitFacts
from bot.domain.grouping import (
    DAILY_CAP,
    SESSION_CAP,
    SHORTEST_BEFORE_CHECK,
    asked_twice,
    catch_up,
    merge,
    within_caps,
)
from bot.domain.protocol import Anchor, ConditionKind, Kind, Moment, Protocol, Step
from bot.domain.states import Reason
from bot.domain.times import QuietHours, is_quiet, local_date, out_of_quiet, to_utc

__all__ = [
    "DAILY_CAP",
    "SESSION_CAP",
    "Delivered",
    "Planned",
    "QuietHours",
    "VisitFacts",
    "absent_steps",
    "condition_fails",
    "is_quiet",
    "is_stale",
    "limit_ends",
    "local_date",
    "nominal",
    "out_of_quiet",
    "plan",
    "to_utc",
]

# Later than this means that nobody was there to send it.
LATE = timedelta(minutes=5)
# Up to this long after the session the patient is still joining in the clinic.
JOINING_IN_CLINIC = timedelta(hours=1)
NEXT_CHECK_NEAR = timedelta(hours=2)
LATE_SAFETY_CHECK_VALID = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class _Joining:
    """What joining after the session changes: the card's new end, and the check that comes now."""

    card_expires: datetime | None
    check: str | None


def plan(
    visits: Sequence[VisitFacts],
    *,
    zone: ZoneInfo,
    quiet: QuietHours,
    delivered: Sequence[Delivered],
    now: datetime,
    behind: Collection[tuple[str, str]] = (),
) -> tuple[Planned, ...]:
    """Every step of every visit once, but for the delivered ones, in order of time (UTC).

    1. Local time in ``zone``, gap and fold. 2. Joining late, and never before ``since`` or ``now``.
    3. Quiet hours. 4. Validity and conditions. 5. Merging, and nothing asked twice. 6. Caps.
    Steps without a time come last. ``behind`` names visit and step of what was to go a while ago:
    it goes as one message, and what has no room there comes too late.
    """
    gone = {(item.visit, item.step) for item in delivered}
    placed = [
        planned
        for facts in visits
        for planned in _place_visit(facts, zone, quiet, now, behind)
        if (planned.visit, planned.step.id) not in gone
    ]
    doubled = asked_twice((p for p in placed if p.reason is None), zone)
    placed = [
        replace(p, reason=Reason.FOLDED) if (p.visit, p.step.id) in doubled else p for p in placed
    ]
    floors = {facts.visit: max(facts.since, now) for facts in visits}
    sessions = {facts.visit: facts.session for facts in visits}
    late, left_out = catch_up(p for p in placed if p.late and p.reason is None)
    placed = [_come_too_late(p) if (p.visit, p.step.id) in left_out else p for p in placed]
    on_time = (p for p in placed if p.reason is None and not p.late)
    groups = (*late, *merge(on_time, floors, zone, quiet))
    kept = within_caps(groups, sessions, delivered, zone)
    settled = {
        (member.visit, member.step.id): replace(
            member,
            group=group.name,
            group_due_at=group.due_at,
            # Late together by accident: each keeps its own end, should they part again.
            group_expires_at=None if member.late else group.expires_at,
        )
        if group.name in kept
        else replace(member, reason=Reason.CAP)
        for group in groups
        for member in group.members
    }
    found = [settled.get((planned.visit, planned.step.id), planned) for planned in placed]
    return tuple(sorted(found, key=_time_order))


def absent_steps(facts: VisitFacts) -> tuple[Planned, ...]:
    """The steps of the protocol that ``plan`` leaves out for this visit, each with its reason."""
    owned = {step.id for step in _owned_steps(facts)}
    return tuple(
        Planned(facts.visit, step, None, None, None, reason=_no_time(step), final=True)
        for step in facts.protocol.steps
        if step.id not in owned
    )


def nominal(step: Step, facts: VisitFacts, zone: ZoneInfo) -> tuple[datetime, datetime] | None:
    """When the protocol wants the step, and until when (UTC); None when a date is not known."""
    due = _instant(_when(step, facts, zone), facts, zone)
    expires = _instant(step.valid_until, facts, zone)
    if due is None or expires is None:
        return None
    if step.latest_at is not None and facts.done_date is not None:
        due = min(due, to_utc(facts.done_date, step.latest_at, zone))
    return due, expires


def _when(step: Step, facts: VisitFacts, zone: ZoneInfo) -> Moment:
    if step.if_skipped is None:
        return step.when
    before = facts.protocol.step(step.if_skipped.step)
    times = nominal(before, facts, zone)
    skipped = times is not None and _too_soon(before, facts, times[0])
    return step.if_skipped.when if skipped else step.when


def condition_fails(step: Step, facts: VisitFacts, at: datetime, zone: ZoneInfo) -> Reason | None:
    """The reason of the first condition of ``step`` that does not hold at ``at``, or None."""
    for condition in step.conditions:
        reason = _fails(condition.kind, condition.days, facts, local_date(at, zone))
        if reason is not None:
            return reason
    return None


def is_stale(due: datetime, now: datetime) -> bool:
    """Whether what was asked for at ``due`` is no answer any more, and waits like the rest."""
    return now - due > JOINING_IN_CLINIC


def limit_ends(
    protocol: Protocol, done_at: datetime, done_date: date, zone: ZoneInfo
) -> tuple[tuple[str, datetime], ...]:
    """When each limit of a session ends (UTC), in the protocol's order."""
    return tuple(
        (
            limit.id,
            done_at + limit.until.elapsed
            if limit.until.elapsed is not None
            else _calendar(limit.until, done_date, zone),
        )
        for limit in protocol.limits
    )


def _come_too_late(planned: Planned) -> Planned:
    return replace(planned, due_at=None, reason=Reason.TOO_LATE, final=True)


def _place_visit(
    facts: VisitFacts,
    zone: ZoneInfo,
    quiet: QuietHours,
    now: datetime,
    behind: Collection[tuple[str, str]],
) -> Iterable[Planned]:
    joining = _joining(facts, zone, quiet)
    for step in _owned_steps(facts):
        was_due = (facts.visit, step.id) in behind
        yield _place(step, facts, joining, zone, quiet, now, was_due=was_due)


def _owned_steps(facts: VisitFacts) -> tuple[Step, ...]:
    if facts.done_at is None and facts.planned_at is None:
        return ()
    return tuple(
        step
        for step in facts.protocol.steps
        if (step.when.anchor is Anchor.NV) == (facts.done_at is None)
    )


def _place(
    step: Step,
    facts: VisitFacts,
    joining: _Joining | None,
    zone: ZoneInfo,
    quiet: QuietHours,
    now: datetime,
    *,
    was_due: bool,
) -> Planned:
    times = nominal(step, facts, zone)
    if times is None:
        # A booked visit needs no target date, so nobody is asked for one.
        missing = condition_fails(step, facts, facts.since, zone) or _no_time(step)
        return Planned(facts.visit, step, None, None, None, reason=missing, final=True)
    due, expires = times
    asked = False
    settled = Reason.NEW_SESSION if facts.done_at and facts.later_session else None
    if settled is None and joining is not None and due <= facts.since:
        if Kind.CARD in step.kinds and joining.card_expires is not None:
            asked, expires = True, joining.card_expires
        elif step.id == joining.check:
            asked, expires = True, facts.since + LATE_SAFETY_CHECK_VALID
        elif Kind.CARD in step.kinds or expires <= facts.since:
            settled = Reason.JOINED_LATE
        elif joining.card_expires is not None:
            settled = Reason.FOLDED
    start = max(due, facts.since, now)
    if settled is None and start >= expires:
        settled = condition_fails(step, facts, due, zone) or Reason.TOO_LATE
    if settled is not None:
        return Planned(facts.visit, step, due, None, expires, reason=settled, final=True)
    free = asked or step.quiet_exempt
    late = was_due and max(due, facts.since) <= now
    if late and free:
        # Whoever asked is still there for a while; later it is as unasked as the rest.
        late = is_stale(max(due, facts.since), now)
        free = not late or (step.quiet_exempt and out_of_quiet(start, zone, quiet) >= expires)
    at = start if free else out_of_quiet(start, zone, quiet)
    reason = condition_fails(step, facts, at, zone)
    if late:
        placed = Planned(facts.visit, step, due, at, expires, reason=reason, late=True)
        return _come_too_late(placed) if at >= expires and reason is None else placed
    if at >= expires or _too_soon(step, facts, due):
        at, reason = start, reason or Reason.QUIET_HOURS
    return Planned(facts.visit, step, due, at, expires, reason=reason, asked=asked)


def _joining(facts: VisitFacts, zone: ZoneInfo, quiet: QuietHours) -> _Joining | None:
    if facts.done_at is None or facts.done_date is None or facts.since <= facts.done_at:
        return None
    late_by = facts.since - facts.done_at
    card = next(step for step in facts.protocol.steps if Kind.CARD in step.kinds)
    times = nominal(card, facts, zone)
    card_expires = times[1] if times else None
    if late_by > JOINING_IN_CLINIC:
        ends = limit_ends(facts.protocol, facts.done_at, facts.done_date, zone)
        card_expires = max((end for _, end in ends if end > facts.since), default=None)
    return _Joining(card_expires, _late_safety_check(facts, late_by, zone, quiet))


def _late_safety_check(
    facts: VisitFacts, late_by: timedelta, zone: ZoneInfo, quiet: QuietHours
) -> str | None:
    if late_by > facts.protocol.watched_for:
        return None
    past: list[tuple[datetime, str]] = []
    for step in _owned_steps(facts):
        times = nominal(step, facts, zone)
        if Kind.CHECK not in step.kinds or times is None:
            continue
        due = times[0]
        if due <= facts.since:
            if step.safety:
                past.append((due, step.id))
        elif condition_fails(step, facts, due, zone) is None:
            at = due if step.quiet_exempt else out_of_quiet(due, zone, quiet)
            if at <= facts.since + NEXT_CHECK_NEAR:
                return None
    return max(past)[1] if past else None


def _instant(moment: Moment, facts: VisitFacts, zone: ZoneInfo) -> datetime | None:
    anchor: datetime | date | None
    match moment.anchor:
        case Anchor.T0:
            anchor = facts.done_at
        case Anchor.D:
            anchor = facts.done_date
        case Anchor.NV:
            anchor = facts.planned_date if moment.elapsed is None else facts.planned_at
        case Anchor.TARGET:
            anchor = facts.protocol.target(facts.target_date, facts.done_date)
    if anchor is None:
        return None
    if isinstance(anchor, datetime):
        return anchor + (moment.elapsed or timedelta())
    at = _calendar(moment, anchor, zone)
    if moment.earliest is None:
        return at
    early = _instant(moment.earliest, facts, zone)
    return None if early is None else max(at, early)


def _calendar(moment: Moment, anchor: date, zone: ZoneInfo) -> datetime:
    return to_utc(anchor + timedelta(days=moment.days), moment.at or time(), zone)


def _fails(kind: ConditionKind, days: int, facts: VisitFacts, day: date) -> Reason | None:
    coming = facts.next_visit_date
    match kind:
        case ConditionKind.UNBOOKED:
            booked = coming is not None or facts.next_visit_at is not None or facts.later_session
            return Reason.BOOKED if booked else None
        case ConditionKind.LATEST:
            near = coming is not None and abs((coming - day).days) <= days
            return Reason.NOT_LATEST if facts.later_session or near else None
        case ConditionKind.UNCONFIRMED:
            return Reason.CONFIRMED if facts.confirmed else None
        case ConditionKind.GAP:
            if facts.previous_done_date is None or facts.planned_date is None:
                return None
            gap = (facts.planned_date - facts.previous_done_date).days
            return Reason.GAP_SHORT if gap < days else None
        case ConditionKind.NEXT_VISIT_NEAR:
            if coming is None or facts.done_date is None:
                return None
            return Reason.NEXT_VISIT_NEAR if (coming - facts.done_date).days <= days else None


def _too_soon(step: Step, facts: VisitFacts, due: datetime) -> bool:
    if step.latest_at is None or facts.done_at is None:
        return False
    return due - facts.done_at < SHORTEST_BEFORE_CHECK


def _no_time(step: Step) -> Reason:
    if step.when.anchor is Anchor.NV:
        return Reason.NO_NEXT_VISIT
    return Reason.NO_TARGET_DATE if step.when.anchor is Anchor.TARGET else Reason.NO_SESSION


def _time_order(planned: Planned) -> tuple[bool, datetime]:
    at = planned.due_at
    # Equal keys keep the order of visits and protocol, as the sort is stable.
    return at is None, at or planned.nominal_at or datetime.max.replace(tzinfo=UTC)
