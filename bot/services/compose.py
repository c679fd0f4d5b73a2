"""Turning a message row into what Telegram is handed: words, buttons, picture or file."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import icalendar
import segno
from sqlmodel.ext.asyncio.session import AsyncSession
from telegram import InlineKeyboardMarkup, ReplyKeyboardMarkup

from bot.domain.grouping import family
from bot.outgoing import buttons
from bot.outgoing.sender import Outgoing
from bot.services import menus, own_data, own_photos, own_words, photo_views, trouble, words
from bot.services.deps import Deps
from bot.services.situation import Situation
from bot.storage import sealed
from bot.storage.queries import people
from bot.storage.tables import Clinic, Message

_VISIT_LENGTH = timedelta(minutes=30)
_QR_SCALE = 9


@dataclass(frozen=True, slots=True)
class Composed:
    """A message with its words: what is handed over, and what is kept of it."""

    outgoing: Outgoing
    html: str
    text_version: str


async def compose(
    session: AsyncSession, deps: Deps, row: Message, whole: Situation | None, now: datetime
) -> Composed:
    """Return the row ready to be sent; raises ``TextError`` when its words cannot be made.

    ``whole`` is the situation of the patient it is for; a step's text needs it.
    """
    content = sealed.read(session, row)
    clinic = await people.clinic(session, row.clinic_id)
    values = await _values(session, deps, row, whole, clinic, now)
    values |= content.get("values", {})
    if row.method == "copy":
        return Composed(_outgoing(row, "", None), "", "")
    parts = [deps.texts.render(row.language, row.template, values)]
    said = _families(row, whole, row.template)
    for also in content.get("also", []):
        # Each part speaks of its own visit; only the beginning says that it may come twice, and
        # asks and lists what the parts of one family share.
        own = _families(row, whole, also)
        values |= _step_values(deps, row, whole, also, now)
        values |= {"maybe_repeat": False, "below": bool(own & said)}
        said |= own
        parts.append(deps.texts.render(row.language, also, values))
    if mark := await _test_mark(session, row):
        parts.insert(0, deps.texts.render(row.language, mark, values))
    html = "\n\n".join(part.html for part in parts)
    keyboard = _keyboard(deps, row, content)
    file, name = await _file(session, deps, row, content, clinic, now)
    outgoing = _outgoing(row, html, keyboard, file, name)
    pictures = content.get(photo_views.PICTURES, {})
    if own_photos.ARCHIVE in pictures:
        make = partial(own_photos.archive, deps.photos, pictures[own_photos.ARCHIVE])
        outgoing = replace(outgoing, make=make, file_name=content["file"])
    elif name == own_data.PAGE:
        make = partial(own_photos.on_page, deps.photos, file or b"")
        outgoing = replace(outgoing, make=make)
    elif pictures:
        make = partial(photo_views.laid_out, deps, pictures["task"], pictures["refs"])
        outgoing = replace(outgoing, make=make, file_name="photos.jpg", protected=True)
    return Composed(outgoing, html, parts[-1].version)


async def _test_mark(session: AsyncSession, row: Message) -> str:
    """Return the text that marks what belongs to a test course; alerts mark themselves."""
    if row.patient_id is None or row.template.startswith("alerts/"):
        return ""
    if not (await people.patient(session, row.patient_id)).is_test:
        return ""
    return "practitioner/test_mark" if row.practitioner_id is None else "practitioner/test_note"


async def _values(
    session: AsyncSession,
    deps: Deps,
    row: Message,
    whole: Situation | None,
    clinic: Clinic,
    now: datetime,
) -> dict[str, Any]:
    values: dict[str, Any] = words.clinic_values(clinic)
    if row.template.startswith(trouble.TEXTS):
        values |= trouble.at_leaving(clinic, now)
    if row.patient_id is not None:
        patient = await people.patient(session, row.patient_id)
        values = await words.patient_values(session, clinic, patient)
    if row.template.startswith("steps/"):
        values |= _step_values(deps, row, whole, row.template, now)
    if row.template.startswith("steps/") or own_words.are(row):
        values["maybe_repeat"] = row.maybe_copies > 0
    return values


def _step_values(
    deps: Deps, row: Message, whole: Situation | None, template: str, now: datetime
) -> dict[str, Any]:
    if whole is None:
        return {}
    # A second bubble belongs to the first one's reminders.
    reminders = whole.reminders_of(row.id) or whole.reminders_of(row.follows_id)
    own = [each for each in reminders if whole.step_of(each).template == template]
    families = _families(row, whole, template)
    # What is said once for all of a family is true of all of them: what ends, what is still on.
    own += [e for e in reminders if e not in own and family(whole.step_of(e)) in families]
    return words.step_values(deps.catalogue, whole, own or reminders, now)


def _families(row: Message, whole: Situation | None, template: str) -> set[str]:
    """Return what the steps with that text ask, of those that merge into one question."""
    if whole is None:
        return set()
    steps = (whole.step_of(each) for each in whole.reminders_of(row.id))
    return {asks for step in steps if step.template == template and (asks := family(step))}


def _keyboard(
    deps: Deps, row: Message, content: Mapping[str, Any]
) -> InlineKeyboardMarkup | ReplyKeyboardMarkup | None:
    if content.get("menu"):
        keys = menus.KEYS[content["menu"]]
        return buttons.menu(deps.catalogue, row.language, keys, menus.SHARES_CONTACT)
    rows = content.get("buttons", [])
    if row.template.startswith("steps/"):
        # Two that read alike could not be told apart: the more important step keeps its own.
        rows = buttons.apart(deps.catalogue, row.language, rows)
    return buttons.inline(deps.catalogue, row.language, rows)


async def _file(
    session: AsyncSession,
    deps: Deps,
    row: Message,
    content: Mapping[str, Any],
    clinic: Clinic,
    now: datetime,
) -> tuple[bytes | None, str]:
    """Make the QR picture, the calendar file or a copy of a patient's data now; none is stored.

    Photos are added later, outside of any transaction.
    """
    made = content.get("file", "")
    if content.get(photo_views.PICTURES):
        return None, ""
    if row.method == "photo" and made:
        picture = io.BytesIO()
        segno.make(made, error="m").save(picture, kind="png", scale=_QR_SCALE, border=4)
        return picture.getvalue(), "invitation.png"
    if made in own_data.FILES and row.patient_id is not None:
        patient = await people.patient(session, row.patient_id)
        return await own_data.file_of(session, deps.catalogue, patient, made, now), made
    if row.method == "document":
        return _calendar(row, made, clinic), "visit.ics"
    return None, ""


def _calendar(row: Message, start: str, clinic: Clinic) -> bytes:
    """Return one visit as a calendar file; it names the clinic and nothing of the treatment."""
    begins = datetime.fromisoformat(start)
    visit = icalendar.Event()
    # One identity a visit: opening the file of a moved visit moves the entry.
    visit.add("uid", f"visit-{row.visit_id}@{clinic.ref}")
    visit.add("sequence", row.id)
    visit.add("dtstamp", row.queued_at)
    visit.add("dtstart", begins)
    visit.add("dtend", begins + _VISIT_LENGTH)
    visit.add("summary", clinic.name)
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Aftercare Bot//")
    calendar.add("version", "2.0")
    calendar.add_component(visit)
    return bytes(calendar.to_ical())


def _outgoing(
    row: Message,
    html: str,
    keyboard: InlineKeyboardMarkup | ReplyKeyboardMarkup | None,
    file: bytes | None = None,
    file_name: str = "",
) -> Outgoing:
    return Outgoing(
        chat_id=row.chat_id,
        method=row.method,
        html=html,
        keyboard=keyboard,
        target_message_id=row.target_message_id,
        source_chat_id=row.source_chat_id,
        file=file,
        file_name=file_name,
        silent=row.silent,
        # What patients send is for the clinic's eyes; the apps then do not offer to pass it on.
        protected=row.method == "copy",
    )
