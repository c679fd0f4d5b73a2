"""The values that texts are filled with: plain strings, dates already in the reader's zone."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import get_timezone_location
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import schedule
from bot.domain.protocol import Protocol, Step
from bot.domain.states import ReminderState
from bot.domain.times import QuietHours
from bot.outgoing import dates
from bot.outgoing.catalogue import Catalogue
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import people
from bot.storage.tables import Clinic, Patient, Practitioner, Reminder, Visit

_HOURS_24 = timedelta(hours=24)
_DAYS_A_MONTH = 28
_HOURS_ALONE = 48


def clinic_values(clinic: Clinic) -> dict[str, Any]:
    """Return what every text may say of the clinic."""
    return {
        "sender": clinic.sender_name,
        "clinic": clinic.name,
        "clinic_phone": clinic.phone,
        "emergency_number": clinic.emergency_number,
        "urgent_number": clinic.urgent_number,
        "urgent_place": clinic.urgent_place,
        "clinic_hours": clinic.opening_hours or None,
        "max_per_day": schedule.DAILY_CAP,
        "retention_days": clinic.retention_days,
    }


def name_of(session: AsyncSession, person: Patient | Practitioner) -> str:
    """Return a person's name as it was typed or as their account shows it."""
    return str(sealed.read(session, person).get("name", ""))


def account_of(session: AsyncSession, patient: Patient) -> dict[str, str]:
    """Return the account that opened the patient's link: the name it chose, and its username."""
    kept = sealed.read(session, patient)
    return {"account": str(kept.get("account", "")), "username": str(kept.get("username", ""))}


def phone_of(session: AsyncSession, patient: Patient) -> str | None:
    """Return the patient's phone number, as far as somebody has given it."""
    return str(sealed.read(session, patient).get("phone", "")) or None


def session_details(session: AsyncSession, visit: Visit) -> dict[str, str | None]:
    """Return where a session was and with what, as far as somebody has put it on record."""
    kept = sealed.read(session, visit)
    return {"area": kept.get("area") or None, "product": kept.get("product") or None}


async def patient_values(session: AsyncSession, clinic: Clinic, patient: Patient) -> dict[str, Any]:
    """Return what every text may say to, or of, this patient."""
    practitioner = await people.practitioner(session, patient.practitioner_id)
    return clinic_values(clinic) | {
        "first_name": name_of(session, patient),
        "practitioner": name_of(session, practitioner),
        "quiet_start": dates.clock(patient.quiet_start),
        "quiet_end": dates.clock(patient.quiet_end),
        "other_zone": bool(patient.timezone) and patient.timezone != clinic.timezone,
    }


async def patient_like_values(turn: Turn) -> dict[str, Any]:
    """Return the clinic's values as a patient of the asking practitioner would read them."""
    reader = turn.practitioner
    name = name_of(turn.session, reader) if reader is not None else ""
    return clinic_values(turn.clinic) | {
        "first_name": name,
        "practitioner": name,
        "quiet_start": dates.clock(QuietHours().start),
        "quiet_end": dates.clock(QuietHours().end),
        "other_zone": False,
    }


def title(catalogue: Catalogue, language: str, template: str) -> str:
    """Return what a message is, in a word or two, by the folder and name of its text."""
    name = template.rsplit("/", 1)[-1].replace("-", "_")
    known = catalogue.keys(language, "titles")
    return catalogue.label(language, "titles", name if name in known else "other")


def city(zone_name: str, language: str) -> str:
    """Return the city by which a zone is known in the language."""
    return get_timezone_location(zone_name, locale=dates.locale(language), return_city=True)


def visit_values(
    clinic: Clinic, visit_at: datetime, patient: Patient, now: datetime
) -> dict[str, Any]:
    """Return a visit's time as the clinic's clock shows it, with the city if that may mislead."""
    zone = ZoneInfo(clinic.timezone)
    local = visit_at.astimezone(zone)
    return {
        "visit_date": dates.day(local.date(), patient.language, now.astimezone(zone).date()),
        "visit_time": dates.clock(local.time()),
        "clinic_city": clinic_city(clinic, patient),
    }


def clinic_city(clinic: Clinic, patient: Patient, language: str = "") -> str | None:
    """Return the city whose time a visit is shown in, where the patient's clock is another."""
    elsewhere = bool(patient.timezone) and patient.timezone != clinic.timezone
    return city(clinic.timezone, language or patient.language) if elsewhere else None


def patient_city(clinic: Clinic, patient: Patient, language: str) -> str | None:
    """Return the city by whose clock the patient lives, where it is not the clinic's."""
    elsewhere = patient.timezone if patient.timezone != clinic.timezone else None
    return city(elsewhere, language) if elsewhere else None


def next_reminder(situation: Situation, now: datetime) -> Reminder | None:
    """Return the next reminder that will go if nothing changes."""
    coming = (
        row
        for row in situation.reminders
        if row.state is ReminderState.PLANNED
        and row.outlook is None
        and row.due_at is not None
        and row.due_at > now
        and (
            row.safety
            or (
                row.due_at >= (situation.patient.paused_until or now)
                and not situation.rests(row.due_at, courtesy=False)
            )
        )
    )
    return min(coming, key=lambda row: row.due_at or now, default=None)


def next_date(situation: Situation, now: datetime) -> str | None:
    """Return the day of the next message in the patient's zone, or nothing when none is planned."""
    row = next_reminder(situation, now)
    if row is None or row.due_at is None:
        return None
    day, today = (at.astimezone(situation.zone).date() for at in (row.due_at, now))
    return dates.day(day, situation.patient.language, today)


