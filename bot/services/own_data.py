"""A copy of everything that is held on a patient: a page to read, and the same for a program."""

import html
import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.outgoing import dates, telegram_html
from bot.outgoing.catalogue import Catalogue
from bot.services import joining, outbox, own_photos, own_settings, situation, words
from bot.services.situation import Situation
from bot.services.turn import Turn
from bot.storage import sealed
from bot.storage.queries import holdings, told, vitals
from bot.storage.tables import Message, Patient

PAGE, MACHINE = "mydata.html", "mydata.json"
FILES = (PAGE, MACHINE)
_BEGUN = "patient/my_data_begun"
# Telegram takes 50 MB from a bot, and photos are put on the page besides.
LARGEST = 28_000_000

Entry = dict[str, Any]
Held = dict[str, list[Entry]]
# Which labels say what a value means.
_MEANINGS = {
    ("details", "state"): "patient_states",
    ("visits", "state"): "visit_states",
    ("reminders", "state"): "reminder_states",
    ("reminders", "reason"): "reasons",
    ("messages", "state"): "message_states",
    ("messages", "reason"): "reasons",
    ("reports", "level"): "levels",
    ("alerts", "level"): "levels",
    ("answers", "answer"): "buttons",
    ("reports", "answers"): "signs",
    ("reports", "trend"): "trends",
    ("alerts", "outcome"): "outcomes",
    ("limits", "limit"): "limits",
    ("courses", "treatment"): "treatments",
}


async def send(turn: Turn) -> None:
    """Say that it is being collected, and queue the files; they are made when they leave."""
    patient = own_settings.asking(turn)
    if patient.confirmed_at is None:
        # Nobody has said yet that this account is the patient's.
        await joining.go_on(turn)
        return
    # A finger that taps twice gets one copy.
    since = turn.now - outbox.SAME_REQUEST
    twice = await told.count_said(turn.session, turn.account.id, _BEGUN, since)
    await turn.tell_patient(patient, _BEGUN)
    if twice:
        return
    await turn.tell_patient(patient, "patient/my_data", file=PAGE)
    await turn.tell_patient(patient, "patient/my_data_machine", file=MACHINE)
    zone = ZoneInfo(patient.timezone or turn.clinic.timezone)
    stored = await holdings.photos(turn.session, patient.id or 0)
    whole = own_photos.archives(turn.deps.photos, stored, zone)
    for at, names in enumerate(whole, start=1):
        await turn.tell_patient(
            patient,
            "patient/my_data_photos",
            {"page": at, "pages": len(whole)},
            file=f"mydata-photos-{at}.zip",
            pictures={own_photos.ARCHIVE: names},
        )


