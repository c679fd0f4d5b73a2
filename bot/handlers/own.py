"""What a patient taps to steer their own settings and their own data."""

from collections.abc import Awaitable, Callable
from functools import partial

from telegram import Update

from bot.handlers.context import CareContext
from bot.handlers.taps import choice, values
from bot.services import erasing, later, own_data, own_name, own_settings, pausing
from bot.services.turn import Turn

_SETTINGS: dict[str, Callable[[Turn], Awaitable[None]]] = {
    "show": own_settings.show,
    "quiet": own_settings.offer_quiet_hours,
    "zone": own_settings.offer_clocks,
    "language": own_settings.offer_languages,
    "photos": partial(own_settings.ask_for_photos, wanted=True),
    "nophotos": partial(own_settings.ask_for_photos, wanted=False),
    "pause": own_settings.pause,
    "unpause": own_settings.end_pause,
    "name": own_name.ask,
    "notme": own_name.ask_not_me,
    "letgo": own_name.let_go,
}


async def settings(_update: Update, context: CareContext) -> None:
    """/settings"""
    await own_settings.show(context.turn)


async def setting(update: Update, context: CareContext) -> None:
    """A button of the settings that carries nothing else."""
    await _SETTINGS[choice(update, *_SETTINGS)](context.turn)


async def quiet(update: Update, context: CareContext) -> None:
    """The quiet hours that the patient picked."""
    (hours,) = values(update, 1)
    await own_settings.take_quiet_hours(context.turn, hours)


async def clock(update: Update, context: CareContext) -> None:
    """The local time that the patient picked."""
    (offset,) = values(update, 1)
    await own_settings.offer_cities(context.turn, offset)


async def city(update: Update, context: CareContext) -> None:
    """The city that the patient picked."""
    (place,) = values(update, 1)
    await own_settings.take_zone(context.turn, place)


async def language(update: Update, context: CareContext) -> None:
    """The language that the patient picked."""
    (picked,) = values(update, 1)
    await own_settings.take_language(context.turn, picked)


async def unpause(_update: Update, context: CareContext) -> None:
    """ "End the pause" under what says that there is one."""
    await pausing.end(context.turn)


async def remind_later(update: Update, context: CareContext) -> None:
    """ "Remind me later" under a step."""
    (message,) = values(update, 1)
    await later.put_off(context.turn, message)


async def my_data(_update: Update, context: CareContext) -> None:
    """/mydata"""
    await own_data.send(context.turn)


async def erase(_update: Update, context: CareContext) -> None:
    """/erase"""
    await erasing.ask(context.turn)


async def erase_choice(update: Update, context: CareContext) -> None:
    """Erase, erase for ever, or keep."""
    act = {"yes": erasing.ask_again, "ever": erasing.erase, "keep": erasing.keep}
    await act[choice(update, *act)](context.turn)
