"""What a practitioner taps and types."""

import re
from collections.abc import Awaitable, Callable
from functools import partial

from telegram import Update

from bot.handlers.context import CareContext
from bot.handlers.taps import at_least, values
from bot.services import (
    adding,
    alerting,
    clinic,
    courses,
    details,
    drills,
    duties,
    enrolling,
    phones,
    photo_requests,
    photo_views,
    reports,
    screens,
    sent,
    steering,
    today,
    typed_dates,
    typed_enrolling,
    unanswered,
    undoing,
    unsent,
    upkeep_dates,
    visits,
    writing,
)
from bot.services.errors import CareError
from bot.services.turn import Turn
from bot.services.typed_dates import MomentTyped

_ENROLL = re.compile(r"^/enroll(?:@\w+)?\s+(?P<rest>.+)$", re.DOTALL)


# What a patient, and so a lead in a test, is asked to type.
_PATIENTS_WORDS = ("question", "report", "change")


def _moment(turn: Turn, text: str, *, past_too: bool = True) -> MomentTyped:
    words = turn.deps.catalogue.keys(turn.clinic.language, "day_words")
    days = {
        word: int(turn.deps.catalogue.label(turn.clinic.language, "day_words", word))
        for word in words
    }
    return typed_dates.read(text, turn.clinic_zone, turn.now, days, past_too=past_too)


async def typed(turn: Turn, text: str, replied_to: int | None = None) -> None:
    """A typed text, maybe a reply to a message: a menu label, or what the last screen asked for."""
    key = turn.menu_key(text)
    if key:
        await turn.await_text("")
    if key == "new_patient":
        await enrolling.ask_name(turn)
    elif key == "today":
        await today.show(turn)
    elif key == "patients":
        await screens.show_patients(turn)
    elif key == "team":
        await clinic.show_team(turn)
    else:
        await _asked_for(turn, text, replied_to)


async def _asked_for(turn: Turn, text: str, replied_to: int | None) -> None:
    awaiting, notes = await turn.awaiting()
    if awaiting == "new_patient_name":
        await enrolling.take_name(turn, text)
    elif awaiting == "new_patient_time":
        await enrolling.take_session_time(turn, _moment(turn, text))
    elif awaiting == "upkeep_days":
        await upkeep_dates.take(turn, notes["patient"], text.strip())
    elif awaiting.startswith("moment_"):
        moment = _moment(turn, text, past_too=awaiting != "moment_visit")
        act = {
            "moment_visit": visits.set_visit,
            "moment_session": visits.session_done,
            "moment_correction": visits.correct_time,
        }[awaiting]
        await act(turn, notes["patient"], moment, notes.get("course", ""))
        await turn.await_text("")
    elif awaiting == writing.WORDS:
        await writing.take_words(turn, text, replied_to)
    elif awaiting in ("details_area", "details_product"):
        await details.take(turn, awaiting.removeprefix("details_"), text)
    elif awaiting == "patient_phone":
        await phones.take_typed(turn, text)
    elif awaiting in _PATIENTS_WORDS and await clinic.stand_in_again(turn):
        await reports.pass_on(turn, "text", text)
    else:
        raise CareError("not_understood_practitioner")


async def enroll(update: Update, context: CareContext) -> None:
    """/enroll Anna mesotherapy-face [today 14:30]; a variant stands after the treatment."""
    turn = context.turn
    enrolling.lead_or_practitioner(turn)
    text = update.effective_message.text if update.effective_message else ""
    match = _ENROLL.match(text or "")
    if match is None:
        await enrolling.ask_name(turn)
        return
    day_words = turn.deps.catalogue.keys(turn.clinic.language, "day_words")
    protocols = turn.deps.catalogue.protocols.values()
    known = {each.name: each.variants for each in protocols}
    line = typed_enrolling.read(match["rest"], known, day_words)
    moment = _moment(turn, line.moment) if line.moment else None
    await enrolling.enroll_line(turn, line.name, line.treatment, moment, line.variant)


async def show_today(_update: Update, context: CareContext) -> None:
    """/today"""
    await today.show(context.turn)


async def patients(_update: Update, context: CareContext) -> None:
    """/patients"""
    await screens.show_patients(context.turn)


async def team(_update: Update, context: CareContext) -> None:
    """/team"""
    await context.turn.await_text("")
    await clinic.show_team(context.turn)


async def undo_last(_update: Update, context: CareContext) -> None:
    """/undo"""
    await undoing.undo_last(context.turn)


async def new(_update: Update, context: CareContext) -> None:
    """The button that begins a new patient."""
    await enrolling.ask_name(context.turn)


async def treat(update: Update, context: CareContext) -> None:
    """The new patient's treatment."""
    protocol, draft = values(update, 2)
    await enrolling.take_treatment(context.turn, protocol, draft)


async def variant(update: Update, context: CareContext) -> None:
    """Which variant of the new patient's treatment it is."""
    name, draft = values(update, 2)
    await enrolling.take_variant(context.turn, name, draft)


async def of_draft(update: Update, context: CareContext) -> None:
    """A button of a new patient's screens, or a cancel: it carries the draft and nothing else."""
    act = {
        "newtime": enrolling.ask_session_time,
        "newplan": enrolling.show_new_plan,
        "create": enrolling.create,
        "added": adding.add,
        "product": details.ask_product,
        "cancel": enrolling.cancel,
    }
    (draft,) = values(update, 1)
    await act[_action(update)](context.turn, draft)


async def confirm(update: Update, context: CareContext) -> None:
    """Whether the account that opened the link is the patient."""
    patient, answer = values(update, 2)
    await enrolling.confirm(context.turn, patient, is_them=answer == "yes")


