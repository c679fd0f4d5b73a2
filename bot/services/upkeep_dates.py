"""When upkeep is offered: so many days after the session as the practitioner sets for a course."""

from bot.domain.protocol import Step
from bot.domain.states import ReminderState
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import actions, situation, words
from bot.services.deps import new_ref
from bot.services.enrolling import cancel_button, own_patient
from bot.services.errors import CareError, StaleButton
from bot.services.planning import replan
from bot.services.situation import CoursePlan
from bot.services.turn import Turn
from bot.storage.tables import Patient

_OFFERED = (120, 180, 270, 365, 540)


async def _course(turn: Turn, patient: Patient) -> tuple[CoursePlan, Step]:
    """Return the course that the card's button means, with its step of upkeep."""
    running = (await situation.read(turn.session, patient.id or 0)).running()
    for plan in reversed(running):
        if plan.protocol.upkeep is not None:
            return plan, plan.protocol.upkeep
    raise StaleButton


async def ask(turn: Turn, ref: str) -> None:
    """Ask after how many days: by a button, or typed."""
    patient = await own_patient(turn, ref)
    _, step = await _course(turn, patient)
    fewest, most = step.set_days
    draft = new_ref()
    await turn.await_text("upkeep_days", draft=draft, patient=patient.ref)
    form = turn.deps.catalogue.label(turn.clinic.language, "forms", "days")
    await turn.screen(
        "practitioner/ask_upkeep",
        {"patient": words.name_of(turn.session, patient), "fewest": fewest, "most": most},
        [
            *(
                [
                    Button(
                        text=form.format(days=days),
                        data=buttons.pack("upkeepin", patient.ref, str(days)),
                    )
                ]
                for days in _OFFERED
                if fewest <= days <= most
            ),
            [cancel_button(draft)],
        ],
        patient=patient,
    )


async def take(turn: Turn, ref: str, typed: str) -> None:
    """Have the course's upkeep offered so many days after its session; later sessions alike."""
    patient = await own_patient(turn, ref)
    plan, step = await _course(turn, patient)
    fewest, most = step.set_days
    days = (
        int(typed) if typed.isascii() and typed.isdecimal() and len(typed) <= len(str(most)) else 0
    )
    if not fewest <= days <= most:
        raise CareError("upkeep_days", {"fewest": fewest, "most": most})
    plan.course.upkeep_days = days
    turn.session.add(plan.course)
    await turn.await_text("")
    whole = await replan(turn.session, patient.id or 0, turn.now)
    rows = [
        row
        for row in whole.reminders
        if plan.latest is not None and row.visit_id == plan.latest.id and row.step == step.id
    ]
    due = [
        row.due_at for row in rows if row.state is ReminderState.PLANNED and row.due_at is not None
    ]
    on = max(due[0].astimezone(whole.zone).date(), turn.today) if due else None
    await turn.screen(
        "practitioner/upkeep_set",
        {
            "patient": words.name_of(turn.session, patient),
            "upkeep_days": days,
            "upkeep_on": dates.day(on, turn.clinic.language, turn.today) if on else None,
            # A step that was delivered never comes again for the same session.
            "upkeep_sent": not due and any(row.state is ReminderState.SENT for row in rows),
        },
        [actions.card_button(patient)],
        patient=patient,
    )
