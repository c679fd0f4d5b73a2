"""Which of a patient's courses an action is about: asked where there are several."""

from bot.domain.states import CourseState
from bot.outgoing import buttons
from bot.outgoing.buttons import Button
from bot.services import actions, enrolling, situation, words
from bot.services.errors import CareError, StaleButton
from bot.services.situation import CoursePlan, Situation
from bot.services.turn import Turn

# What is done to one course, and the words of its button on a card.
_LABELS = {
    "session": "session_done",
    "sessionat": "session_done_at",
    "setvisit": "set_or_move_visit",
    "cancelvisit": "cancel_visit",
    "correct": "correct_time",
    "details": "area_and_product",
    "pstop": "stop_plan",
    "stopcourse": "stop_plan",
}
_SESSION = ("session", "sessionat")


def known(whole: Situation) -> list[CoursePlan]:
    """Return the patient's courses, oldest first, without those that were added and taken back."""
    return [
        plan
        for plan in whole.courses
        if plan.course.state is CourseState.ACTIVE or plan.latest or plan.booked
    ]


def fitting(whole: Situation, act: str) -> list[CoursePlan]:
    """Return the courses that an action can be about, oldest first.

    Where all of them were ended, a session takes one up again: of each treatment the newest.
    """
    running = whole.running()
    of_each = {plan.protocol.name: plan for plan in known(whole) or whole.courses}
    if act in _SESSION:
        return running or list(of_each.values())
    if act == "details":
        return [plan for plan in running or of_each.values() if plan.latest is not None]
    if act == "correct":
        return [plan for plan in running if plan.latest is not None]
    if act == "cancelvisit":
        return [plan for plan in running if plan.booked is not None]
    return running


def meant(turn: Turn, whole: Situation, act: str, course_ref: str) -> CoursePlan:
    """Return the course that a button or a question named; without a name, the only one there is.

    One that the action does not fit (any more) is stale.
    """
    found = fitting(whole, act)
    if course_ref:
        found = [plan for plan in found if plan.course.ref == course_ref]
    elif not whole.running() and act not in (*_SESSION, "details"):
        raise CareError("no_course", {"patient": words.name_of(turn.session, whole.patient)})
    if len(found) != 1:
        # None fits, or a treatment was added since: nobody guesses which one is meant.
        raise StaleButton
    return found[0]


async def ask(turn: Turn, act: str, ref: str) -> bool:
    """Ask which course an action is about, where the patient has several; say whether it asked."""
    patient = await enrolling.own_patient(turn, ref)
    whole = await situation.read(turn.session, patient.id or 0)
    choices = fitting(whole, act)
    if len(fitting(whole, "session")) < 2 or not choices:
        return False
    # What an earlier screen asked for is left behind, as on the card.
    await turn.await_text("")
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    rows = [
        [
            Button(
                text=catalogue.label(language, "treatments", plan.protocol.name),
                data=buttons.pack(act, patient.ref, plan.course.ref),
            )
        ]
        for plan in choices
    ]
    await turn.screen(
        "practitioner/which_course",
        {
            "patient": words.name_of(turn.session, patient),
            "what": catalogue.label(language, "buttons", _LABELS[act]),
        },
        [*rows, actions.card_button(patient)],
        patient=patient,
    )
    return True


def named(turn: Turn, whole: Situation, plan: CoursePlan) -> str:
    """Return the patient's name; where there are several treatments, with the one of ``plan``."""
    name = words.name_of(turn.session, whole.patient)
    if len({each.protocol.name for each in known(whole)}) < 2:
        return name
    catalogue, language = turn.deps.catalogue, turn.clinic.language
    treatment = catalogue.label(language, "treatments", plan.protocol.name)
    form = catalogue.label(language, "forms", "of_treatment")
    return form.format(name=name, treatment=treatment)