async def file_of(
    session: AsyncSession,
    catalogue: Catalogue,
    patient: Patient,
    name: str,
    now: datetime,
    *,
    largest: int = LARGEST,
) -> bytes:
    """Return the file of that name; when it is too large, without the oldest messages."""
    whole = await situation.read(session, patient.id or 0)
    held = await collect(session, whole)
    while True:
        made = (
            _page(held, catalogue, whole, now)
            if name == PAGE
            else json.dumps(held, default=_plain, ensure_ascii=False, indent=1)
        ).encode()
        longest = max(("messages", "sent_by_you"), key=lambda each: len(held[each]))
        if len(made) <= largest or not held[longest]:
            return made
        held[longest] = held[longest][len(held[longest]) // 2 + 1 :]
        held["details"][0]["older_left_out"] = True


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return vitals.as_text(value)
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


async def collect(session: AsyncSession, whole: Situation) -> Held:
    """Return everything that is held on the patient, by kind, each kind by time."""
    patient = whole.patient
    patient_id, chat_id = patient.id or 0, patient.telegram_id or 0
    kept = sealed.read(session, patient)
    known = {each.name: each for each in await holdings.limit_ends(session, patient_id)}
    return {
        "details": [
            {
                "name": kept.get("name", ""),
                "earlier_names": [each["name"] for each in kept.get("earlier_names", ())],
                "phone": kept.get("phone", ""),
                "account_name": kept.get("account", ""),
                "username": kept.get("username", ""),
                "account_number": patient.telegram_id,
                "reference": patient.ref,
                "clinic": whole.clinic.name,
                "practitioner": words.name_of(session, whole.practitioner),
                "state": patient.state.value,
                "language": patient.language,
                "time_zone": patient.timezone or whole.clinic.timezone,
                "quiet_from": patient.quiet_start,
                "quiet_until": patient.quiet_end,
                "photo_requests": patient.photo_requests,
                "booking_requests": patient.booking_requests,
                "paused_until": patient.paused_until,
                "opened_at": patient.opened_at,
                "agreed_at": patient.consented_at,
                "confirmed_at": patient.confirmed_at,
                "joined_at": patient.joined_at,
                "resumed_at": patient.resumed_at,
                "last_heard_at": patient.last_heard_at,
                "created_at": patient.created_at,
            }
        ],
        "consents": [
            {
                "purpose": each.purpose,
                "text_version": each.text_version,
                "language": each.language,
                "given_at": each.given_at,
                "withdrawn_at": each.withdrawn_at,
            }
            for each in await holdings.consents(session, patient_id)
        ],
        "courses": [
            {
                "reference": each.course.ref,
                "treatment": each.protocol.full_name,
                "began_at": each.course.created_at,
                "upkeep_days": each.course.upkeep_days,
                "state": each.course.state.value,
            }
            for each in whole.courses
        ],
        "visits": [
            {
                "reference": each.ref,
                "state": each.state.value,
                "planned_at": each.planned_at,
                "done_at": each.done_at,
                "target_date": each.target_date,
                "confirmed_at": each.confirmed_at,
                **words.session_details(session, each),
            }
            for each in whole.visits
        ],
        "limits": [
            {
                "limit": limit,
                "ends_at": each.ends_at,
                "kept_at": row.kept_at if (row := known.get(limit)) else None,
                "told_at": row.told_at if row else None,
            }
            for limit, each in whole.planned_limits().items()
        ],
        "reminders": [
            {
                "reference": each.ref,
                "step": each.step,
                "due_at": each.due_at,
                "expires_at": each.expires_at,
                "state": each.state.value,
                "reason": each.reason,
                "ended_at": each.final_at,
            }
            for each in whole.reminders
        ],
        "messages": [
            _said(session, each) for each in await holdings.messages(session, patient_id, chat_id)
        ],
        "sent_by_you": [
            {"at": each.received_at, **_wrote(sealed.read(session, each))}
            for each in await holdings.updates(session, chat_id)
        ],
        "answers": [
            {"at": each.given_at, **sealed.read(session, each)}
            for each in await holdings.answers(session, patient_id)
        ],
        "reports": [
            {
                "at": each.opened_at,
                "ended_at": each.ended_at,
                "day": each.day,
                "level": each.level,
                **sealed.read(session, each),
            }
            for each in await holdings.reports(session, patient_id)
        ],
        "alerts": [
            {
                "at": each.opened_at,
                "level": each.level.value,
                "state": each.state.value,
                "seen_at": each.acked_at,
                "closed_at": each.closed_at,
                "outcome": each.outcome,
                **sealed.read(session, each),
            }
            for each in await holdings.alerts(session, patient_id)
        ],
        "questions": [
            {
                "at": each.asked_at,
                "kind": each.kind,
                "answered_at": each.answered_at,
                **sealed.read(session, each),
            }
            for each in await holdings.questions(session, patient_id)
        ],
        "photos": [
            {
                "reference": each.ref,
                "at": each.received_at,
                "day": each.day,
                "angle": each.angle,
                "state": each.state.value,
                "file": own_photos.file_name(each, whole.zone),
            }
            for each in await holdings.photos(session, patient_id)
        ],
    }


def _said(session: AsyncSession, row: Message) -> Entry:
    """Return one message: what it said is kept as it went to Telegram."""
    text = sealed.read(session, row).get("text", "")
    try:
        shown = telegram_html.parse(text) if text else ""
    except telegram_html.HtmlError:
        shown = text
    return {
        "at": row.sent_at or row.queued_at,
        "to": "clinic" if row.practitioner_id is not None else "you",
        "text": shown,
        "state": row.state.value,
        "reason": row.reason,
    }


def _wrote(raw: Mapping[str, Any]) -> Entry:
    """Return what a person sent, of everything that Telegram tells about it."""
    sent = raw.get("message") or raw.get("edited_message") or {}
    tapped = raw.get("callback_query") or {}
    known = ("photo", "voice", "video", "document", "sticker", "location", "contact", "text")
    return {
        "kind": "tap" if tapped else next((each for each in known if each in sent), "other"),
        "text": sent.get("text") or sent.get("caption") or tapped.get("data") or "",
    }


def _page(held: Held, catalogue: Catalogue, whole: Situation, now: datetime) -> str:
    """Return the same as a page: a heading and a table for each kind of thing."""
    language = whole.patient.language

    def label(key: str) -> str:
        known = catalogue.keys(language, "own_data")
        # What a report holds has the names that the code gives it.
        return catalogue.label(language, "own_data", key) if key in known else key

    def shown(kind: str, key: str, value: object) -> str:
        return html.escape(_words(catalogue, whole, now, kind, key, value))

    parts = [f"<h1>{html.escape(label('title'))}</h1>"]
    for kind, entries in held.items():
        parts.append(f"<h2>{html.escape(label(kind))}</h2>")
        if not entries:
            parts.append(f"<p>{html.escape(label('nothing'))}</p>")
            continue
        for entry in entries:
            parts.append("<table>")
            parts += [
                f"<tr><th>{html.escape(label(key))}</th><td>{shown(kind, key, value)}</td></tr>"
                for key, value in entry.items()
                if value not in (None, "", [])
            ]
            parts.append("</table>")
            if kind == "photos" and entry["file"]:
                parts.append(own_photos.place(entry["reference"], entry["file"]))
    style = (
        "body{font:1rem/1.5 sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem}"
        "table{margin:0 0 1rem;border-top:1px solid}th{text-align:start;vertical-align:top;"
        "padding-inline-end:1rem;font-weight:600}td{white-space:pre-wrap;overflow-wrap:anywhere}"
        "img{max-width:100%}"
    )
    return (
        f'<!doctype html><html lang="{html.escape(language)}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{html.escape(label('title'))}</title><style>{style}</style></head>"
        f'<body dir="auto">{"".join(parts)}</body></html>'
    )


def _words(
    catalogue: Catalogue, whole: Situation, now: datetime, kind: str, key: str, value: object
) -> str:
    language, zone = whole.patient.language, whole.zone
    section = _MEANINGS.get((kind, key))

    def named(name: object) -> str:
        known = section is not None and str(name) in catalogue.keys(language, section)
        return catalogue.label(language, section, str(name)) if known and section else str(name)

    if isinstance(value, datetime):
        # A visit's time is the clinic's, as everywhere.
        zone = ZoneInfo(whole.clinic.timezone) if kind == "visits" else zone
        return dates.moment(value, zone, language, now)
    if isinstance(value, time):
        return dates.clock(value)
    if isinstance(value, date):
        return dates.day(value, language, now.astimezone(zone).date())
    if isinstance(value, bool):
        return catalogue.label(language, "buttons", "yes" if value else "no")
    if isinstance(value, Sequence) and not isinstance(value, str):
        # An alert's signs carry the section of the labels that names them.
        pairs = (kind, key) == ("alerts", "reported")
        items = [catalogue.label(language, *each) if pairs else named(each) for each in value]
        return dates.join(items, language)
    return named(value)
