"""What a practitioner looks at: today, the patients, one patient's card, plan and messages."""

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

from bot.domain.states import CourseState, PatientState, ReminderState, VisitState
from bot.domain.times import to_utc
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import (
    actions,
    control,
    enrolling,
    invitations,
    joining,
    menus,
    preview,
    situation,
    words,
)
from bot.services.errors import StaleButton
from bot.services.planning import replan
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage.queries import alerts, outbox, people, plans
from bot.storage.tables import Patient, Reminder

# What a screen lists at most: more would not fit into one message.
_ROWS = 12
_SENT = 15
_VISITS = 36
# Safety checks that never arrived stay on the list this long.
_LOOK_BACK = timedelta(days=14)
_NAMES = 12
_NAME = 24
_PAGE = 20
_LAST_PAGE = 10_000
PAUSES = (3, 7, 14)
# Who can be given a new link.
_LINKABLE = (PatientState.INVITED, PatientState.DECLINED, PatientState.UNREACHABLE)


async def show_menu(turn: Turn) -> None:
    """Bring the practitioner's keyboard back."""
    practitioner = enrolling.lead_or_practitioner(turn)
    await turn.await_text("")
    await turn.tell(practitioner, "practitioner/menu", menu=menus.PRACTITIONER)


async def cannot_read(turn: Turn, album: str) -> None:
    """Answer what is no text, once for all pictures of an album; what was asked stays asked."""
    practitioner = enrolling.lead_or_practitioner(turn)
    awaiting, notes = await turn.awaiting()
    if album and notes.get("album") == album:
        return
    if album:
        await turn.await_text(awaiting, **(notes | {"album": album}))
    await turn.tell(practitioner, "errors/not_understood_practitioner")


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
    await turn.await_text("")
    language, zone = turn.clinic.language, turn.clinic_zone
    day = turn.now.astimezone(zone).date()
    start, end = to_utc(day, time(), zone), to_utc(day + timedelta(days=1), time(), zone)
    refs: dict[str, str] = {}
    reports = await _open_reports(turn, refs)
    lines = []
    for visit in await plans.visits_between(turn.session, turn.clinic.id or 0, start, end):
        patient = await people.patient(turn.session, visit.patient_id)
        at = visit.done_at or visit.planned_at or turn.now
        said_yes = visit.state is VisitState.PLANNED and visit.confirmed_at is not None
        state = "patient_confirmed" if said_yes else visit.state.value
        lines.append(
            {
                "when": dates.clock(at.astimezone(zone).time()),
                "patient": _listed(turn, patient, refs),
                "state": turn.deps.catalogue.label(language, "visit_states", state),
            }
        )
    waiting = await people.patients_in(
        turn.session, turn.clinic.id or 0, (PatientState.INVITED, PatientState.OPENED)
    )
    lost = await people.patients_in(turn.session, turn.clinic.id or 0, (PatientState.UNREACHABLE,))
    unchecked = await plans.missed_checks(turn.session, turn.clinic.id or 0, turn.now - _LOOK_BACK)
    to_book = await plans.patients_to_book(turn.session, turn.clinic.id or 0, start, day)
    await turn.screen(
        "practitioner/today",
        {
            "day": dates.day(day, language),
            "visits": lines[:_VISITS],
            "reports": reports,
            "missed_checks": _names(turn, unchecked, refs),
            "unreached": _names(turn, lost, refs),
            "not_joined": _names(turn, waiting, refs),
            "to_book": _names(turn, to_book, refs),
        },
        [
            *[
                [Button(text=name, data=buttons.pack("card", ref))]
                for ref, name in list(refs.items())[:_ROWS]
            ],
            [Button(label="new_patient_button", data=buttons.pack("new"))],
        ],
    )


async def _open_reports(turn: Turn, refs: dict[str, str]) -> list[dict[str, str]]:
    language = turn.clinic.language
    reports = []
    for alert in await alerts.open_of_clinic(turn.session, turn.clinic.id or 0):
        patient = await people.patient(turn.session, alert.patient_id)
        if patient.is_test:
            continue
        reports.append(
            {
                "patient": _listed(turn, patient, refs),
                "when": dates.moment(alert.opened_at, turn.clinic_zone, language),
                "level": turn.deps.catalogue.label(language, "levels", alert.level.value),
            }
        )
    return reports[:_NAMES]


def _listed(turn: Turn, patient: Patient, refs: dict[str, str]) -> str:
    """Return the name for a list, cut where it would crowd others out; its card gets a button."""
    name = words.name_of(turn.session, patient)
    shown = name if len(name) <= _NAME else f"{name[:_NAME]}\N{HORIZONTAL ELLIPSIS}"
    refs.setdefault(patient.ref, shown)
    return shown


