"""A patient's own settings: one screen, edited in place, whose buttons stay good for ever."""

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from bot.domain.states import PatientState
from bot.domain.times import QUIET_OFFERED, QuietHours
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import joining, menus, pausing, situation, words
from bot.services.errors import CareError, StaleButton
from bot.services.planning import replan
from bot.services.turn import Turn
from bot.storage.tables import Patient

_QUIET = {f"{each.start:%H%M}{each.end:%H%M}": each for each in QUIET_OFFERED}


def asking(turn: Turn) -> Patient:
    """Return the patient who asks; whoever is none reads the phone numbers at least.

    A test has no data of its own: who taps below one is its lead.
    """
    if turn.patient is None or turn.patient.is_test:
        raise CareError("not_a_patient" if turn.practitioner is not None else "no_invitation")
    return turn.patient


def _joined(turn: Turn) -> Patient:
    patient = asking(turn)
    if patient.joined_at is None:
        raise StaleButton
    return patient


def button(label: str, what: str) -> list[Button]:
    """Return a row that leads from one screen of the settings to another, or sets something."""
    return [Button(label=label, data=buttons.pack("settings", what))]


async def show(turn: Turn) -> None:
    """Show what is set, with a button for each thing that can be changed."""
    patient = asking(turn)
    zone = ZoneInfo(patient.timezone or turn.clinic.timezone)
    whole = await situation.read(turn.session, patient.id or 0)
    language = patient.language
    several = len(turn.deps.catalogue.whole) > 1
    photos = turn.clinic.photos_on
    name = turn.deps.catalogue.label(language, "languages", language) if several else None
    await turn.own_screen(
        patient,
        "patient/settings",
        {
            "city": words.city(zone.key, language),
            "now_hhmm": dates.clock(turn.now.astimezone(zone).time()),
            "language_name": name,
            "photos_asked": photos and patient.photo_requests,
            "photos_off": photos and not patient.photo_requests,
            "stopped": patient.state in (PatientState.STOPPED, PatientState.UNREACHABLE),
            "paused": patient.paused_until is not None,
            "paused_until": pausing.last_day(whole, language, turn.now),
        },
        await _rows(turn, patient, several=several),
    )


async def _rows(turn: Turn, patient: Patient, *, several: bool) -> list[list[Button]]:
    rows = []
    if patient.joined_at is not None:
        rows += [button("set_quiet_hours", "quiet"), button("set_time_zone", "zone")]
        if turn.clinic.photos_on:
            on = patient.photo_requests
            rows.append(button(*(("photos_off", "nophotos") if on else ("photos_on", "photos"))))
    if several:
        rows.append(button("set_language", "language"))
    if await pausing.may_end(turn, patient):
        rows.append(button("end_pause", "unpause"))
    elif patient.state is PatientState.ACTIVE and patient.paused_until is None:
        rows.append(button("pause_7_days", "pause"))
    if patient.confirmed_at is not None:
        rows.append(button("name_is_wrong", "name"))
    return [*rows, button("this_is_not_me", "notme")]


async def _choose(
    turn: Turn,
    template: str,
    rows: Sequence[list[Button]],
    values: dict[str, Any] | None = None,
) -> None:
    await turn.own_screen(
        asking(turn), template, values, [*rows, button("back_to_settings", "show")]
    )


async def offer_quiet_hours(turn: Turn) -> None:
    """Show the quiet hours that can be chosen; none of them closes the day."""
    patient = _joined(turn)
    form = turn.deps.catalogue.label(patient.language, "forms", "from_to")
    rows = [
        [
            Button(
                text=form.format(start=dates.clock(each.start), end=dates.clock(each.end)),
                data=buttons.pack("quiet", key),
            )
        ]
        for key, each in _QUIET.items()
    ]
    await _choose(turn, "patient/settings_quiet", rows)


async def take_quiet_hours(turn: Turn, key: str) -> None:
    """Keep other quiet hours; what was planned into them moves."""
    patient = _joined(turn)
    if key not in _QUIET:
        raise StaleButton
    await _keep_quiet(turn, patient, _QUIET[key])


async def _keep_quiet(turn: Turn, patient: Patient, quiet: QuietHours) -> None:
    patient.quiet_start, patient.quiet_end = quiet.start, quiet.end
    await _changed(turn, patient)


async def _changed(turn: Turn, patient: Patient) -> None:
    turn.session.add(patient)
    await replan(turn.session, patient.id or 0, turn.now)
    await show(turn)


async def offer_clocks(turn: Turn) -> None:
    """Show the local times that it is now somewhere."""
    _joined(turn)
    rows = joining.clock_rows(turn.now, "setclock")
    await _choose(turn, "patient/time_zone_offsets", rows)


async def offer_cities(turn: Turn, offset: str) -> None:
    """Show the cities with that time."""
    patient = _joined(turn)
    rows = joining.city_rows(turn.now, offset, patient.language, "setcity")
    await _choose(turn, "patient/time_zone_city", rows)


async def take_zone(turn: Turn, choice: str) -> None:
    """Keep another zone: local hours of what is to come move, elapsed ends and visits do not."""
    patient = _joined(turn)
    patient.timezone = joining.zone_of(choice)
    await _changed(turn, patient)


async def offer_languages(turn: Turn) -> None:
    """Show the languages in which every text is there, each by its own name."""
    catalogue = turn.deps.catalogue
    rows = [
        [
            Button(
                text=catalogue.label(language, "languages", language),
                data=buttons.pack("language", language),
            )
        ]
        for language in catalogue.whole
    ]
    await _choose(turn, "patient/settings_language", rows)


async def take_language(turn: Turn, language: str) -> None:
    """Speak another language from here on, with its menu at the bottom of the chat."""
    patient = asking(turn)
    if language not in turn.deps.catalogue.whole:
        raise StaleButton
    patient.language = language
    await _changed(turn, patient)
    await turn.tell_patient(patient, "patient/language_kept", menu=menus.PATIENT)


async def ask_for_photos(turn: Turn, *, wanted: bool) -> None:
    """Ask for photos from here on, or no more."""
    patient = _joined(turn)
    patient.photo_requests = wanted
    await _changed(turn, patient)


async def pause(turn: Turn) -> None:
    """Begin a pause of seven days; a screen from before shows one that is on already."""
    _joined(turn)
    await pausing.begin(turn)
    await show(turn)


async def end_pause(turn: Turn) -> None:
    """End the patient's own pause; one that is over already is simply shown as over."""
    if await pausing.may_end(turn, _joined(turn)):
        await pausing.finish(turn)
    await show(turn)
