"""Which steps go as one message, and which messages the caps leave out."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bot.domain.facts import Delivered, Planned
from bot.domain.protocol import Kind, Step
from bot.domain.times import QuietHours, is_quiet, local_date

DAILY_CAP = 2
SESSION_CAP = 10
NOON = time(12, 0)
# A check some hours after the session, brought nearer to it than this, would see nothing yet.
SHORTEST_BEFORE_CHECK = timedelta(minutes=90)

_NEVER_DROPPED = frozenset({Kind.CARD, Kind.CONFIRM, Kind.LATE_CHECK})
# What a patient needs first when many things come late; a step counts as its first kind here.
_IMPORTANCE = (
    *(Kind.CARD, Kind.CHECK, Kind.LATE_CHECK, Kind.REVIEW, Kind.LIFT, Kind.PREP),
    *(Kind.ADVICE, Kind.CONFIRM, Kind.BOOK, Kind.PHOTO, Kind.MAINT),
)
# One message holds 4,096 characters; a text may be as long as the lint allows, with long names.
_ROOM = 4000
_CARD_ROOM = 1100
_TEXT_ROOM = 450
_LATE = "late/"
# The first is dropped first; a step with several kinds counts as its last one here.
_DROP_ORDER = (
    Kind.PHOTO,
    Kind.MAINT,
    Kind.BOOK,
    Kind.ADVICE,
    Kind.LIFT,
    Kind.PREP,
    Kind.REVIEW,
    Kind.CHECK,
)


@dataclass(frozen=True, slots=True)
class Group:
    """Steps that go as one message; its name is that of its first step."""

    members: tuple[Planned, ...]
    due_at: datetime
    expires_at: datetime

    @property
    def name(self) -> str:
        """A name that no other group of the patient has, and that a replan gives again."""
        first = self.members[0]
        return f"{_LATE if first.late else ''}{first.visit}/{first.step.id}"

    @property
    def asked(self) -> bool:
        """Whether it answers the person's own action; asked and unasked steps never mix."""
        return self.members[0].asked


def family(step: Step) -> str | None:
    """The question a step asks, for steps that may merge; None for those that stay apart."""
    if Kind.CARD in step.kinds:
        return "card"
    if Kind.CHECK in step.kinds and (step.safety or Kind.LIFT not in step.kinds):
        return "check"
    if Kind.LIFT in step.kinds:
        return "lift"
    return "prep" if Kind.PREP in step.kinds else None


def importance(step: Step) -> int:
    """The place of a step among those that go as one message, 0 first: the first one leads."""
    return 0 if step.safety else 1 + min(_IMPORTANCE.index(kind) for kind in step.kinds)


def is_late(group: str | None) -> bool:
    """Whether a group of that name holds what came too late to go at its own time."""
    return group is not None and group.startswith(_LATE)


def drop_rank(step: Step) -> int | None:
    """How late a cap drops a step, 0 first; None when it never does."""
    if step.safety or not _NEVER_DROPPED.isdisjoint(step.kinds):
        return None
    if step.repeat_of is not None and Kind.MAINT in step.kinds:
        return 0
    if step.repeat_of is not None and Kind.BOOK in step.kinds:
        return 1
    return 2 + max(_DROP_ORDER.index(kind) for kind in step.kinds)


def asked_twice(going: Iterable[Planned], zone: ZoneInfo) -> frozenset[tuple[str, str]]:
    """Visit and step of each confirmation that a preparation asks for in the same half of a day."""
    asking = [planned for planned in going if Kind.CONFIRM in planned.step.kinds]
    by_prep = {
        (planned.visit, _half_day(planned, zone))
        for planned in asking
        if Kind.PREP in planned.step.kinds
    }
    return frozenset(
        (planned.visit, planned.step.id)
        for planned in asking
        if planned.step.kinds == (Kind.CONFIRM,)
        and (planned.visit, _half_day(planned, zone)) in by_prep
    )


def merge(
    going: Iterable[Planned], floors: dict[str, datetime], zone: ZoneInfo, quiet: QuietHours
) -> tuple[Group, ...]:
    """Every going step in exactly one group: same family, same half of a local day, asked alike.

    ``floors`` holds for each visit the time before which nothing of it may go. Steps that cannot
    go together (one expires before the other may go) stay apart.
    """
    alike: dict[tuple[object, ...], list[Group]] = defaultdict(list)
    # A stable sort, so that steps due together keep the order of visits and protocol.
    for step in sorted(going, key=lambda planned: _due(planned)):
        question = family(step.step)
        key = (
            question or (step.visit, step.step.id),
            _half_day(step, zone),
            step.asked,
        )
        groups = alike[key]
        joined = _join((*groups[-1].members, step), floors, zone, quiet) if groups else None
        if joined is not None:
            groups[-1] = joined
        else:
            groups.append(Group((step,), _due(step), _expires(step)))
    found = [group for groups in alike.values() for group in groups]
    return tuple(sorted(found, key=lambda group: group.due_at))


