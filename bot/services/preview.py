"""The plan of a protocol without a patient: for the command line, the practitioner and the lead."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain import schedule
from bot.domain.facts import Planned, VisitFacts
from bot.domain.protocol import Protocol, Step
from bot.domain.times import QuietHours
from bot.outgoing import dates
from bot.outgoing.catalogue import Catalogue
from bot.outgoing.texts import Texts
from bot.services import words

_SESSION, _NEXT = "session", "next"
_MONTH_DAYS = 28
# What a preview may not know; a wrong date would be worse than none.
_DATES = ("visit_date", "visit_time", "target_date")

SAMPLE_CLINIC: Mapping[str, Any] = {
    "sender": "Lumen",
    "clinic": "Lumen Clinic",
    "clinic_phone": "+44 20 7946 0000",
    "emergency_number": "112",
    "urgent_number": "111",
    "urgent_place": "the city hospital",
    "clinic_hours": None,
    "first_name": "Ana",
    "practitioner": "Nour",
    "quiet_start": "21:00",
    "quiet_end": "08:30",
    "max_per_day": schedule.DAILY_CAP,
    "retention_days": 365,
    "other_zone": False,
}


@dataclass(frozen=True, slots=True)
class Dates:
    """What a preview is dated by: the session, and what is known of the next one."""

    done_at: datetime
    next_visit_at: datetime | None
    target: date | None
    zone: ZoneInfo


def dated(protocol: Protocol, given: Dates) -> tuple[Planned, ...]:
    """Return every step of the protocol once: dated where it can be, else with a reason."""
    done_date = given.done_at.astimezone(given.zone).date()
    next_at = given.next_visit_at
    next_date = None if next_at is None else next_at.astimezone(given.zone).date()
    session = VisitFacts(
        visit=_SESSION,
        protocol=protocol,
        done_at=given.done_at,
        done_date=done_date,
        planned_at=None,
        planned_date=None,
        target_date=given.target,
        next_visit_at=next_at,
        next_visit_date=next_date,
        previous_done_date=None,
        later_session=False,
        confirmed=False,
        session=_SESSION,
        since=given.done_at,
    )
    facts = [session]
    if next_at is not None:
        facts.append(
            VisitFacts(
                visit=_NEXT,
                protocol=protocol,
                done_at=None,
                done_date=None,
                planned_at=next_at,
                planned_date=next_date,
                target_date=None,
                next_visit_at=None,
                next_visit_date=None,
                previous_done_date=done_date,
                later_session=False,
                confirmed=False,
                session=_SESSION,
                since=given.done_at,
            )
        )
    planned = schedule.plan(
        facts, zone=given.zone, quiet=QuietHours(), delivered=(), now=given.done_at
    )
    absent = schedule.absent_steps(session) if next_at is None else ()
    return (*planned, *absent)


def as_json(
    catalogue: Catalogue, texts: Texts, protocol: Protocol, given: Dates, language: str
) -> dict[str, Any]:
    """Return the plan as ``preview --json`` prints it (design.md 6)."""
    ends = schedule.limit_ends(
        protocol, given.done_at, given.done_at.astimezone(given.zone).date(), given.zone
    )
    planned = dated(protocol, given)
    variant = {} if protocol.variant is None else {"variant": protocol.variant}
    return {
        "protocol": protocol.name,
        **variant,
        "version": protocol.version,
        "timezone": given.zone.key,
        "language": language,
        "steps": [
            _step_json(catalogue, texts, protocol, given, language, each, planned)
            for each in planned
        ],
        "limits": [
            {"limit": limit, "ends_local": local_text(end, given.zone), "ends_utc": utc_text(end)}
            for limit, end in ends
        ],
    }


def _step_json(
    catalogue: Catalogue,
    texts: Texts,
    protocol: Protocol,
    given: Dates,
    language: str,
    each: Planned,
    planned: Sequence[Planned],
) -> dict[str, Any]:
    step = each.step
    shown: dict[str, Any] = {
        "step": step.id,
        "kind": [kind.value for kind in step.kinds],
        "due_local": local_text(each.due_at, given.zone) if each.due_at else None,
        "due_utc": utc_text(each.due_at) if each.due_at else None,
        "expires_utc": utc_text(each.expires_at) if each.expires_at else None,
        "text": text_of(catalogue, texts, protocol, given, language, each),
        "buttons": [catalogue.label(language, "buttons", key) for key in step.buttons],
    }
    together = [
        other.step.id
        for other in planned
        if other is not each and each.group is not None and other.group == each.group
    ]
    if together:
        shown["merged_with"] = together
    if each.reason is not None:
        shown["reason"] = each.reason.value
    return shown


def local_text(moment: datetime, zone: ZoneInfo) -> str:
    """Return an instant as ISO 8601 local time with its offset, whole seconds."""
    return moment.astimezone(zone).isoformat(timespec="seconds")


def utc_text(moment: datetime) -> str:
    """Return an instant as ISO 8601 in UTC, ending in ``Z``, whole seconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def text_of(
    catalogue: Catalogue,
    texts: Texts,
    protocol: Protocol,
    given: Dates,
    language: str,
    each: Planned,
) -> str:
    """Return what the patient would read, bubbles joined by a blank line."""
    values = sample_values(catalogue, protocol, given, language, each)
    templates = [each.step.template]
    if each.step.warning_template:
        templates.append(each.step.warning_template)
    return "\n\n".join(texts.render(language, template, values).text for template in templates)


