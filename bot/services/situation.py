"""Everything the planner and the texts need to know of one patient, read in one place."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import schedule
from bot.domain.limits import kept_until, strictest
from bot.domain.protocol import Protocol, Step
from bot.domain.schedule import VisitFacts
from bot.domain.states import AlertState, CourseState, ReminderState, VisitState
from bot.domain.times import QuietHours
from bot.storage.queries import alerts as reported
from bot.storage.queries import limit_ends, people, plans, versions
from bot.storage.tables import (
    Alert,
    Clinic,
    Course,
    LimitEnd,
    Patient,
    Practitioner,
    Reminder,
    Visit,
)

_RECENT = timedelta(days=28)
_Row = TypeVar("_Row", Alert, Course, LimitEnd, Visit, Reminder)


@dataclass(frozen=True, slots=True)
class CoursePlan:
    """One course with its protocol, its latest session and its next booked visit."""

    course: Course
    protocol: Protocol
    latest: Visit | None
    booked: Visit | None
    earlier: tuple[Visit, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """The latest session of a course."""

    protocol: Protocol
    visit: Visit
    at: datetime
    date: date


@dataclass(frozen=True, slots=True)
class PlannedLimit:
    """A limit by the plans alone: its strictest end, and where that is from."""

    ends_at: datetime
    # The newest session after which it holds: with each it starts anew.
    since: datetime
    # The courses whose own end it is.
    of: tuple[CoursePlan, ...]


@dataclass(frozen=True, slots=True)
class Situation:
    """One patient at one moment."""

    clinic: Clinic
    practitioner: Practitioner
    patient: Patient
    courses: tuple[CoursePlan, ...]
    visits: Sequence[Visit]
    reminders: Sequence[Reminder]
    # Those for which messages may have to rest.
    alerts: Sequence[Alert] = ()
    # The limits that the patient said they keep on, perhaps before a newer session.
    limits_kept: Sequence[LimitEnd] = ()

    @property
    def zone(self) -> ZoneInfo:
        """The patient's zone; the clinic's until the patient has told theirs."""
        return ZoneInfo(self.patient.timezone or self.clinic.timezone)

    @property
    def clinic_zone(self) -> ZoneInfo:
        """The clinic's zone, in which visits are booked and shown."""
        return ZoneInfo(self.clinic.timezone)

    @property
    def quiet(self) -> QuietHours:
        """The patient's quiet hours."""
        return QuietHours(self.patient.quiet_start, self.patient.quiet_end)

    def visit(self, visit_id: int) -> Visit:
        """Return one of the patient's visits."""
        return next(visit for visit in self.visits if visit.id == visit_id)

    def plan_of(self, visit_id: int) -> CoursePlan:
        """Return the course that a visit belongs to."""
        course_id = self.visit(visit_id).course_id
        return next(plan for plan in self.courses if plan.course.id == course_id)

    def step_of(self, reminder: Reminder) -> Step:
        """Return the protocol's step that a reminder dates."""
        return self.plan_of(reminder.visit_id).protocol.step(reminder.step)

    def facts(self, visit_id: int) -> VisitFacts:
        """Return what the planner knows of one visit."""
        return _facts(self, self.plan_of(visit_id), self.visit(visit_id))

    def planned_facts(self) -> list[VisitFacts]:
        """Return the facts of every visit whose steps are still to come."""
        return [
            _facts(self, plan, visit)
            for plan in self.courses
            if plan.course.state is CourseState.ACTIVE
            for visit in (plan.latest, plan.booked)
            if visit is not None
        ]

    def running(self) -> list[CoursePlan]:
        """Return the courses that nobody has ended, oldest first."""
        return [plan for plan in self.courses if plan.course.state is CourseState.ACTIVE]

    def recent(self, now: datetime) -> list[Done]:
        """Return the sessions of the last four weeks, one a course; else the latest; newest first.

        What a patient reports may be of any of them: all are named, all of their tables count.
        """
        done = [
            Done(plan.protocol, plan.latest, plan.latest.done_at, plan.latest.done_date)
            for plan in self.courses
            if plan.latest and plan.latest.done_at and plan.latest.done_date
        ]
        done.sort(key=lambda each: each.at, reverse=True)
        return [each for each in done if now - each.at <= _RECENT] or done[:1]

    def day_after(self, done: Done, now: datetime) -> int:
        """Return the patient's days since a session, which is day 0."""
        return max((now.astimezone(self.zone).date() - done.date).days, 0)

    def rests(self, now: datetime, *, courtesy: bool) -> bool:
        """Say whether routine messages rest for a report: all of them, or only courtesies."""
        return any(
            alert.resumed_at is None
            or now < alert.resumed_at
            or (courtesy and alert.state is AlertState.OPEN)
            for alert in self.alerts
        )

    @property
    def reported(self) -> bool:
        """Whether danger was reported, and nobody has closed that report or resumed the plan."""
        return any(alert.resumed_at is None for alert in self.alerts)

    def planned_limits(self) -> dict[str, PlannedLimit]:
        """Return each limit of the active courses, first to end first; the strictest end counts."""
        own = [
            (plan, plan.latest.done_at, dict(_ends_of(plan, plan.latest, self.zone)))
            for plan in self.courses
            if plan.course.state is CourseState.ACTIVE
            and plan.latest is not None
            and plan.latest.done_at is not None
        ]
        return {
            limit: PlannedLimit(
                ends_at=end,
                since=max(done_at for _, done_at, ends in own if limit in ends),
                of=tuple(plan for plan, _, ends in own if ends.get(limit) == end),
            )
            for limit, end in strictest(tuple(ends.items()) for _, _, ends in own)
        }

    def kept(self) -> dict[str, LimitEnd]:
        """Return the limits kept on beyond the plan, as the skin is not calm, by name.

        A newer session ends that: its limits start anew, and it asks for itself.
        """
        planned = self.planned_limits()
        return {
            row.name: row
            for row in self.limits_kept
            if row.name in planned
            and row.kept_at is not None
            and row.kept_at >= planned[row.name].since
        }

    def limits(self, now: datetime) -> dict[str, datetime]:
        """Return until when each limit is on, also those kept on: these until then at least.

        Those that a message before a visit has asked for are on until the visit.
        """
        ends = {limit: each.ends_at for limit, each in self.planned_limits().items()}
        for limit, row in self.kept().items():
            until = kept_until(row.kept_at or now, ends[limit], now, self.zone)
            ends[limit] = max(ends[limit], until)
        for limit, at in self.until_visits(now).items():
            ends[limit] = max(at, ends.get(limit, at))
        return dict(sorted(ends.items(), key=lambda each: each[1]))

    def until_visits(self, now: datetime) -> dict[str, datetime]:
        """Return the limits that a message before a visit has asked for, until that visit.

        Whoever did not get it knows of none; after a move to a later day it comes again.
        """
        ends: dict[str, datetime] = {}
        for row in self.reminders:
            if row.state is not ReminderState.SENT:
                continue
            visit, plan = self.visit(row.visit_id), self.plan_of(row.visit_id)
            at, step = visit.planned_at, self.step_of(row)
            planned = visit.state is VisitState.PLANNED and plan.course.state is CourseState.ACTIVE
            if not step.until_visit or not planned or at is None or at <= now:
                continue
            times = schedule.nominal(step, self.facts(row.visit_id), self.zone)
            if row.round < visit.round and times is not None and times[0] > now:
                continue
            ends |= {limit: max(at, ends.get(limit, at)) for limit in step.until_visit}
        return ends

    def reminders_of(self, message_id: int | None) -> list[Reminder]:
        """Return the reminders that go with that message, by step time."""
        return [row for row in self.reminders if message_id and row.message_id == message_id]