def catch_up(late: Iterable[Planned]) -> tuple[tuple[Group, ...], frozenset[tuple[str, str]]]:
    """One message of all that is late, and visit and step of what it has no room for.

    The most important comes first and is the last to be left out. What may go only at another
    hour than the rest (a check that does not outlive the quiet hours) stays apart.
    """
    together: dict[datetime, list[Planned]] = defaultdict(list)
    for step in sorted(late, key=lambda planned: importance(planned.step)):
        together[_due(step)].append(step)
    groups, left_out = [], set()
    for due, steps in together.items():
        members, texts, room = [], set(), _ROOM
        for each in steps:
            needed = _CARD_ROOM if Kind.CARD in each.step.kinds else _TEXT_ROOM
            needed = 0 if each.step.template in texts else needed
            if needed > room:
                left_out.add((each.visit, each.step.id))
                continue
            room -= needed
            texts.add(each.step.template)
            members.append(each)
        groups.append(Group(tuple(members), due, min(_expires(each) for each in members)))
    return tuple(groups), frozenset(left_out)


def within_caps(
    groups: Iterable[Group],
    sessions: dict[str, str],
    delivered: Sequence[Delivered],
    zone: ZoneInfo,
) -> frozenset[str]:
    """The names of the groups that may go: 2 unasked a local day, 10 a session, most needed first.

    ``sessions`` holds for each visit the session it counts to. What is never dropped always goes,
    and takes its place before the others do.
    """
    days: dict[date, int] = defaultdict(int)
    totals: dict[str, int] = defaultdict(int)
    for day, counted in _delivered_messages(delivered):
        days[day] += 1
        for session in counted:
            totals[session] += 1
    kept = set()
    for group in sorted(groups, key=_need):
        if group.asked:
            kept.add(group.name)
            continue
        day = local_date(group.due_at, zone)
        counted = {sessions[member.visit] for member in group.members}
        full = days[day] >= DAILY_CAP or any(totals[s] >= SESSION_CAP for s in counted)
        if full and _rank(group) is not None:
            continue
        kept.add(group.name)
        days[day] += 1
        for session in counted:
            totals[session] += 1
    return frozenset(kept)


def _join(
    members: tuple[Planned, ...], floors: dict[str, datetime], zone: ZoneInfo, quiet: QuietHours
) -> Group | None:
    safety = [_due(member) for member in members if member.step.safety]
    due = min(safety) if safety else max(_due(member) for member in members)
    expires = min(_expires(member) for member in members)
    for member in members:
        # What lifts a limit must not go while the limit is still on.
        if Kind.LIFT in member.step.kinds and due < _due(member):
            return None
        if due < floors[member.visit] or _sees_nothing(member, due):
            return None
        free = member.asked or member.step.quiet_exempt
        if not free and is_quiet(due, zone, quiet):
            return None
    return Group(members, due, expires) if due < expires else None


def _sees_nothing(member: Planned, due: datetime) -> bool:
    elapsed = member.step.when.elapsed
    if not member.step.safety or not elapsed or member.nominal_at is None:
        return False
    return due < member.nominal_at - elapsed + SHORTEST_BEFORE_CHECK


def _delivered_messages(delivered: Sequence[Delivered]) -> list[tuple[date, set[str]]]:
    messages: dict[object, tuple[date, set[str]]] = {}
    for item in delivered:
        if item.unasked:
            name = (item.group, item.day) if item.group else (item.visit, item.step, item.day)
            messages.setdefault(name, (item.day, set()))[1].add(item.session)
    return list(messages.values())


def _rank(group: Group) -> int | None:
    ranks = [drop_rank(member.step) for member in group.members]
    return None if None in ranks else max(rank for rank in ranks if rank is not None)


def _need(group: Group) -> tuple[bool, int, datetime]:
    rank = _rank(group)
    return rank is not None, -(rank or 0), group.due_at


def _half_day(planned: Planned, zone: ZoneInfo) -> tuple[date, bool]:
    local = _due(planned).astimezone(zone)
    return local.date(), local.time() < NOON


def _due(planned: Planned) -> datetime:
    if planned.due_at is None:
        raise ValueError(f"{planned.step.id} has no time and cannot be merged")
    return planned.due_at


def _expires(planned: Planned) -> datetime:
    if planned.expires_at is None:
        raise ValueError(f"{planned.step.id} has no end and cannot be merged")
    return planned.expires_at