def sample_values(
    catalogue: Catalogue, protocol: Protocol, given: Dates, language: str, each: Planned
) -> dict[str, Any]:
    """Return the values of a step's text as they would be at its time, for the sample clinic."""
    zone = given.zone
    at = each.due_at or given.done_at
    done_date = given.done_at.astimezone(zone).date()
    ends = dict(schedule.limit_ends(protocol, given.done_at, done_date, zone))
    lifted = set(protocol.lifted_by(each.step))
    after = max([at, *(ends[limit] for limit in lifted)])
    t24 = given.done_at + timedelta(hours=24)
    first_day = done_date + timedelta(days=1)
    day = at.astimezone(zone).date()
    unset = {key: catalogue.label(language, "unset", key) for key in _DATES}
    visit_at = None if given.next_visit_at is None else given.next_visit_at.astimezone(zone)
    target = protocol.target(given.target, done_date)
    return dict(SAMPLE_CLINIC) | {
        "limits": words.limit_groups(catalogue, language, zone, ends, at, at),
        "ended": [catalogue.label(language, "limits", limit) for limit in ends if limit in lifted],
        "still": words.limit_groups(catalogue, language, zone, ends, after, at),
        "t24": dates.moment(t24, zone, language, at),
        "t24_past": t24 <= at,
        "visit_date": dates.day(visit_at.date(), language, day)
        if visit_at
        else unset["visit_date"],
        "visit_time": dates.clock(visit_at.time()) if visit_at else unset["visit_time"],
        "clinic_city": None,
        "target_date": dates.day(target, language, day) if target else unset["target_date"],
        "n_months": max(1, (day - done_date).days // _MONTH_DAYS),
        "below": False,
        "corrected": False,
        "late": False,
        "next_date": None,
        "sunscreen_from": dates.day(first_day, language, day) if first_day > day else None,
        "maybe_repeat": False,
        "photos_asked": True,
    }


def _going(protocol: Protocol, done_at: datetime, zone: ZoneInfo) -> list[Planned]:
    given = Dates(done_at, None, None, zone)
    return [each for each in dated(protocol, given) if each.group is not None]


def size(protocol: Protocol, done_at: datetime, zone: ZoneInfo) -> tuple[int, date]:
    """Return how many messages a plan from ``done_at`` has, and the day of the last."""
    going = _going(protocol, done_at, zone)
    last = max(each.group_due_at or done_at for each in going)
    return len({each.group for each in going}), last.astimezone(zone).date()


def lines(
    catalogue: Catalogue,
    protocol: Protocol,
    done_at: datetime,
    zone: ZoneInfo,
    language: str,
    now: datetime,
) -> list[dict[str, str]]:
    """Return when each message of a plan would go and what it is."""
    return [
        {
            "when": dates.moment(each.group_due_at or done_at, zone, language, now),
            "what": kind_label(catalogue, language, each.step),
        }
        for each in _going(protocol, done_at, zone)
    ]


def kind_label(catalogue: Catalogue, language: str, step: Step) -> str:
    """Return what kind of message a step is, in a word or two."""
    return catalogue.label(language, "kinds", step.kinds[0].value)