def _ends_of(plan: CoursePlan, visit: Visit, zone: ZoneInfo) -> Sequence[tuple[str, datetime]]:
    if visit.done_at is None or visit.done_date is None:
        return ()
    return schedule.limit_ends(plan.protocol, visit.done_at, visit.done_date, zone)


def _facts(situation: Situation, plan: CoursePlan, visit: Visit) -> VisitFacts:
    planned = visit.state is VisitState.PLANNED
    booked = plan.booked if plan.booked is not None and plan.booked.id != visit.id else None
    recorded = visit.recorded_at or visit.created_at
    joined = situation.patient.joined_at or recorded
    return VisitFacts(
        visit=visit.ref,
        protocol=plan.protocol,
        done_at=visit.done_at,
        done_date=visit.done_date,
        planned_at=visit.planned_at if planned else None,
        planned_date=_day(visit.planned_at, situation.clinic_zone) if planned else None,
        target_date=visit.target_date,
        next_visit_at=booked.planned_at if booked else None,
        next_visit_date=_day(booked.planned_at, situation.clinic_zone) if booked else None,
        previous_done_date=plan.latest.done_date if planned and plan.latest else None,
        later_session=visit in plan.earlier,
        confirmed=visit.confirmed_at is not None,
        session=plan.latest.ref if planned and plan.latest else visit.ref,
        since=max(joined, recorded, situation.patient.resumed_at or joined),
    )