def limit_groups(
    catalogue: Catalogue,
    language: str,
    zone: ZoneInfo,
    ends: Mapping[str, datetime],
    after: datetime,
    now: datetime,
    *,
    kept: Collection[str] = (),
) -> list[dict[str, Any]]:
    """Return the limits that hold beyond ``after``, those with one end together, soonest first.

    Those ``kept`` on, as the skin is not calm, stand apart: they hold until then at least.
    """
    groups: dict[tuple[datetime, bool], list[str]] = {}
    for limit, end in ends.items():
        if end > after:
            groups.setdefault((end, limit in kept), []).append(limit)
    return [
        {
            "ends": dates.moment(end, zone, language, now),
            "items": [catalogue.label(language, "limits", each) for each in groups[end, is_kept]],
            "allowed": allowed(catalogue, language, groups[end, is_kept]),
            "kept": is_kept,
            **time_left(end, now),
        }
        for end, is_kept in sorted(groups)
    ]


def allowed(catalogue: Catalogue, language: str, limits: Iterable[str]) -> list[str]:
    """Return what is allowed beside these limits, each sentence once."""
    found = (catalogue.allowed(language, limit) for limit in limits)
    return list(dict.fromkeys(each for each in found if each))


def time_left(end: datetime, now: datetime) -> dict[str, int]:
    """Return the whole hours until a limit's end, in days and hours from two days on.

    Rounded up: a limit never seems over before it is.
    """
    hours = max(0, -((now - end) // timedelta(hours=1)))
    days = hours // 24 if hours > _HOURS_ALONE else 0
    return {"days_left": days, "hours_left": hours - 24 * days}


def step_values(
    catalogue: Catalogue,
    situation: Situation,
    rows: Sequence[Reminder],
    now: datetime,
) -> dict[str, Any]:
    """Return the values of a step's text; ``rows`` are the reminders that go with one message."""
    language, zone = situation.patient.language, situation.zone
    local_day = now.astimezone(zone).date()
    ends, kept = situation.limits(now), situation.kept()
    row = rows[0]
    visit = situation.visit(row.visit_id)
    plan = situation.plan_of(row.visit_id)
    lifted = {limit for each in rows for limit in lifted_by(situation, each, ends)}
    after = max([now, *(ends[limit] for limit in lifted)])
    values: dict[str, Any] = {
        "limits": limit_groups(catalogue, language, zone, ends, now, now, kept=kept),
        "ended": [catalogue.label(language, "limits", limit) for limit in ends if limit in lifted],
        "still": limit_groups(catalogue, language, zone, ends, after, now, kept=kept),
        "below": False,
        "corrected": visit.corrected,
        "photos_asked": situation.clinic.photos_on and situation.patient.photo_requests,
        "late": _joined_late(situation, visit),
        "next_date": next_date(situation, now),
        "target_date": _target(plan.protocol, visit, language, local_day),
        "n_months": 1,
        "t24": "",
        "t24_past": True,
        "sunscreen_from": None,
        "visit_date": "",
        "visit_time": "",
        "clinic_city": None,
    }
    if visit.done_at is not None and visit.done_date is not None:
        t24 = _t24(plan.protocol, visit.done_at, ends)
        first_day = visit.done_date + timedelta(days=1)
        values |= {
            "t24": dates.moment(t24, zone, language, now),
            "t24_past": t24 <= now,
            "n_months": _months(situation, row, local_day),
            "sunscreen_from": dates.day(first_day, language, local_day)
            if first_day > local_day
            else None,
        }
    booked = visit.planned_at if visit.done_at is None else None
    if booked is None and plan.booked is not None:
        booked = plan.booked.planned_at
    if booked is not None:
        values |= visit_values(situation.clinic, booked, situation.patient, now)
    return values


def _t24(protocol: Protocol, done_at: datetime, ends: Mapping[str, datetime]) -> datetime:
    """Return when the last of the session's 24-hour limits ends, by another treatment perhaps."""
    own = (limit.id for limit in protocol.limits if limit.until.elapsed == _HOURS_24)
    return max([done_at + _HOURS_24, *(ends[limit] for limit in own if limit in ends)])


def _months(situation: Situation, row: Reminder, local_day: date) -> int:
    """Return the months since the session; a test, which runs at once, shows those of the plan."""
    facts = situation.facts(row.visit_id)
    if facts.done_date is None:
        return 1
    if situation.patient.is_test:
        times = schedule.nominal(facts.protocol.step(row.step), facts, situation.zone)
        local_day = times[0].astimezone(situation.zone).date() if times else local_day
    return max(1, (local_day - facts.done_date).days // _DAYS_A_MONTH)


def lifted_by(situation: Situation, row: Reminder, ends: Mapping[str, datetime]) -> Iterable[str]:
    """Return the limits that this step lifts, unless they are still on by their ``ends``."""
    facts = situation.facts(row.visit_id)
    step: Step = facts.protocol.step(row.step)
    times = schedule.nominal(step, facts, situation.zone)
    if times is None:
        return ()
    return (
        limit
        for limit in facts.protocol.lifted_by(step)
        if limit in ends and ends[limit] <= times[0]
    )


def _joined_late(situation: Situation, visit: Visit) -> bool:
    joined = situation.patient.joined_at
    if joined is None or visit.done_at is None:
        return False
    return joined - visit.done_at > schedule.JOINING_IN_CLINIC


def _target(protocol: Protocol, visit: Visit, language: str, today: date) -> str:
    target = protocol.target(visit.target_date, visit.done_date)
    return dates.day(target, language, today) if target else ""
