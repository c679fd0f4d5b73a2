"""What a practitioner steers on a patient's card: pause, resume, the end of a plan, a new link."""

from bot.domain.states import CourseState, PatientState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import (
    accounts,
    actions,
    courses,
    enrolling,
    invitations,
    links,
    pausing,
    screens,
    situation,
    words,
)
from bot.services.errors import StaleButton
from bot.services.planning import replan
from bot.services.turn import Turn
from bot.storage.queries import people
from bot.storage.tables import Patient

PAUSES = (3, 7, 14)


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
            actions.card_button(patient),
        ],
        patient=patient,
    )


async def pause(turn: Turn, ref: str, days: str) -> None:
    """Rest the plan for so many days; 0 means until somebody resumes it."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.state is not PatientState.ACTIVE or days not in {"0", *map(str, PAUSES)}:
        raise StaleButton
    before = _pause_of(patient)
    await pausing.pause_for(turn, patient, int(days))
    before["left"] = _pause_of(patient)["paused_until"]
    await actions.note(turn, patient, actions.Kind.PAUSED, before=before)
    await screens.show_card(turn, ref)


def _pause_of(patient: Patient) -> dict[str, str | None]:
    until = patient.paused_until
    return {"paused_until": until.isoformat() if until is not None else None}


async def resume(turn: Turn, ref: str) -> None:
    """End a pause; what is still of use goes now, the rest stays recorded as not sent."""
    patient = await enrolling.own_patient(turn, ref)
    if patient.paused_until is None:
        raise StaleButton
    before = _pause_of(patient) | {"left": None}
    patient.paused_until = None
    turn.session.add(patient)
    await replan(turn.session, patient.id or 0, turn.now)
    await actions.note(turn, patient, actions.Kind.RESUMED, before=before)
    await screens.show_card(turn, ref)


async def ask_stop(turn: Turn, ref: str, course: str = "") -> None:
    """Ask once more before a course ends."""
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0)
    if not whole.running():
        raise StaleButton
    plan = courses.meant(turn, whole, "pstop", course)
    data = buttons.pack("stopcourse", patient.ref, plan.course.ref)
    await turn.screen(
        "practitioner/ask_stop",
        {"patient": courses.named(turn, whole, plan)},
        [[Button(label="stop_plan", data=data)], actions.card_button(patient)],
        patient=patient,
    )


async def stop_course(turn: Turn, ref: str, course: str = "") -> None:
    """End one of the patient's courses; nothing more of it is sent, the patient is told."""
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0)
    if not whole.running():
        raise StaleButton
    plan = courses.meant(turn, whole, "stopcourse", course)
    plan.course.state = CourseState.STOPPED
    turn.session.add(plan.course)
    await replan(turn.session, patient.id or 0, turn.now)
    await actions.note(turn, patient, actions.Kind.STOPPED)
    if patient.state is PatientState.ACTIVE:
        # With others running it must be clear which one has ended.
        label = turn.deps.catalogue.label(patient.language, "treatments", plan.protocol.name)
        treatment = label if whole.running() else None
        await turn.tell_patient(patient, "patient/course_stopped", {"treatment": treatment})
    await turn.screen(
        "practitioner/course_stopped",
        {"patient": courses.named(turn, whole, plan)},
        [actions.card_button(patient)],
        patient=patient,
    )


async def new_link(turn: Turn, ref: str) -> None:
    """Make a new link for somebody who has not joined; ask first where somebody has.

    The old link stops working, and an account that does not reach its patient is let go.
    """
    patient = await enrolling.own_patient(turn, ref)
    if patient.state in invitations.JOINED:
        await turn.screen(
            "practitioner/ask_new_link",
            {"patient": words.name_of(turn.session, patient)},
            [
                [Button(label="new_link", data=buttons.pack("relink", patient.ref))],
                actions.card_button(patient),
            ],
            patient=patient,
        )
        return
    await _make_link(turn, patient)


async def relink(turn: Turn, ref: str) -> None:
    """Make a link by which a patient who has joined comes back with another account.

    The account of now is let go when the link is opened, not before.
    """
    patient = await enrolling.own_patient(turn, ref)
    if patient.state not in invitations.JOINED:
        raise StaleButton
    await _make_link(turn, patient)


async def _make_link(turn: Turn, patient: Patient) -> None:
    if patient.state not in invitations.LINKABLE:
        raise StaleButton
    latest = await people.latest_invitation_at(turn.session, patient.id or 0)
    if latest is not None and turn.now - latest < invitations.DOUBLE_TAP:
        raise StaleButton
    if patient.state in (PatientState.DECLINED, PatientState.UNREACHABLE):
        await accounts.unlink(turn, patient)
    await links.show(turn, enrolling.lead_or_practitioner(turn), patient)