def _day(moment: datetime | None, zone: ZoneInfo) -> date | None:
    return None if moment is None else moment.astimezone(zone).date()


async def read(session: AsyncSession, patient_id: int, *, lock: bool = False) -> Situation:
    """Return the patient's situation as the transaction sees it; see :func:`read_all`."""
    return (await read_all(session, [patient_id], lock=lock))[patient_id]


async def read_all(
    session: AsyncSession, patient_ids: Collection[int], *, lock: bool = False
) -> dict[int, Situation]:
    """Return the situations of these patients, read together: few statements, however many.

    With ``lock`` nobody else plans or dispatches for them until this transaction ends.
    """
    if not patient_ids:
        return {}
    patients = await people.patients_by_id(session, patient_ids, lock=lock)
    courses = await plans.courses(session, patient_ids)
    visits = _by_patient(await plans.visits(session, patient_ids))
    reminders = _by_patient(await plans.reminders(session, patient_ids))
    open_alerts = _by_patient(await reported.resting(session, patient_ids))
    limits_kept = _by_patient(await limit_ends.kept(session, patient_ids))
    protocols = {
        course.id: await versions.protocol(session, course.protocol_version_id)
        for course in courses
    }
    clinics = {
        clinic_id: await people.clinic(session, clinic_id)
        for clinic_id in sorted({patient.clinic_id for patient in patients})
    }
    practitioners = {
        practitioner_id: await people.practitioner(session, practitioner_id)
        for practitioner_id in sorted({patient.practitioner_id for patient in patients})
    }
    own_courses = _by_patient(courses)
    return {
        (patient_id := patient.id or 0): Situation(
            clinic=clinics[patient.clinic_id],
            practitioner=practitioners[patient.practitioner_id],
            patient=patient,
            courses=tuple(
                _course_plan(course, protocols[course.id], visits[patient_id])
                for course in own_courses[patient_id]
            ),
            visits=visits[patient_id],
            reminders=reminders[patient_id],
            alerts=open_alerts[patient_id],
            limits_kept=limits_kept[patient_id],
        )
        for patient in patients
    }


def _by_patient(rows: Sequence[_Row]) -> dict[int, list[_Row]]:
    own: dict[int, list[_Row]] = defaultdict(list)
    for row in rows:
        own[row.patient_id].append(row)
    return own


def _course_plan(course: Course, approved: Protocol, visits: Sequence[Visit]) -> CoursePlan:
    own = [visit for visit in visits if visit.course_id == course.id]
    done = sorted(
        (visit for visit in own if visit.state is VisitState.DONE and visit.done_at is not None),
        key=lambda visit: (visit.done_at, visit.id),
    )
    booked = [visit for visit in own if visit.state is VisitState.PLANNED]
    return CoursePlan(
        course=course,
        protocol=approved.of(course.variant).with_upkeep(course.upkeep_days),
        latest=done[-1] if done else None,
        booked=booked[-1] if booked else None,
        earlier=tuple(done[:-1]),
    )
