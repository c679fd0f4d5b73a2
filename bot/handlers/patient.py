"""What a patient taps and types."""

from telegram import Update

from bot.domain.states import PatientState, Reason
from bot.handlers.context import CareContext
from bot.handlers.taps import choice, values
from bot.services import (
    answers,
    control,
    following,
    joining,
    own_name,
    pausing,
    phones,
    photos,
    reach,
    reporting,
    reports,
    typed_texts,
)
from bot.services.menus import SHARES_CONTACT
from bot.services.turn import Turn


async def start(turn: Turn) -> None:
    """/start of somebody who is a patient already: resume, go on joining, or the plan."""
    if turn.patient is None:
        return
    if turn.patient.state in (PatientState.STOPPED, PatientState.UNREACHABLE):
        await control.ask_resume(turn)
    else:
        await control.show_plan(turn)


async def typed(turn: Turn, text: str) -> None:
    """A typed text: a menu label, or the patient's own words."""
    key = turn.menu_key(text)
    if key:
        await own_name.forget(turn)
    if key == "my_plan":
        await control.show_plan(turn)
    elif key == "limits_still_on":
        await control.show_limits(turn)
    elif key == "my_visits":
        await control.show_visits(turn)
    elif key == "ask_the_clinic_menu":
        await reports.ask_clinic(turn)
    elif key == "something_wrong":
        await reporting.something_wrong(turn)
    elif key == "keep_my_number":
        await phones.refuse(turn)
    elif key == SHARES_CONTACT:
        await phones.explain(turn)
    elif not await own_name.take(turn, text):
        await typed_texts.take(turn, text)


async def blocked(turn: Turn) -> None:
    """The patient blocked the bot: the plan stops and the practitioner hears of it."""
    if turn.patient is not None:
        await reach.lost(turn.session, turn.patient, Reason.BLOCKED, turn.now)


async def plan(_update: Update, context: CareContext) -> None:
    """/plan"""
    await control.show_plan(context.turn)


async def limits(_update: Update, context: CareContext) -> None:
    """/limits"""
    await control.show_limits(context.turn)


async def visits(_update: Update, context: CareContext) -> None:
    """/visits"""
    await control.show_visits(context.turn)


async def ask(_update: Update, context: CareContext) -> None:
    """/ask"""
    await reports.ask_clinic(context.turn)


async def wrong(_update: Update, context: CareContext) -> None:
    """/wrong, and every "Something is wrong" button."""
    await reporting.something_wrong(context.turn)


async def stop(_update: Update, context: CareContext) -> None:
    """/stop"""
    await control.ask_stop(context.turn)


async def is_it_me(update: Update, context: CareContext) -> None:
    """The answer to "is that you?"."""
    answer = choice(update, "yes", "no")
    await (joining.that_is_me if answer == "yes" else joining.wrong_person)(context.turn)


async def agree(_update: Update, context: CareContext) -> None:
    """The consent."""
    await joining.agree(context.turn)


async def read_more(_update: Update, context: CareContext) -> None:
    """More on what is kept."""
    await joining.read_more(context.turn)


async def refuse(_update: Update, context: CareContext) -> None:
    """No consent."""
    await joining.refuse(context.turn)


async def zone(update: Update, context: CareContext) -> None:
    """Whether the clinic's time is the patient's."""
    answer = choice(update, "clinic", "other")
    if answer == "other":
        await joining.offer_clocks(context.turn)
    else:
        await joining.take_zone(context.turn, "clinic")


async def clock(update: Update, context: CareContext) -> None:
    """The local time that the patient picked."""
    (offset,) = values(update, 1)
    await joining.offer_cities(context.turn, offset)


async def city(update: Update, context: CareContext) -> None:
    """The city that the patient picked."""
    (place,) = values(update, 1)
    await joining.take_zone(context.turn, place)


async def step(update: Update, context: CareContext) -> None:
    """An answer button under a step."""
    message, answer = values(update, 2)
    await answers.answer(context.turn, message, answer)


async def trend(update: Update, context: CareContext) -> None:
    """Better, the same or worse."""
    reminder, answer = values(update, 2)
    await answers.trend(context.turn, reminder, answer)


async def danger(update: Update, context: CareContext) -> None:
    """Whether there is a sign of danger besides."""
    reminder, answer = values(update, 2)
    await answers.danger(context.turn, reminder, answer)


async def sign(update: Update, context: CareContext) -> None:
    """One tap of a report."""
    report, key = values(update, 2)
    await reporting.pick(context.turn, report, key)


async def said(update: Update, context: CareContext) -> None:
    """What a patient says under the text of a level: reached help or not, worse."""
    alert, key = values(update, 2)
    await following.patient_says(context.turn, alert, key)


async def change_time(update: Update, context: CareContext) -> None:
    """ "Change the time" under a booked visit."""
    (visit,) = values(update, 1)
    await answers.change_time_of(context.turn, visit)


async def keep_photos(update: Update, context: CareContext) -> None:
    """Whether photos may be kept, and how to take them."""
    act = {"yes": photos.agree, "no": photos.refuse, "how": photos.coach}
    await act[choice(update, *act)](context.turn)


async def angle(update: Update, context: CareContext) -> None:
    """From where a photo was taken."""
    photo, named = values(update, 2)
    await photos.name_angle(context.turn, photo, named)


async def stop_choice(update: Update, context: CareContext) -> None:
    """Stop, pause or keep."""
    act = {"stop": control.stop, "pause": pausing.pause, "keep": control.keep}
    await act[choice(update, *act)](context.turn)


async def resume_choice(update: Update, context: CareContext) -> None:
    """Turn the reminders on again, or not."""
    await control.resume(context.turn, wanted=choice(update, "yes", "no") == "yes")
