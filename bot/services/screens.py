"""What a practitioner looks at: today, the patients, one patient's card, plan and messages."""

from datetime import time, timedelta
from typing import Any

from bot.domain.states import CourseState, PatientState, ReminderState
from bot.domain.times import to_utc
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import control, enrolling, menus, preview, situation, words
from bot.services.errors import StaleButton
from bot.services.planning import replan
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.queries import alerts, outbox, people, plans
from bot.storage.tables import Patient, Reminder

_ROWS = 12
_SENT = 15
PAUSES = (3, 7, 14)
_FOR_EVER_DAYS = 3650


async def show_menu(turn: Turn) -> None:
    """Bring the practitioner's keyboard back."""
    practitioner = enrolling.lead_or_practitioner(turn)
    await turn.await_text("")
    await turn.tell(practitioner, "practitioner/menu", menu=menus.PRACTITIONER)


async def show_help(turn: Turn) -> None:
    """List what a practitioner can type and tap."""
    enrolling.lead_or_practitioner(turn)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    await turn.screen(
        "practitioner/help",
        {
            "commands": [
                {
                    "name": name,
                    "description": catalogue.label(language, "practitioner_commands", name),
                }
                for name in catalogue.keys(language, "practitioner_commands")
            ]
        },
    )


async def show_today(turn: Turn) -> None:
    """Show who needs somebody today: open reports, visits, people not joined, nothing booked."""
    enrolling.lead_or_practitioner(turn)
    language, zone = turn.clinic.language, turn.clinic_zone
    day = turn.now.astimezone(zone).date()
    start, end = to_utc(day, time(), zone), to_utc(day + timedelta(days=1), time(), zone)
    visits = await plans.visits_between(turn.session, turn.clinic.id or 0, start, end)
    waiting = await alerts.open_of_clinic(turn.session, turn.clinic.id or 0)
    lines, refs = [], {}
    for visit in visits:
        patient = await people.patient(turn.session, visit.patient_id)
        at = visit.done_at or visit.planned_at or turn.now
        state = "confirmed" if visit.confirmed_at else visit.state.value
        lines.append(
            {
                "when": dates.clock(at.astimezone(zone).time()),
                "patient": words.name_of(turn.session, patient),
                "state": turn.deps.catalogue.label(language, "visit_states", state),
            }
        )
        refs[patient.ref] = words.name_of(turn.session, patient)
    reports = []
    for alert in waiting:
        patient = await people.patient(turn.session, alert.patient_id)
        if patient.is_test:
            continue
        reports.append(
            {
                "patient": words.name_of(turn.session, patient),
                "when": dates.moment(alert.opened_at, zone, language),
                "level": turn.deps.catalogue.label(language, "levels", alert.level.value),
            }
        )
        refs[patient.ref] = words.name_of(turn.session, patient)
    not_joined, to_book, unreached = await _people_to_look_at(turn, refs)
    await turn.screen(
        "practitioner/today",
        {
            "day": dates.day(day, language),
            "visits": lines,
            "reports": reports,
            "not_joined": not_joined,
            "to_book": to_book,
            "unreached": unreached,
        },
        [
            *[
                [Button(text=name, data=buttons.pack("card", ref))]
                for ref, name in list(refs.items())[:_ROWS]
            ],
            [Button(label="new_patient_button", data=buttons.pack("new"))],
        ],
    )


async def _people_to_look_at(
    turn: Turn, refs: dict[str, str]
) -> tuple[list[str], list[str], list[str]]:
    """Return who has not joined, who has no next date at all, and who cannot be reached."""
    not_joined, to_book, unreached = [], [], []
    for patient in await people.patients(turn.session, turn.clinic.id or 0):
        name = words.name_of(turn.session, patient)
        if patient.state in (PatientState.INVITED, PatientState.OPENED):
            not_joined.append(name)
        elif patient.state is PatientState.UNREACHABLE:
            unreached.append(name)
        elif patient.state is PatientState.ACTIVE and await _nothing_next(turn, patient):
            to_book.append(name)
        else:
            continue
        refs.setdefault(patient.ref, name)
    return not_joined, to_book, unreached


async def _nothing_next(turn: Turn, patient: Patient) -> bool:
    """Say whether a course has neither a booked visit nor a planned date to book for."""
    whole = await situation.read(turn.session, patient.id or 0)
    return any(
        plan.course.state is CourseState.ACTIVE
        and plan.latest is not None
        and plan.booked is None
        and plan.latest.target_date is None
        for plan in whole.courses
    )