async def acknowledge(update: Update, context: CareContext) -> None:
    """ "I am on it"."""
    (ref,) = values(update, 1)
    alert = await alerting.acknowledge(context.turn, ref)
    if alert.is_drill:
        await drills.taken(context.turn, alert)


async def of_alert(update: Update, context: CareContext) -> None:
    """A button of an alert that somebody looks after: it carries the alert and nothing else."""
    act = {"close": alerting.ask_outcome, "resumeafter": alerting.resume}
    (alert,) = values(update, 1)
    await act[_action(update)](context.turn, alert)


async def outcome(update: Update, context: CareContext) -> None:
    """How an alert ended."""
    alert, how = values(update, 2)
    await alerting.close(context.turn, alert, how)


async def undo(update: Update, context: CareContext) -> None:
    """Undo under what was just recorded."""
    (action,) = values(update, 1)
    await undoing.undo(context.turn, action)


async def target(update: Update, context: CareContext) -> None:
    """In how many weeks the next session is planned."""
    visit, weeks = values(update, 2)
    await visits.set_target(context.turn, visit, weeks)


async def upkeep_in(update: Update, context: CareContext) -> None:
    """In how many days upkeep is offered."""
    patient, days = values(update, 2)
    await upkeep_dates.take(context.turn, patient, days)


async def pause_for(update: Update, context: CareContext) -> None:
    """For how long a plan rests."""
    patient, days = values(update, 2)
    await steering.pause(context.turn, patient, days)


async def protocol(update: Update, context: CareContext) -> None:
    """One page of a protocol."""
    name, page = values(update, 2)
    await clinic.read_protocol(context.turn, name, page)


async def protocols(_update: Update, context: CareContext) -> None:
    """The list of protocols."""
    await clinic.show_protocols(context.turn)


async def approve(update: Update, context: CareContext) -> None:
    """The lead's approval of a protocol's content."""
    name, content = values(update, 2)
    await clinic.approve(context.turn, name, content)


async def as_test_patient(_update: Update, context: CareContext) -> None:
    """Before every tap: under a test's message a lead acts as the patient of that test."""
    await clinic.stand_in(context.turn)


async def page_of_patients(update: Update, context: CareContext) -> None:
    """One page of the patients."""
    (page,) = values(update, 1)
    await screens.show_patients(context.turn, page)


async def page_of_unsent(update: Update, context: CareContext) -> None:
    """One page of what was not sent."""
    (page,) = values(update, 1)
    await unsent.show(context.turn, page)


async def page_of_sent(update: Update, context: CareContext) -> None:
    """The older or newer messages of a patient, from the edge of the page that is shown."""
    patient, message = values(update, 2)
    act = sent.show_older if _action(update) == "older" else sent.show_newer
    await act(context.turn, patient, message)


async def of_clinic(update: Update, context: CareContext) -> None:
    """Start a test, invite or remove a colleague, photos on or off: one value each."""
    act = {
        "test": clinic.test_patient,
        "invite": clinic.invite,
        "remove": clinic.remove,
        "member": duties.show_member,
        "drillseen": drills.show,
        "clinicphotos": clinic.switch_photos,
    }
    (value,) = values(update, 1)
    await act[_action(update)](context.turn, value)


async def drill(_update: Update, context: CareContext) -> None:
    """Try the chain of alerts."""
    await drills.start(context.turn)


async def duty(update: Update, context: CareContext) -> None:
    """Who is on call, and who is the backup."""
    member, which = values(update, 2)
    await duties.change(context.turn, member, which)


async def of_patient(update: Update, context: CareContext) -> None:
    """A button of a patient's card: it carries the patient and nothing else."""
    (patient,) = values(update, 1)
    await _ON_CARD[_action(update)](context.turn, patient)


async def of_course(update: Update, context: CareContext) -> None:
    """A button about one course: it carries the patient, and the course where there are several."""
    patient, *rest = at_least(update, 1, 2)
    action, turn = _action(update), context.turn
    if not rest and await courses.ask(turn, action, patient):
        return
    await _OF_COURSE[action](turn, patient, course="".join(rest))


_ON_CARD = {
    "card": screens.show_card,
    "plan": screens.show_plan,
    "sent": sent.show,
    "addcourse": adding.offer,
    "ppause": steering.offer_pause,
    "presume": steering.resume,
    "link": steering.new_link,
    "relink": steering.relink,
    "endlimits": screens.end_limits,
    "phone": phones.ask_clinic,
    "phoned": unanswered.phoned,
    "photos": photo_views.show_pairs,
    "timeline": photo_views.show_timeline,
    "write": writing.ask_words,
    "writeheld": writing.send_held,
    "unwrite": writing.leave,
    "byphone": writing.answered_by_phone,
    "askphoto": photo_requests.ask,
    "upkeep": upkeep_dates.ask,
}
OF_PATIENT = tuple(_ON_CARD)

_OF_COURSE: dict[str, Callable[..., Awaitable[None]]] = {
    "session": visits.session_done,
    "sessionat": partial(visits.ask_moment, what="session"),
    "setvisit": partial(visits.ask_moment, what="visit"),
    "correct": partial(visits.ask_moment, what="correction"),
    "cancelvisit": visits.cancel_visit,
    "details": details.ask,
    "pstop": steering.ask_stop,
    "stopcourse": steering.stop_course,
}
OF_COURSE = tuple(_OF_COURSE)


def _action(update: Update) -> str:
    query = update.callback_query
    return "" if query is None else str(query.data).split(":")[1]
