"""What a practitioner records of visits: done, booked, moved, cancelled, corrected."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bot.domain.protocol import Kind
from bot.domain.states import (
    CourseState,
    MessageState,
    PatientState,
    ReminderState,
    VisitState,
)
from bot.domain.times import QuietHours, is_quiet
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import actions, courses, dispatch, enrolling, situation, visit_notes
from bot.services.deps import new_ref
from bot.services.errors import CareError, StaleButton
from bot.services.planning import new_round, replan
from bot.services.situation import CoursePlan, Situation
from bot.services.turn import Turn
from bot.services.typed_dates import MomentTyped
from bot.storage.queries import outbox as messages
from bot.storage.queries import people, plans
from bot.storage.tables import Course, Patient, Reminder, Visit

# Two times this near to each other are one session, typed or tapped twice.
SAME_SESSION = timedelta(minutes=5)
TARGET_WEEKS = (2, 3, 4, 6)
# What a time is asked for, and which courses it can be of.
_ASKED_OF = {"visit": "setvisit", "session": "sessionat", "correction": "correct"}


async def _course(
    turn: Turn, patient: Patient, act: str, course: str
) -> tuple[Situation, CoursePlan]:
    """Return the patient's situation, and of it the course that a screen's buttons mean."""
    whole = await situation.read(turn.session, patient.id or 0)
    return whole, courses.meant(turn, whole, act, course)


async def _new_visit(turn: Turn, plan: CoursePlan, patient: Patient) -> Visit:
    visit = Visit(
        ref=new_ref(),
        clinic_id=patient.clinic_id,
        patient_id=patient.id or 0,
        course_id=plan.course.id or 0,
        created_at=turn.now,
    )
    turn.session.add(visit)
    await turn.session.flush()
    return visit


async def session_done(
    turn: Turn, ref: str, moment: MomentTyped | None = None, course: str = ""
) -> None:
    """Record a session as done now, or at ``moment``; limits and plan start anew.

    A course that was ended goes on with it.
    """
    patient = await enrolling.own_patient(turn, ref)
    whole, plan = await _course(turn, patient, "session", course)
    name = courses.named(turn, whole, plan)
    ended = plan.course.state is CourseState.STOPPED
    if ended:
        plan.course.state = CourseState.ACTIVE
        turn.session.add(plan.course)
    if moment is not None and not moment.past:
        raise CareError("future_session")
    done_at = moment.at if moment is not None else turn.now
    if plan.latest is not None and plan.latest.done_at is not None:
        if abs(done_at - plan.latest.done_at) < SAME_SESSION:
            raise CareError("session_recorded", {"patient": name})
        if done_at < plan.latest.done_at:
            raise CareError("session_earlier")
    visit = plan.booked if _meant(turn, plan.booked, done_at) else None
    before = actions.as_before(visit) | {"ended": ended}
    if visit is None:
        visit = await _new_visit(turn, plan, patient)
    # A booked visit may have been recorded and taken back before: its card then comes again.
    await new_round(turn.session, visit)
    visit.state = VisitState.DONE
    visit.done_at = done_at
    visit.done_date = enrolling.session_day(turn, done_at)
    visit.recorded_at = turn.now
    turn.session.add(visit)
    whole = await replanned(turn, patient)
    action = await actions.note(
        turn, patient, actions.Kind.SESSION_DONE, visit=visit, before=before
    )
    next_visit = buttons.pack("setvisit", patient.ref, plan.course.ref)
    await turn.screen(
        "practitioner/session_saved",
        {
            "patient": name,
            "session_at": dates.moment(done_at, turn.clinic_zone, turn.clinic.language, turn.now),
            "number": 1 + len(plan.earlier) + (1 if plan.latest else 0),
            "n_messages": coming(whole),
            "target_asked": plan.protocol.books,
        },
        [
            *([_weeks(turn, plan, visit)] if plan.protocol.books else []),
            [Button(label="set_next_visit", data=next_visit)],
            details_row(patient, plan.course),
            *actions.undo_rows(action, patient),
        ],
        patient=patient,
    )


def _meant(turn: Turn, booked: Visit | None, done_at: datetime) -> bool:
    """Say whether a booked visit is the session that was just done: the same day, or overdue."""
    if booked is None or booked.planned_at is None:
        return False
    zone = turn.clinic_zone
    return booked.planned_at.astimezone(zone).date() <= done_at.astimezone(zone).date()


def details_row(patient: Patient, course: Course) -> list[Button]:
    """Return the row that asks for area and product of the course's last session."""
    data = buttons.pack("details", patient.ref, course.ref)
    return [Button(label="area_and_product", data=data)]


