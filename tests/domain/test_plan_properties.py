"""What holds for every plan, whatever the visits, zones, clocks and deliveries."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.facts import Delivered, Planned, VisitFacts
from bot.domain.grouping import DAILY_CAP, NOON, SESSION_CAP, drop_rank, family
from bot.domain.protocol import Kind
from bot.domain.schedule import limit_ends, plan
from bot.domain.times import QuietHours, is_quiet, local_date, out_of_quiet, to_utc

from .samples import FACE, FILLER_PROTOCOL, crowded

ZONES = [
    ZoneInfo(name)
    for name in (
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "Pacific/Apia",
        "America/St_Johns",
        "UTC",
    )
]
FULL = crowded(
    "a1|D+1 09:00|D+1 20:00|advice",
    "a2|D+1 15:00|D+2 20:00|advice+photo",
    "c1|D+1 20:00|D+2 12:00|check|safety = true",
    "e1|D+1 21:30|D+1 23:30|check|safety = true|quiet_exempt = true",
    "l1|D+2 07:00|D+4 20:00|lift+check|safety = true",
    "l2|D+2 18:00|D+4 20:00|lift",
    "w2|D+2 22:00|D+3 09:00|review+photo",
    "p3|D+3 11:00|D+6 20:00|photo",
    'k3|D+3 11:00|D+9 20:00|book|only_if = ["unbooked"]|repeat = { after_days = 1, times = 3 }',
    'm4|D+4 11:00|D+9 20:00|maint|only_if = ["latest"]|repeat = { after_days = 2, times = 2 }',
    'z9|D+9 11:00|D+20 20:00|late_check|only_if = ["latest"]',
    "r9|NV-2 07:00|NV-1h|prep",
    "q9|NV-1 18:00|NV-1h|prep+confirm",
)
MINUTES = st.integers(0, 59).map(lambda minutes: timedelta(minutes=minutes))


@dataclass(frozen=True, slots=True)
class Case:
    """One patient at one moment."""

    visits: tuple[VisitFacts, ...]
    zone: ZoneInfo
    quiet: QuietHours
    delivered: tuple[Delivered, ...]
    now: datetime

    def plan(self, now: datetime | None = None) -> tuple[Planned, ...]:
        return plan(
            self.visits,
            zone=self.zone,
            quiet=self.quiet,
            delivered=self.delivered,
            now=now or self.now,
        )

    def facts(self, visit: str) -> VisitFacts:
        return next(facts for facts in self.visits if facts.visit == visit)


@st.composite
def visit_facts(draw: st.DrawFn, number: int, zone: ZoneInfo, start: datetime) -> VisitFacts:
    is_done = draw(st.booleans())
    at = start + timedelta(hours=draw(st.integers(0, 24 * 6))) + draw(MINUTES)
    wait = draw(st.sampled_from([0, 0, 1, 3, 13, 40, 60, 24 * 6, 24 * 30]))
    since = at + timedelta(hours=wait) if is_done else start
    ahead = draw(st.none() | st.integers(1, 40))
    coming = at + timedelta(days=ahead) if ahead and is_done else None
    target = draw(st.none() | st.integers(-3, 40))
    planned_at = at + timedelta(days=draw(st.integers(0, 30)))
    return VisitFacts(
        visit=f"v{number}",
        protocol=draw(st.sampled_from([FACE, FILLER_PROTOCOL, FULL])),
        done_at=at if is_done else None,
        done_date=local_date(at, zone) if is_done else None,
        planned_at=None if is_done else planned_at,
        planned_date=None if is_done else local_date(planned_at, zone),
        target_date=None if target is None else local_date(at, zone) + timedelta(days=target),
        next_visit_at=coming,
        next_visit_date=local_date(coming, zone) if coming else None,
        previous_done_date=draw(st.none() | st.just(local_date(start, zone))),
        later_session=draw(st.sampled_from([False, False, False, True])),
        confirmed=draw(st.booleans()),
        session=f"v{number}" if is_done else "v1",
        since=since,
    )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    zone = draw(st.sampled_from(ZONES))
    day = draw(st.dates(date(2024, 1, 1), date(2026, 12, 1)) | st.just(date(2025, 3, 28)))
    start = datetime.combine(day, time(draw(st.integers(0, 23))), tzinfo=UTC)
    visits = tuple(
        draw(visit_facts(number, zone, start)) for number in range(1, draw(st.integers(1, 3)) + 1)
    )
    quiet = draw(
        st.sampled_from([QuietHours(), QuietHours(time(20), time(9)), QuietHours(time(9), time(9))])
    )
    first = min(facts.since for facts in visits)
    fresh = Case(visits, zone, quiet, (), first)
    now = first + timedelta(hours=draw(st.integers(-5, 24 * 20))) + draw(MINUTES)
    gone = [p for p in fresh.plan() if p.group_due_at and p.group_due_at <= now]
    kept = draw(st.sets(st.sampled_from([p.group for p in gone]))) if gone else set()
    delivered = tuple(_delivered(fresh, [p for p in gone if p.group in kept]))
    return Case(visits, zone, quiet, delivered, now)


def _delivered(case: Case, gone: Sequence[Planned]) -> list[Delivered]:
    return [
        Delivered(
            p.visit,
            p.step.id,
            case.facts(p.visit).session,
            local_date(p.group_due_at, case.zone),
            not p.asked,
            p.group,
        )
        for p in gone
        if p.group_due_at
    ]


def _groups(made: Sequence[Planned]) -> dict[str, list[Planned]]:
    groups: dict[str, list[Planned]] = defaultdict(list)
    for planned in made:
        if planned.group is not None:
            groups[planned.group].append(planned)
    return groups


@given(cases())
def test_every_step_is_accounted_for_once(case: Case) -> None:
    gone = {(item.visit, item.step) for item in case.delivered}
    expected = Counter(
        (facts.visit, step.id)
        for facts in case.visits
        for step in facts.protocol.steps
        if (step.when.anchor == "NV") == (facts.done_at is None)
        and (facts.visit, step.id) not in gone
    )
    made = case.plan()
    assert Counter((p.visit, p.step.id) for p in made) == expected
    for p in made:
        assert (p.group is not None) == (p.reason is None)
        assert (p.group is None) == (p.group_due_at is None) == (p.group_expires_at is None)
        assert (p.due_at is None) == p.final
        assert not (p.final and p.reason is None)
    times = [p.due_at for p in made if p.due_at]
    assert times == sorted(times)
    assert all(p.due_at is None for p in made[len(times) :])


@given(cases())
def test_what_goes_goes_in_time_and_never_by_night(case: Case) -> None:
    for p in case.plan():
        earliest = max(case.now, case.facts(p.visit).since)
        if p.due_at and p.expires_at:
            assert earliest <= p.due_at < p.expires_at
        if p.group_due_at and p.group_expires_at:
            assert earliest <= p.group_due_at < p.group_expires_at
            assert p.due_at
            assert p.nominal_at
            assert p.nominal_at <= p.due_at
            free = p.asked or p.step.quiet_exempt
            assert free or not is_quiet(p.due_at, case.zone, case.quiet)
            assert free or not is_quiet(p.group_due_at, case.zone, case.quiet)


@given(cases())
def test_members_of_a_message_belong_together(case: Case) -> None:
    for members in _groups(case.plan()).values():
        assert len({(p.group_due_at, p.group_expires_at, p.asked) for p in members}) == 1
        assert members[0].group_expires_at == min(p.expires_at for p in members if p.expires_at)
        safety = [p.due_at for p in members if p.step.safety and p.due_at]
        due = [p.due_at for p in members if p.due_at]
        assert members[0].group_due_at == (min(safety) if safety else max(due))
        local = [moment.astimezone(case.zone) for moment in due]
        assert len({(moment.date(), moment.time() < NOON) for moment in local}) == 1
        if len(members) > 1:
            assert len({family(p.step) for p in members}) == 1
            assert family(members[0].step) is not None


@given(cases())
def test_caps_hold_but_for_what_is_never_dropped(case: Case) -> None:
    made = case.plan()
    days: Counter[date] = Counter()
    sessions: Counter[str] = Counter()
    for day, counted in {
        (item.group, item.day): (
            item.day,
            frozenset(o.session for o in case.delivered if o.group == item.group),
        )
        for item in case.delivered
        if item.unasked
    }.values():
        days[day] += 1
        sessions.update(counted)
    optional: list[tuple[date, set[str]]] = []
    for members in _groups(made).values():
        if members[0].asked or members[0].group_due_at is None:
            continue
        day = local_date(members[0].group_due_at, case.zone)
        counted_to = {case.facts(p.visit).session for p in members}
        days[day] += 1
        sessions.update(counted_to)
        if all(drop_rank(p.step) is not None for p in members):
            optional.append((day, counted_to))
    for day, counted_to in optional:
        assert days[day] <= DAILY_CAP
        assert all(sessions[session] <= SESSION_CAP for session in counted_to)
    assert not any(p.reason == "cap" and drop_rank(p.step) is None for p in made)


@given(cases())
def test_a_confirmation_gives_way_only_to_a_preparation_that_asks_for_it(case: Case) -> None:
    made = case.plan()
    asking = [
        (p.visit, due.date(), due.time() < NOON)
        for p in made
        if p.due_at and p.reason is None and {Kind.PREP, Kind.CONFIRM} <= {*p.step.kinds}
        for due in [p.due_at.astimezone(case.zone)]
    ]
    for p in made:
        if p.step.kinds != (Kind.CONFIRM,) or p.due_at is None:
            continue
        due = p.due_at.astimezone(case.zone)
        if (p.visit, due.date(), due.time() < NOON) in asking:
            assert p.reason is not None
        else:
            assert p.reason != "folded"


@given(cases())
def test_nothing_lifts_a_limit_that_is_still_on(case: Case) -> None:
    for p in case.plan():
        facts = case.facts(p.visit)
        if Kind.LIFT not in p.step.kinds or p.group_due_at is None:
            continue
        if facts.done_at and facts.done_date:
            ends = limit_ends(facts.protocol, facts.done_at, facts.done_date, case.zone)
            lifted = [
                end
                for (_, end), limit in zip(ends, facts.protocol.limits, strict=True)
                if limit.until == p.step.when
            ]
            assert all(end <= p.group_due_at for end in lifted)


@given(cases(), st.integers(1, 24 * 40))
def test_a_plan_is_a_function_of_its_facts_and_never_of_the_past(case: Case, hours: int) -> None:
    assert case.plan() == case.plan()
    later = case.now + timedelta(hours=hours)
    settled = {(p.visit, p.step.id): p.reason for p in case.plan() if p.final}
    for p in case.plan(later):
        assert p.due_at is None or p.due_at >= later
        # What is settled stays settled, however late it is asked again.
        if (p.visit, p.step.id) in settled:
            assert p.final
            assert p.reason == settled[p.visit, p.step.id]


@given(
    st.sampled_from(ZONES),
    st.dates(date(2010, 1, 1), date(2037, 1, 1)),
    st.times().map(lambda clock: clock.replace(second=0, microsecond=0)),
)
def test_a_local_time_comes_back_unless_a_gap_swallowed_it(
    zone: ZoneInfo, day: date, clock: time
) -> None:
    wall = datetime.combine(day, clock, tzinfo=zone)
    instant = to_utc(day, clock, zone)
    back = instant.astimezone(zone)
    assert back.replace(tzinfo=None) >= wall.replace(tzinfo=None)
    if back.replace(tzinfo=None) == wall.replace(tzinfo=None):
        assert back.fold == 0
    else:
        # The minute before the gap ended was before the wanted time.
        before = (instant - timedelta(minutes=1)).astimezone(zone)
        assert before.replace(tzinfo=None) < wall.replace(tzinfo=None)


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(2010, 1, 1), datetime(2037, 1, 1)),  # noqa: DTZ001 - made aware below
    st.times(),
    st.times(),
)
def test_quiet_hours_are_left_at_once_and_only_once(
    zone: ZoneInfo, naive: datetime, start: time, end: time
) -> None:
    quiet = QuietHours(start.replace(second=0, microsecond=0), end.replace(second=0, microsecond=0))
    moment = naive.replace(tzinfo=UTC)
    found = out_of_quiet(moment, zone, quiet)
    assert moment <= found <= moment + timedelta(hours=50)
    assert not is_quiet(found, zone, quiet)
    assert out_of_quiet(found, zone, quiet) == found
    if found > moment:
        assert is_quiet(found - timedelta(minutes=1), zone, quiet) or found - moment < timedelta(
            minutes=1
        )