def _names(turn: Turn, found: Sequence[Patient], refs: dict[str, str]) -> list[str]:
    names = [_listed(turn, patient, refs) for patient in found[:_NAMES]]
    if len(found) <= _NAMES:
        return names
    form = turn.deps.catalogue.label(turn.clinic.language, "forms", "more")
    return [*names, form.format(count=len(found) - _NAMES)]


async def show_patients(turn: Turn, page: str = "0") -> None:
    """List the clinic's patients, newest first, page by page; each opens their card."""
    enrolling.lead_or_practitioner(turn)
    if not page.isdecimal():
        raise StaleButton
    await turn.await_text("")
    at = min(int(page), _LAST_PAGE)
    found = await people.patients(
        turn.session, turn.clinic.id or 0, limit=_PAGE + 1, offset=at * _PAGE
    )
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    form = catalogue.label(language, "forms", "patient_line")
    rows = [
        [
            Button(
                text=form.format(
                    name=words.name_of(turn.session, patient),
                    state=catalogue.label(language, "patient_states", patient.state.value),
                ),
                data=buttons.pack("card", patient.ref),
            )
        ]
        for patient in found[:_PAGE]
    ]
    turning = []
    if at:
        turning.append(Button(label="previous_page", data=buttons.pack("patients", str(at - 1))))
    if len(found) > _PAGE:
        turning.append(Button(label="next_page", data=buttons.pack("patients", str(at + 1))))
    await turn.screen(
        "practitioner/patients",
        {"count": len(found)},
        [
            *rows,
            *([turning] if turning else []),
            [Button(label="new_patient_button", data=buttons.pack("new"))],
        ],
    )


async def show_card(turn: Turn, ref: str) -> None:
    """Show one patient: treatment, day, limits, next visit, what comes next, what can be done."""
    patient = await enrolling.own_patient(turn, ref)
    # Whoever looks at a card has left the question that was asked before: a date typed now must
    # not reach another patient.
    await turn.await_text("")
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
    return {
        "patient": words.name_of(turn.session, patient),
        "state": catalogue.label(language, "patient_states", patient.state.value),
        "courses": courses,
        "limits": words.limit_groups(catalogue, language, whole.zone, whole.limits(), turn.now),
        "next_message": _line(turn, whole, upcoming) if upcoming is not None else None,
        "paused": patient.paused_until is not None,
        "paused_until": control.last_day_of_pause(whole, language),
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
    elif whole.courses:
        rows.append([button("session_done", "session"), button("session_done_at", "sessionat")])
    rows.append([button("see_plan", "plan"), button("what_was_sent", "sent")])
    if patient.paused_until is not None:
        rows.append([button("resume_plan", "presume"), button("stop_plan", "pstop")])
    elif patient.state is PatientState.ACTIVE and active:
        rows.append([button("pause_plan", "ppause"), button("stop_plan", "pstop")])
    if patient.state in _LINKABLE:
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
            "reason": catalogue.label(language, "reasons", message.reason.value)
            if message.reason is not None
            else None,
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
    before = _pause_before(patient)
    await control.pause_for(turn, patient, int(days))
    await actions.note(turn, patient, actions.Kind.PAUSED, before=before)
    await show_card(turn, ref)


def _pause_before(patient: Patient) -> dict[str, str | None]:
    until = patient.paused_until
    return {"paused_until": until.isoformat() if until is not None else None}


async def resume(turn: Turn, ref: str) -> None:
    """End a pause; what is still of use goes now, the rest stays recorded as not sent."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.paused_until is None:
        raise StaleButton
    before = _pause_before(patient)
    patient.paused_until = None
    turn.session.add(patient)
    await replan(turn.session, patient.id or 0, turn.now)
    await actions.note(turn, patient, actions.Kind.RESUMED, before=before)
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
    await actions.note(turn, patient, actions.Kind.STOPPED)
    if patient.state is PatientState.ACTIVE:
        await turn.tell_patient(patient, "patient/course_stopped")
    await turn.screen(
        "practitioner/course_stopped",
        {"patient": words.name_of(turn.session, patient)},
        [_back(patient)],
        patient=patient,
    )


async def new_link(turn: Turn, ref: str) -> None:
    """Make a new link for somebody who has not joined, or has another account now.

    The old link stops working, and an account that was linked is let go.
    """
    patient = await enrolling.own_patient(turn, ref)
    if patient.state not in _LINKABLE:
        raise StaleButton
    latest = await people.latest_invitation_at(turn.session, patient.id or 0)
    if latest is not None and turn.now - latest < invitations.DOUBLE_TAP:
        raise StaleButton
    if patient.state is not PatientState.INVITED:
        await joining.unlink(turn, patient)
    await enrolling.show_link(turn, patient)
