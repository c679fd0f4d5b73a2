"""What a practitioner looks at: the patients, one patient's card, plan and messages."""

from collections.abc import Sequence
from typing import Any

from bot.domain.states import AlertState, CourseState, PatientState, ReminderState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import (
    actions,
    adding,
    enrolling,
    invitations,
    limit_ends,
    menus,
    pausing,
    photo_requests,
    preview,
    situation,
    words,
    writing,
)
from bot.services import courses as own_courses
from bot.services.errors import StaleButton
from bot.services.situation import CoursePlan, Situation
from bot.services.turn import Turn
from bot.storage.queries import alerts, people, photos, unanswered
from bot.storage.tables import Patient, Reminder

# What a screen lists at most: more would not fit into one message.
_PAGE = 20
_LAST_PAGE = 10_000
_NO_DETAILS = {"area": None, "product": None}


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
    # A new patient who is half made stays so: that is what the help may have been for.
    await turn.forget_text_about_others()
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
        "practitioner/card",
        _card_values(turn, whole),
        [
            *(await _report_rows(turn, patient)),
            *_card_rows(whole, await _photo_rows(turn, patient)),
        ],
        patient=patient,
    )


async def end_limits(turn: Turn, ref: str) -> None:
    """End what the patient keeps on, as the skin was not calm, and show the card as it is then."""
    await limit_ends.end_kept(turn, ref)
    turn.toast = "done"
    await show_card(turn, ref)


def _card_values(turn: Turn, whole: Situation) -> dict[str, Any]:
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    patient = whole.patient
    courses = []
    for plan in own_courses.known(whole) or whole.courses:
        done = plan.latest
        day = None
        if done is not None and done.done_date is not None:
            day = (turn.now.astimezone(whole.zone).date() - done.done_date).days
        target = plan.protocol.target(done.target_date, done.done_date) if done else None
        courses.append(
            {
                "treatment": catalogue.label(language, "treatments", plan.protocol.full_name),
                "sessions": len(plan.earlier) + (1 if done else 0),
                "day": day,
                "last": dates.moment(done.done_at, whole.clinic_zone, language, turn.now)
                if done is not None and done.done_at is not None
                else None,
                "next": dates.moment(plan.booked.planned_at, whole.clinic_zone, language, turn.now)
                if plan.booked is not None and plan.booked.planned_at is not None
                else None,
                "confirmed": plan.booked is not None and plan.booked.confirmed_at is not None,
                "target": dates.day(target, language, turn.today) if target else None,
                "stopped": plan.course.state is CourseState.STOPPED,
                **(_NO_DETAILS if done is None else words.session_details(turn.session, done)),
            }
        )
    upcoming = words.next_reminder(whole, turn.now)
    return {
        "patient": words.name_of(turn.session, patient),
        "state": catalogue.label(language, "patient_states", patient.state.value),
        "patient_phone": words.phone_of(turn.session, patient),
        "courses": courses,
        "limits": words.limit_groups(
            catalogue,
            language,
            whole.zone,
            whole.limits(turn.now),
            turn.now,
            turn.now,
            kept=whole.kept(),
        ),
        "next_message": _line(turn, whole, upcoming) if upcoming is not None else None,
        "patient_city": words.patient_city(turn.clinic, patient, language),
        "clinic_city": words.clinic_city(turn.clinic, patient, language),
        "paused": patient.paused_until is not None,
        "paused_until": pausing.last_day(whole, language, turn.now),
    }


async def _report_rows(turn: Turn, patient: Patient) -> list[list[Button]]:
    """Return what can be done about the patient's reports, wherever their own messages are."""
    rows = []
    for alert in await alerts.open_of_patient(turn.session, patient.id or 0):
        label, action = "close_report", "close"
        if alert.state is AlertState.OPEN:
            label, action = "i_am_on_it", "ack"
        rows.append([Button(label=label, data=buttons.pack(action, alert.ref))])
    closed = await alerts.to_resume(turn.session, patient.id or 0)
    if closed is not None:
        data = buttons.pack("resumeafter", closed.ref)
        rows.append([Button(label="resume_plan", data=data)])
    if await unanswered.is_listed(turn.session, patient.id or 0):
        rows.append([Button(label="i_phoned", data=buttons.pack("phoned", patient.ref))])
    return rows


async def _photo_rows(turn: Turn, patient: Patient) -> list[list[Button]]:
    asks = await photo_requests.row(turn, patient)
    if not await photos.stored_of(turn.session, patient.id or 0):
        return asks
    return [[Button(label="see_photos", data=buttons.pack("photos", patient.ref))], *asks]


def _card_rows(whole: Situation, photo_rows: list[list[Button]]) -> list[list[Button]]:
    patient = whole.patient

    def button(label: str, action: str, *values: str) -> Button:
        return Button(label=label, data=buttons.pack(action, patient.ref, *values))

    rows: list[list[Button]] = []
    active = whole.running()
    if whole.courses:
        rows.append([button("session_done", "session"), button("session_done_at", "sessionat")])
    if active:
        booked = own_courses.fitting(whole, "cancelvisit")
        visit = "move_visit" if len(booked) == len(active) else "set_or_move_visit"
        cancel = [button("cancel_visit", "cancelvisit", *_alone(active, booked))]
        rows.append(
            [button(visit if booked else "set_next_visit", "setvisit"), *(cancel if booked else [])]
        )
        if done := own_courses.fitting(whole, "correct"):
            rows.append([button("correct_time", "correct", *_alone(active, done))])
        if any(plan.protocol.upkeep is not None for plan in active):
            rows.append([button("set_upkeep", "upkeep")])
    if had := own_courses.fitting(whole, "details"):
        rows.append([button("area_and_product", "details", *_alone(active, had))])
    if patient.state not in adding.REFUSED:
        rows.append([button("add_treatment", "addcourse")])
        rows.append([button("set_phone_number", "phone")])
    rows.append([button("see_plan", "plan"), button("what_was_sent", "sent")])
    if writing.can_write(patient):
        rows.append([button("write_to_patient", "write")])
    rows += photo_rows
    if whole.kept():
        rows.append([button("end_limits", "endlimits")])
    if patient.paused_until is not None:
        rows.append([button("resume_plan", "presume"), button("stop_plan", "pstop")])
    elif patient.state is PatientState.ACTIVE and active:
        rows.append([button("pause_plan", "ppause"), button("stop_plan", "pstop")])
    if patient.state in invitations.LINKABLE:
        rows.append([button("new_link", "link")])
    if patient.state is PatientState.OPENED and patient.confirmed_at is None:
        rows.append([button("it_is_them", "confirm", "yes"), button("not_them", "confirm", "no")])
    return rows


def _alone(active: Sequence[CoursePlan], fitting: Sequence[CoursePlan]) -> tuple[str, ...]:
    """Return the course that a button carries: one of several, if it can be about no other."""
    return (fitting[0].course.ref,) if len(fitting) == 1 < len(active) else ()


def _line(turn: Turn, whole: Situation, row: Reminder) -> dict[str, str]:
    step = whole.plan_of(row.visit_id).protocol.step(row.step)
    language = turn.clinic.language
    return {
        "when": dates.moment(row.due_at or turn.now, whole.zone, language, turn.now),
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
        {
            "patient": words.name_of(turn.session, patient),
            "steps": steps[-40:],
            "patient_city": words.patient_city(turn.clinic, patient, language),
            "clinic_city": words.clinic_city(turn.clinic, patient, language),
        },
        [actions.card_button(patient)],
        patient=patient,
    )