def _weeks(turn: Turn, plan: CoursePlan, visit: Visit) -> list[Button]:
    form = turn.deps.catalogue.label(turn.clinic.language, "forms", "weeks")
    return [
        Button(text=form.format(weeks=weeks), data=buttons.pack("target", visit.ref, str(weeks)))
        for weeks in _weeks_of(plan)
    ]


def _weeks_of(plan: CoursePlan) -> list[int]:
    """Return in how many weeks the next session may be planned."""
    earliest = timedelta(days=plan.protocol.target_not_before)
    return [weeks for weeks in TARGET_WEEKS if timedelta(weeks=weeks) >= earliest]


def coming(whole: Situation) -> int:
    """Return how many messages are still to come."""
    return len(
        {
            row.group_key or row.ref
            for row in whole.reminders
            if row.state is ReminderState.PLANNED and row.outlook is None
        }
    )


async def replanned(turn: Turn, patient: Patient) -> Situation:
    """Replan and send at once what became due, in this transaction."""
    whole = await replan(turn.session, patient.id or 0, turn.now)
    if patient.state is PatientState.ACTIVE:
        await dispatch.dispatch(turn.session, [patient.id or 0], turn.now)
    return whole


async def set_target(turn: Turn, visit_ref: str, weeks: str) -> None:
    """Keep the date planned for the next session, so that booking can be asked for in time."""
    practitioner = enrolling.lead_or_practitioner(turn)
    visit = await plans.visit_by_ref(turn.session, practitioner.clinic_id, visit_ref)
    if visit is None or weeks not in map(str, TARGET_WEEKS):
        raise StaleButton
    patient = await people.locked_patient(turn.session, visit.patient_id)
    await turn.forget_text_about_others(patient)
    # This reads the visit anew, as whoever held the patient before has left it.
    whole = await situation.read(turn.session, patient.id or 0)
    plan = whole.plan_of(visit.id or 0)
    if visit.done_date is None or plan.course.state is CourseState.STOPPED:
        raise StaleButton
    if int(weeks) not in _weeks_of(plan):
        raise StaleButton
    target_date = visit.done_date + timedelta(weeks=int(weeks))
    if plan.latest is None or plan.latest.id != visit.id or visit.target_date == target_date:
        raise StaleButton
    before = actions.as_before(visit)
    visit.target_date = target_date
    turn.session.add(visit)
    await replanned(turn, patient)
    action = await actions.note(turn, patient, actions.Kind.TARGET, visit=visit, before=before)
    await turn.screen(
        "practitioner/target_set",
        {
            "patient": courses.named(turn, whole, plan),
            "target_date": dates.day(target_date, turn.clinic.language, turn.today),
        },
        actions.undo_rows(action, patient),
        patient=patient,
    )


async def ask_moment(turn: Turn, ref: str, course: str = "", *, what: str) -> None:
    """Ask for a date and time to be typed: ``visit``, ``session`` or ``correction``."""
    patient = await enrolling.own_patient(turn, ref)
    whole, plan = await _course(turn, patient, _ASKED_OF[what], course)
    draft = new_ref()
    notes = {"draft": draft, "patient": patient.ref, "course": plan.course.ref}
    await turn.await_text(f"moment_{what}", **notes)
    await turn.screen(
        f"practitioner/ask_{what}_time",
        {"patient": courses.named(turn, whole, plan)},
        [[enrolling.cancel_button(draft)]],
    )


async def set_visit(turn: Turn, ref: str, moment: MomentTyped, course: str = "") -> None:
    """Book the course's next visit, or move the one that is booked; the patient is told."""
    patient = await enrolling.own_patient(turn, ref)
    if moment.past:
        raise CareError("past_visit")
    whole, plan = await _course(turn, patient, "setvisit", course)
    name = courses.named(turn, whole, plan)
    visit = plan.booked
    moved = visit is not None
    before = actions.as_before(visit)
    if visit is None:
        visit = await _new_visit(turn, plan, patient)
    if visit.planned_at == moment.at:
        raise CareError("visit_same", {"patient": name})
    if not _same_day(turn, visit.planned_at, moment.at):
        await new_round(turn.session, visit)
    visit.planned_at = moment.at
    visit.confirmed_at = None
    turn.session.add(visit)
    # The note goes before what the new date makes due at once.
    await visit_notes.tell(turn, patient, visit, visit_notes.MOVED if moved else visit_notes.BOOKED)
    whole = await replanned(turn, patient)
    action = await actions.note(turn, patient, actions.Kind.VISIT, visit=visit, before=before)
    await turn.screen(
        "practitioner/visit_set",
        {
            "patient": name,
            "visit_at": dates.moment(moment.at, turn.clinic_zone, turn.clinic.language, turn.now),
            "moved": moved,
            "n_messages": coming(whole),
            "told_at": _told_at(turn, patient),
        },
        actions.undo_rows(action, patient),
        patient=patient,
    )