async def show_patients(turn: Turn) -> None:
    """List the clinic's patients, newest first, each opening their card."""
    enrolling.lead_or_practitioner(turn)
    found = await people.patients(turn.session, turn.clinic.id or 0)
    rows = [
        [
            Button(
                text=turn.deps.catalogue.label(
                    turn.clinic.language, "forms", "patient_line"
                ).format(
                    name=words.name_of(turn.session, patient),
                    state=turn.deps.catalogue.label(
                        turn.clinic.language, "patient_states", patient.state.value
                    ),
                ),
                data=buttons.pack("card", patient.ref),
            )
        ]
        for patient in found
    ]
    await turn.screen(
        "practitioner/patients",
        {"count": len(found)},
        [*rows, [Button(label="new_patient_button", data=buttons.pack("new"))]],
    )


async def show_card(turn: Turn, ref: str) -> None:
    """Show one patient: treatment, day, limits, next visit, what comes next, what can be done."""
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0)
    await turn.screen(
        "practitioner/card", _card_values(turn, whole), _card_rows(whole), patient=patient
    )


def _card_values(turn: Turn, whole: Situation) -> dict[str, Any]:
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    patient = whole.patient
    courses = []
    for plan in whole.courses:
        done = plan.latest
        day = None
        if done is not None and done.done_date is not None:
            day = (turn.now.astimezone(whole.zone).date() - done.done_date).days
        courses.append(
            {
                "treatment": catalogue.label(language, "treatments", plan.protocol.name),
                "sessions": len(plan.earlier) + (1 if done else 0),
                "day": day,
                "last": dates.moment(done.done_at, whole.clinic_zone, language)
                if done is not None and done.done_at is not None
                else None,
                "next": dates.moment(plan.booked.planned_at, whole.clinic_zone, language)
                if plan.booked is not None and plan.booked.planned_at is not None
                else None,
                "confirmed": plan.booked is not None and plan.booked.confirmed_at is not None,
                "target": dates.day(done.target_date, language)
                if done is not None and done.target_date is not None
                else None,
                "stopped": plan.course.state is CourseState.STOPPED,
            }
        )
    upcoming = words.next_reminder(whole, turn.now)
    paused = patient.paused_until
    return {
        "patient": words.name_of(turn.session, patient),
        "state": catalogue.label(language, "patient_states", patient.state.value),
        "courses": courses,
        "limits": words.limit_groups(catalogue, language, whole.zone, whole.limits(), turn.now),
        "next_message": _line(turn, whole, upcoming) if upcoming is not None else None,
        "paused": paused is not None,
        "paused_until": dates.day(paused.astimezone(whole.zone).date(), language)
        if paused is not None and paused - turn.now < timedelta(days=_FOR_EVER_DAYS - 1)
        else None,
    }


def _card_rows(whole: Situation) -> list[list[Button]]:
    patient = whole.patient

    def button(label: str, action: str, *values: str) -> Button:
        return Button(label=label, data=buttons.pack(action, patient.ref, *values))

    rows: list[list[Button]] = []
    active = [plan for plan in whole.courses if plan.course.state is CourseState.ACTIVE]
    if active:
        booked = active[-1].booked is not None
        rows.append([button("session_done", "session"), button("session_done_at", "sessionat")])
        rows.append(
            [button("move_visit" if booked else "set_next_visit", "setvisit")]
            + ([button("cancel_visit", "cancelvisit")] if booked else [])
        )
        if active[-1].latest is not None:
            rows.append([button("correct_time", "correct")])
    rows.append([button("see_plan", "plan"), button("what_was_sent", "sent")])
    if patient.paused_until is not None:
        rows.append([button("resume_plan", "presume")])
    elif patient.state is PatientState.ACTIVE and active:
        rows.append([button("pause_plan", "ppause"), button("stop_plan", "pstop")])
    if patient.state in (PatientState.INVITED, PatientState.DECLINED):
        rows.append([button("new_link", "link")])
    if patient.state is PatientState.OPENED and patient.confirmed_at is None:
        rows.append([button("it_is_them", "confirm", "yes"), button("not_them", "confirm", "no")])
    return rows


def _line(turn: Turn, whole: Situation, row: Reminder) -> dict[str, str]:
    step = whole.plan_of(row.visit_id).protocol.step(row.step)
    language = turn.clinic.language
    return {
        "when": dates.moment(row.due_at or turn.now, whole.zone, language),
        "what": preview.kind_label(turn.deps.catalogue, language, step),
    }