def _told_at(turn: Turn, patient: Patient) -> str | None:
    """Return when, on the patient's clock, quiet hours let a note go; nothing outside them."""
    zone = ZoneInfo(patient.timezone or turn.clinic.timezone)
    quiet = QuietHours(patient.quiet_start, patient.quiet_end)
    return dates.clock(quiet.end) if is_quiet(turn.now, zone, quiet) else None


def _same_day(turn: Turn, before: datetime | None, after: datetime) -> bool:
    """Say whether a visit keeps its date: what was delivered for it then stays delivered."""
    zone = turn.clinic_zone
    return before is not None and before.astimezone(zone).date() == after.astimezone(zone).date()


async def cancel_visit(turn: Turn, ref: str, course: str = "") -> None:
    """Cancel the course's visit; booking and late checks come back, the patient is told."""
    patient = await enrolling.own_patient(turn, ref)
    whole, plan = await _course(turn, patient, "cancelvisit", course)
    visit = plan.booked
    if visit is None:
        raise StaleButton
    before = actions.as_before(visit)
    visit.state = VisitState.CANCELLED
    turn.session.add(visit)
    await visit_notes.tell(turn, patient, visit, visit_notes.CANCELLED)
    await replanned(turn, patient)
    action = await actions.note(
        turn, patient, actions.Kind.VISIT_CANCELLED, visit=visit, before=before
    )
    await turn.screen(
        "practitioner/visit_cancelled",
        {
            "patient": courses.named(turn, whole, plan),
            "told_at": _told_at(turn, patient),
        },
        actions.undo_rows(action, patient),
        patient=patient,
    )


async def correct_time(turn: Turn, ref: str, moment: MomentTyped, course: str = "") -> None:
    """Put a wrong session time right: one corrected card, and what is unsent is planned anew."""
    patient = await enrolling.own_patient(turn, ref)
    whole, plan = await _course(turn, patient, "correct", course)
    visit = plan.latest
    if visit is None:
        raise StaleButton
    if not moment.past:
        raise CareError("future_session")
    name = courses.named(turn, whole, plan)
    if visit.done_at == moment.at:
        raise CareError("session_recorded", {"patient": name})
    if plan.earlier and moment.at - (plan.earlier[-1].done_at or moment.at) < SAME_SESSION:
        raise CareError("session_before_last", {"patient": name})
    before = actions.as_before(visit)
    visit.corrected = await card_seen(turn, visit)
    await new_round(turn.session, visit)
    visit.done_at = moment.at
    visit.done_date = enrolling.session_day(turn, moment.at)
    visit.recorded_at = turn.now
    turn.session.add(visit)
    whole = await replanned(turn, patient)
    action = await actions.note(turn, patient, actions.Kind.CORRECTED, visit=visit, before=before)
    await turn.screen(
        "practitioner/session_corrected",
        {
            "patient": name,
            "session_at": dates.moment(moment.at, turn.clinic_zone, turn.clinic.language, turn.now),
            "card_again": card_again(whole, visit),
        },
        actions.undo_rows(action, patient),
        patient=patient,
    )


async def card_seen(turn: Turn, visit: Visit) -> bool:
    """Say whether the patient has (or may have) a card of this visit."""
    whole = await situation.read(turn.session, visit.patient_id)
    seen = (ReminderState.SENT, ReminderState.UNDELIVERED)
    for row in _cards(whole, visit):
        if row.state in seen:
            return True
        carrier = await messages.message(turn.session, row.message_id or 0)
        # In the air, or perhaps arrived already.
        if carrier is not None and (
            carrier.state is MessageState.SENDING or carrier.maybe_copies > 0
        ):
            return True
    return False


def card_again(whole: Situation, visit: Visit) -> bool:
    """Say whether a new card is on its way that replaces the one the patient has."""
    return visit.corrected and any(
        row.state is ReminderState.PLANNED for row in _cards(whole, visit)
    )


def _cards(whole: Situation, visit: Visit) -> list[Reminder]:
    protocol = whole.plan_of(visit.id or 0).protocol
    own = (row for row in whole.reminders if row.visit_id == visit.id)
    return [row for row in own if Kind.CARD in protocol.step(row.step).kinds]