async def show_plan(turn: Turn, ref: str) -> None:
    """Show every step of the patient's plan: coming, gone, or not sent and why."""
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    steps = []
    for row in whole.reminders:
        reason = row.reason or row.outlook
        state = catalogue.label(language, "reminder_states", row.state.value)
        if row.state is ReminderState.PLANNED and row.message_id is not None:
            state = catalogue.label(language, "reminder_states", "going")
        steps.append(
            {
                **_line(turn, whole, row),
                "state": state,
                "reason": catalogue.label(language, "reasons", reason.value) if reason else None,
            }
        )
    await turn.screen(
        "practitioner/plan",
        {"patient": words.name_of(turn.session, patient), "steps": steps[-40:]},
        [_back(patient)],
        patient=patient,
    )


def _back(patient: Patient) -> list[Button]:
    return [Button(label="open_card", data=buttons.pack("card", patient.ref))]


async def show_sent(turn: Turn, ref: str) -> None:
    """Show the newest messages to the patient, each with its time and what became of it."""
    patient = await enrolling.own_patient(turn, ref)
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    sent = await outbox.sent_to_patient(turn.session, patient.id or 0, limit=_SENT)
    lines = [
        {
            "when": dates.moment(message.sent_at or message.queued_at, turn.clinic_zone, language),
            "what": _title(turn, message.template),
            "state": catalogue.label(language, "message_states", message.state.value),
        }
        for message in reversed(sent)
    ]
    await turn.screen(
        "practitioner/sent",
        {"patient": words.name_of(turn.session, patient), "messages": lines},
        [_back(patient)],
        patient=patient,
    )


def _title(turn: Turn, template: str) -> str:
    """Return what a message was, in a word or two, by the folder and name of its text."""
    language = turn.clinic.language
    name = template.rsplit("/", 1)[-1].replace("-", "_")
    known = turn.deps.catalogue.keys(language, "titles")
    return turn.deps.catalogue.label(language, "titles", name if name in known else "other")


async def offer_pause(turn: Turn, ref: str) -> None:
    """Ask for how long a patient's plan rests; safety checks still go."""
    patient = await enrolling.own_patient(turn, ref)
    form = turn.deps.catalogue.label(turn.clinic.language, "forms", "days")
    await turn.screen(
        "practitioner/ask_pause",
        {"patient": words.name_of(turn.session, patient)},
        [
            [
                Button(
                    text=form.format(days=days),
                    data=buttons.pack("pausefor", patient.ref, str(days)),
                )
                for days in PAUSES
            ],
            [Button(label="until_i_resume", data=buttons.pack("pausefor", patient.ref, "0"))],
            _back(patient),
        ],
        patient=patient,
    )


async def pause(turn: Turn, ref: str, days: str) -> None:
    """Rest the plan for so many days; 0 means until somebody resumes it."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.state is not PatientState.ACTIVE or days not in {"0", *map(str, PAUSES)}:
        raise StaleButton
    await control.pause_for(turn, patient, int(days) or _FOR_EVER_DAYS)
    await show_card(turn, ref)


async def resume(turn: Turn, ref: str) -> None:
    """End a pause; what is still of use goes now, the rest stays recorded as not sent."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.paused_until is None:
        raise StaleButton
    patient.paused_until = None
    turn.session.add(patient)
    await replan(turn.session, patient.id or 0, turn.now)
    await show_card(turn, ref)


async def ask_stop(turn: Turn, ref: str) -> None:
    """Ask once more before a course ends."""
    patient = await enrolling.own_patient(turn, ref)
    await turn.screen(
        "practitioner/ask_stop",
        {"patient": words.name_of(turn.session, patient)},
        [[Button(label="stop_plan", data=buttons.pack("stopcourse", patient.ref))], _back(patient)],
        patient=patient,
    )


async def stop_course(turn: Turn, ref: str) -> None:
    """End the patient's running courses; nothing more of them is sent, the patient is told."""
    patient = await enrolling.own_patient(turn, ref)
    running = await plans.active_courses(turn.session, patient.id or 0)
    if not running:
        raise StaleButton
    for course in running:
        course.state = CourseState.STOPPED
        turn.session.add(course)
    await replan(turn.session, patient.id or 0, turn.now)
    if patient.state is PatientState.ACTIVE:
        await turn.tell_patient(patient, "patient/course_stopped")
    await turn.screen(
        "practitioner/course_stopped",
        {"patient": words.name_of(turn.session, patient)},
        [_back(patient)],
        patient=patient,
    )


async def new_link(turn: Turn, ref: str) -> None:
    """Make a new link for somebody who has not joined; the old one stops working."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.state not in (PatientState.INVITED, PatientState.DECLINED):
        raise StaleButton
    if patient.state is PatientState.DECLINED:
        patient.telegram_id = None
        patient.state = PatientState.INVITED
        turn.session.add(patient)
    await enrolling.show_link(turn, patient)
