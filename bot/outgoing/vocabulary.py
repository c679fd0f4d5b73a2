"""The one table of every text that the code asks for, and of every value that a text may use."""

from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.states import (
    Level,
    MessageState,
    PatientState,
    Reason,
    ReminderState,
    VisitState,
)
from bot.domain.triage import SIGNS, Group, Trend

LONGEST_CARE = 350
LONGEST_CARD = 900
LONGEST_LIST = 4096
LONGEST_CAPTION = 1023
"""Of a picture: Telegram takes 1,024 characters."""

# A name that would break the markup, call code, turn the line around, and count as one letter.
_HOSTILE = '</b><b>&amp;<a href="https://x.example">{{ 7*7 }}</a> \u202e\u200f"\'\\ 😀é'
_LEFT: Mapping[str, object] = {"kept": False, "days_left": 6, "hours_left": 20, "allowed": []}
_KEPT: Mapping[str, object] = {
    "kept": True,
    "days_left": 0,
    "hours_left": 1,
    "allowed": ["A short, warm shower is allowed."],
}
_HOSTILE_GROUPS = [{"ends": _HOSTILE, "items": [_HOSTILE, _HOSTILE], **_KEPT}]


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that a text may use: what it means, and samples to try a text with."""

    meaning: str
    plain: object
    hostile: object = _HOSTILE
    others: tuple[object, ...] = ()
    """Further shapes that the value takes: absent, false, empty."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that the code asks for: its values beside the common ones, what it must keep to."""

    extra: tuple[str, ...] = ()
    unasked: bool = False
    longest: int = LONGEST_CARE
    always: tuple[str, ...] = ()
    """Values that are never absent or empty here, though they may be elsewhere."""


_LIMITS = [
    {"ends": "Wed 12 March, 15:40", "items": ["touching or rubbing", "make-up"], **_LEFT},
    {"ends": "Fri 14 March, 18:00", "items": ["gym or hard exercise"], **_LEFT},
]
_LIMITS_KEPT = [{"ends": "Fri 14 March, 18:00", "items": ["gym or hard exercise"], **_KEPT}]
_ASKED_ABOUT: Mapping[str, object] = {"what": "gym or hard exercise", "ends": "Fri 14 March, 18:00"}

_TAKEN = {"date": "Mon 10 March", "day": "0"}
_STEP = {"when": "Wed 12 March, 10:00", "what": "a check"}
_HAD: Mapping[str, object] = {
    "treatment": "mesotherapy, face",
    "done_at": "Mon 10 March, 14:30",
    "area": "cheeks",
    "product": "A, lot 12",
}
_COURSE: Mapping[str, object] = {
    "treatment": "mesotherapy, face",
    "sessions": 2,
    "day": 0,
    "last": "Mon 10 March, 14:30",
    "next": "Mon 7 April, 14:30",
    "confirmed": True,
    "target": None,
    "stopped": False,
    "area": "cheeks",
    "product": "A, lot 12",
}
_REPORT: Mapping[str, object] = {
    "level": "URGENT",
    "patient": "Ana",
    "when": "Mon 10 March, 14:30",
    "owner": None,
    "unreached": False,
}
_NOT_BEGUN = {"sessions": 0, "day": None, "last": None, "next": None, "confirmed": False}

VARIABLES: Mapping[str, Variable] = {
    # The clinic and the patient: every text may use these.
    "sender": Variable("the clinic's short sender name", "Lumen"),
    "clinic": Variable("the clinic's full name", "Lumen Clinic"),
    "clinic_phone": Variable("the clinic's phone number", "+44 20 7946 0000"),
    "emergency_number": Variable("the emergency number at the clinic", "112"),
    "urgent_number": Variable("whom to call when the clinic does not answer", "111"),
    "urgent_place": Variable("where to go then", "the city hospital"),
    "clinic_hours": Variable("opening hours", "Mon to Fri, 09:00 to 18:00", others=(None,)),
    "first_name": Variable("the patient's first name or code", "Ana"),
    "practitioner": Variable("the treating practitioner's name", "Nour"),
    "quiet_start": Variable("when quiet hours begin", "21:00"),
    "quiet_end": Variable("when quiet hours end", "08:30"),
    "max_per_day": Variable("unasked messages a day at most", 2, 2),
    "retention_days": Variable("days until data are deleted", 365, 365),
    "other_zone": Variable("the patient's zone is not the clinic's", False, True, (True,)),
    # Steps.
    "limits": Variable(
        "limits still on, by end: ends, items, allowed, kept, days_left, hours_left",
        _LIMITS,
        _HOSTILE_GROUPS,
        (_LIMITS_KEPT, []),
    ),
    "ended": Variable(
        "limits that end with this step",
        ["gym or hard exercise", "hot baths or hot showers"],
        [_HOSTILE, _HOSTILE],
        ([],),
    ),
    "still": Variable(
        "limits on after this step: ends, items, allowed, kept, days_left, hours_left",
        _LIMITS,
        _HOSTILE_GROUPS,
        (_LIMITS_KEPT, []),
    ),
    "t24": Variable("when the 24-hour limits end", "Wed 12 March, 15:40"),
    "t24_past": Variable("the 24-hour limits have ended", False, True, (True,)),
    "visit_date": Variable("the visit's date at the clinic", "Mon 10 March"),
    "visit_time": Variable("the visit's clock time at the clinic", "14:30"),
    "clinic_city": Variable("the clinic's city, if its zone differs", "Berlin", others=(None,)),
    "target_date": Variable("the date planned for a next visit", "Mon 10 March"),
    "n_months": Variable("months since the latest visit", 3, 3, (1,)),
    "below": Variable("a text with the same question or lists stands above", False, True, (True,)),
    "corrected": Variable("a card told before is replaced", False, True, (True,)),
    "late": Variable("the patient joined after the session", False, True, (True,)),
    "next_date": Variable("the next message's date, if any", "Fri 14 March", others=(None,)),
    "sunscreen_from": Variable(
        "the first day of sunscreen, if to come", "Wed 12 March", others=(None,)
    ),
    "maybe_repeat": Variable("this message may arrive twice", False, True, (True,)),
    # Joining.
    "now_hhmm": Variable("the clock time at the clinic, or where a patient is", "15:40"),
    "patient_city": Variable("the patient's city, if its zone differs", "Lisbon", others=(None,)),
    "city": Variable("the city whose time a patient keeps", "Berlin"),
    # Plan, limits, visits.
    "steps": Variable(
        "planned messages: when, what; for a practitioner state and reason too",
        [{**_STEP, "state": "planned", "reason": None}],
        [{"when": _HOSTILE, "what": _HOSTILE, "state": _HOSTILE, "reason": _HOSTILE}],
        ([{**_STEP, "state": "not sent", "reason": "a visit is booked"}], []),
    ),
    "visit": Variable("the next visit as day and time", "Mon 10 March, 14:30", others=(None,)),
    "paused_until": Variable("the last day of a pause", "Mon 10 March", others=(None,)),
    "plan_ended": Variable("the clinic has ended the plan", False, True, (True,)),
    "stopped": Variable("the reminders are stopped", False, True, (True,)),
    "what": Variable(
        "what a patient asked about, or what a practitioner does", "gym or hard exercise"
    ),
    "over": Variable(
        "limits asked about that have ended: what, ended_at",
        [{"what": "make-up", "ended_at": "Wed 12 March, 14:30"}],
        [{"what": _HOSTILE, "ended_at": _HOSTILE}],
        ([],),
    ),
    "on": Variable(
        "limits asked about that hold: what, ends, kept, days_left, hours_left",
        [{**_ASKED_ABOUT, **_LEFT}],
        [{"what": _HOSTILE, "ends": _HOSTILE, **_KEPT}],
        ([{**_ASKED_ABOUT, **_KEPT}, {**_ASKED_ABOUT, **_LEFT, "days_left": 0}],),
    ),
    "left": Variable(
        "what else was reported and is open", ["a new lump"], [_HOSTILE, _HOSTILE], ([],)
    ),
    "sent": Variable("what came beside words", ["a photo"], [_HOSTILE], ([],)),
    "allowed": Variable(
        "what is allowed beside the limits asked about",
        ["A short, warm shower is allowed."],
        [_HOSTILE],
        ([],),
    ),
    "visits": Variable(
        "visits: when, state_label; for a practitioner when, patient, state",
        [{"when": "14:30", "state_label": "booked", "patient": "Ana", "state": "booked"}],
        [dict.fromkeys(("when", "state_label", "patient", "state"), _HOSTILE)],
        ([],),
    ),
    # Answers.
    "expected_line": Variable(
        "what is common at this stage, if a session is on record",
        "Mild redness is common.",
        others=(None,),
    ),
    # Reports.
    "had": Variable(
        "recent sessions: treatment, done_at, area, product",
        [_HAD],
        [dict.fromkeys(_HAD, _HOSTILE)],
        ([{**_HAD, "area": None, "product": None}, _HAD], []),
    ),
    "picked": Variable("signs picked so far", ["redness"], [_HOSTILE, _HOSTILE], ([],)),
    "nobody": Variable("nobody of the clinic can be told", False, True, (True,)),
    "alone": Variable("one person alone is the clinic's whole chain", False, True, (True,)),
    "reply_by": Variable("by when the clinic aims to reply", "Mon 10 March, 18:00"),
    "urgent": Variable("the reader has reported something urgent", False, True, (True,)),
    "reported_at": Variable("when it was reported", "Mon 10 March, 14:30"),
    "later_date": Variable("when booking is asked again", "Fri 14 March", others=(None,)),
    "until": Variable("the last day of a pause", "Tue 18 March", others=(None,)),
    "again_at": Variable(
        "when the patient is asked again, if so", "Sat 15 March, 18:00", others=(None,)
    ),
    "later_at": Variable("when it is asked again, if it is", "21:00", others=(None,)),
    "language_name": Variable("the language, where several are offered", "English", others=(None,)),
    "photos_asked": Variable("photos are asked for", True, True, (False,)),
    "photos_off": Variable("the patient wants none asked for", False, True, (True,)),
    "open_report": Variable("a report is open", False, True, (True,)),
    "commands": Variable(
        "commands: name, description",
        [{"name": "plan", "description": "See what comes next"}],
        [{"name": _HOSTILE, "description": _HOSTILE}],
    ),
    # Errors.
    "for_patient": Variable("the reader is no practitioner", True, True, (False,)),
    "name": Variable("what a practitioner named", "scarf"),
    "known": Variable("the names that exist", ["meso", "peel"], [_HOSTILE, _HOSTILE]),
    "typed": Variable("what a person typed", "31 February"),
    "patient": Variable("a patient's name, for a practitioner", "Ana"),
    "longest": Variable("how many characters a name has at most", 64, 64),
    # Alerts.
    "level": Variable("the level's name in code", "tell_clinic", others=("urgent", "emergency")),
    "level_label": Variable("the level in words", "URGENT"),
    "treatment": Variable("the treatment's name", "mesotherapy, face", others=(None,)),
    "day": Variable("days since the session; of a day's list its date", 1, others=(0,)),
    "reported": Variable("what was reported", ["the skin is not calm"], [_HOSTILE, _HOSTILE]),
    "sessions": Variable(
        "recent sessions: treatment, day",
        [{"treatment": "mesotherapy, face", "day": 1}],
        [{"treatment": _HOSTILE, "day": 1}],
        ([],),
    ),
    "patient_phone": Variable("the patient's number, if given", "+44 7700 900000", others=(None,)),
    "closed": Variable("the clinic is closed, and nobody on call", False, True, (True,)),
    "told_later": Variable("the clinic hears of it when it opens", False, True, (True,)),
    "waited_minutes": Variable("for how long nobody has taken it", 10, 10, (1, 90)),
    "outcome": Variable("how a report ended", "spoke by phone"),
    "kept": Variable(
        "limits kept on, as the skin was not calm",
        ["gym or hard exercise"],
        [_HOSTILE, _HOSTILE],
        ([],),
    ),
    "rests": Variable("routine messages rest until somebody says so", False, True, (True,)),
    "account": Variable("the name that an account chose", "Ana", others=("",)),
    "username": Variable("an account's username", "ana_b", others=("",)),
    "not_confirmed": Variable("nobody confirmed the account yet", False, True, (True,)),
    "is_test": Variable("from a test course", False, True, (True,)),
    "owner": Variable("who looks after a report", "Nour"),
    "yours": Variable("the reader looks after it", True, True, (False,)),
    "kind": Variable("what kind of thing a patient sent", "a photo"),
    "quoted": Variable("what a patient wrote", "It itches a little.", others=(None,)),
    "copied": Variable("what was sent follows as a copy", False, True, (True,)),
    "edited": Variable("it replaces an earlier message", False, True, (True,)),
    # A person of the clinic writes.
    "writer": Variable("who of the clinic writes", "Nour"),
    "other_patient": Variable("whom a message was about that was replied to", "Ben"),
    "unsure": Variable("it may have arrived all the same", False, True, (True,)),
    "reopened": Variable("a question counts as open again", True, False, (False,)),
    "busy": Variable("a colleague who is writing an answer", "Lea", others=(None,)),
    "answered": Variable(
        "who has answered: by, at, words",
        {"by": "Lea", "at": "Mon 10 March, 14:30", "words": "Cool it a little."},
        dict.fromkeys(("by", "at", "words"), _HOSTILE),
        ({"by": "Lea", "at": "Mon 10 March, 14:30", "words": None}, None),
    ),
    "answer": Variable("what a person of the clinic wrote", "Cool it a little."),
    "asked_at": Variable("when a patient asked", "Mon 10 March, 14:30"),
    # Photos.
    "photo_days": Variable("for how many days a photo is kept", 180, 180, (1,)),
    "n_kept": Variable("how many photos are kept now", 1, 1, (0, 3)),
    "angles": Variable("names of the angles of photos", ["Front"], ["Front", "Left side"], ([],)),
    "missing": Variable("names of angles without a photo", ["Crown"], ["Crown", "Front"], ([],)),
    "again": Variable("in what photos are to be taken again", ["dark"], ["dark", "small"], ([],)),
    "pairs": Variable(
        "photos beside each other: angle, first and newest with date and day",
        [{"angle": "Front", "first": _TAKEN, "newest": {"date": "Mon 7 April", "day": "28"}}],
        [{"angle": _HOSTILE, "first": _TAKEN, "newest": _TAKEN}],
        ([{"angle": None, "first": {"date": "Mon 7 April", "day": None}, "newest": None}],),
    ),
    "photos": Variable(
        "photos in order of time: number, angle, when",
        [{"number": 1, "angle": "Front", "when": _TAKEN}],
        [{"number": 1, "angle": _HOSTILE, "when": _TAKEN}],
        ([{"number": 1, "angle": None, "when": {"date": "Mon 7 April", "day": None}}],),
    ),
    "more_photos": Variable("how many photos are not shown", 2, 2, (None,)),
    # A practitioner's new patient.
    "link": Variable("a one-time link", "https://t.me/lumen_bot?start=x"),
    "link_days": Variable("days until a link ends", 3, 3, (1,)),
    "link_hours": Variable("hours until a link ends", 24, 24, (1,)),
    "session_now": Variable("the session ends now", True, True, (False,)),
    "session_planned": Variable("the session is still to come", False, True, (True,)),
    "session_at": Variable("a session's day and time", "Mon 10 March, 14:30", others=(None,)),
    "n_messages": Variable("how many messages are to come", 9, 9, (0, 1)),
    "last_date": Variable("the day of the last of them", "Mon 2 June"),
    "card_now": Variable("the care card goes out now", True, True, (False,)),
    "before_session": Variable("no session is on record yet", False, True, (True,)),
    # What a practitioner records.
    "number": Variable("which session of the course it is", 2, 2),
    "target_asked": Variable("the next session's date is asked for", True, True, (False,)),
    "area": Variable("where a session was", "lips", others=(None,)),
    "product": Variable("with what, and its lot", "Brand, lot 12345", others=(None,)),
    "visit_at": Variable("a visit's day and time", "Mon 10 March, 14:30"),
    "moved": Variable("the visit had another time before", False, True, (True,)),
    "card_again": Variable("the patient gets a new care card", False, True, (True,)),
    "fewest": Variable("how many days at least", 120, 120),
    "most": Variable("how many days at most", 540, 540),
    "upkeep_days": Variable("how many days after a session upkeep is offered", 180, 180),
    "upkeep_on": Variable("the day of it, if known", "Sun 6 September", others=(None,)),
    "upkeep_sent": Variable("upkeep was sent for the latest session", False, True, (True,)),
    "undone": Variable(
        "what was taken back",
        "session_done",
        "visit",
        (
            *("corrected", "target", "visit_moved", "visit_cancelled", "paused", "resumed"),
            "added",
        ),
    ),
    "undone_at": Variable("the time that it had put on record", "Mon 10 March, 14:30"),
    "told": Variable("the patient is told of it", False, True, (True,)),
    "example": Variable("a date and time as they can be typed", "2026-03-28 18:30"),
    "past_too": Variable("a past time may be typed", False, True, (True,)),
    "no_time": Variable("a date was typed without a time", False, True, (True,)),
    "skipped": Variable("the hour is left out in spring", False, True, (True,)),
    "too_far": Variable("the date is out of reach", False, True, (True,)),
    "told_at": Variable("when a note waits for the end of quiet hours", "08:30", others=(None,)),
    "phone_now": Variable("the session is so fresh that a call is due", False, True, (True,)),
    # What a practitioner looks at.
    "reports": Variable(
        "reports that nobody has closed: level, patient, when, owner, unreached",
        [{**_REPORT, "owner": "Nour"}],
        [{**dict.fromkeys(("level", "patient", "when", "owner"), _HOSTILE), "unreached": False}],
        ([{**_REPORT, "unreached": True}], [_REPORT], []),
    ),
    "asked_twice": Variable("a check was asked once more", True, True, (False,)),
    "questions": Variable(
        "questions without an answer: patient, when, late",
        [{"patient": "Ana", "when": "Mon 10 March, 14:30", "late": True}],
        [{"patient": _HOSTILE, "when": _HOSTILE, "late": False}],
        ([],),
    ),
    "more_questions": Variable("how many questions are not listed", "2 more", "2 more", (None,)),
    "n_visits": Variable("how many visits there are today", 3, 3, (0,)),
    "n_wait": Variable("how many reports and questions wait", 2, 2, (0,)),
    "n_noanswer": Variable("how many gave no answer to a safety check", 1, 1, (0,)),
    "n_changes": Variable("how many have a change before a visit", 1, 1, (0,)),
    "n_book": Variable("how many are to be booked", 4, 4, (0,)),
    "not_joined": Variable("names of those not joined", ["Ana"], [_HOSTILE, _HOSTILE], ([],)),
    "to_book": Variable("names without a next date", ["Ana", "Ben"], [_HOSTILE], ([],)),
    "more_reports": Variable("how many reports are not listed", "2 more", "2 more", (None,)),
    "no_answer": Variable("names without an answer", ["Ben"], [_HOSTILE], ([],)),
    "missed_checks": Variable("names without a safety check", ["Ben"], [_HOSTILE], ([],)),
    "n_unsent": Variable("how many messages were not sent", 12, 12, (0, 1)),
    "n_patients": Variable("to how many patients", 9, 9, (1,)),
    "unsent": Variable(
        "messages that were not sent: patient, what, when, why",
        [{"patient": "Ana", **_STEP, "why": "too late to be of use"}],
        [dict.fromkeys(("patient", "what", "when", "why"), _HOSTILE)],
        ([],),
    ),
    "more_unsent": Variable("how many of them are not listed", "2 more", "2 more", (None,)),
    "restored": Variable("whether an older copy of the data is the reason", True, True, (False,)),
    "offline_from": Variable("since when the bot was offline", "Mon 10 March, 14:30"),
    "held_since": Variable(
        "since when reminders are held; nothing when not", "Mon 10 March, 14:30", others=(None,)
    ),
    "offline_until": Variable("until when", "Wed 12 March, 10:00"),
    "unreached": Variable("names of those not reached", ["Ben"], [_HOSTILE], ([],)),
    "count": Variable("how many patients are listed", 2, 2, (0,)),
    "state": Variable("a patient's state in words", "active"),
    "courses": Variable(
        "treatment, sessions, day, last, next, confirmed, target, stopped, area, product",
        [_COURSE],
        [
            {
                **_COURSE,
                **dict.fromkeys(("treatment", "last", "next", "target"), _HOSTILE),
                **dict.fromkeys(("area", "product"), _HOSTILE),
            }
        ],
        (
            [{**_COURSE, "next": None, "target": "Mon 7 April", "stopped": True}],
            [{**_COURSE, **_NOT_BEGUN, "area": None, "product": None}],
            [],
        ),
    ),
    "next_message": Variable(
        "the next message: when, what",
        _STEP,
        {"when": _HOSTILE, "what": _HOSTILE},
        (None,),
    ),
    "paused": Variable("the plan is paused", False, True, (True,)),
    "messages": Variable(
        "messages that went out: when, what, state, reason",
        [{**_STEP, "state": "sent", "reason": None}],
        [{"when": _HOSTILE, "what": _HOSTILE, "state": _HOSTILE, "reason": _HOSTILE}],
        ([{**_STEP, "state": "not sent", "reason": "a newer message replaced it"}], []),
    ),
    # What goes wrong with the bot itself.
    "since_at": Variable("when it began, or was seen", "Mon 10 March, 14:30"),
    "until_at": Variable("when it ended, or this message left", "Mon 10 March, 14:50"),
    "how_many": Variable("how many it is about", 2, 2, (1,)),
    "percent": Variable("how much is free, of a hundred", 4, 4, (0,)),
    "held": Variable("sending waits until an operator releases it", True, True, (False,)),
    # The clinic.
    "protocols": Variable(
        "protocols: name, approved",
        [{"name": "mesotherapy, face", "approved": True}],
        [{"name": _HOSTILE, "approved": False}],
    ),
    "version": Variable("a protocol's version", 1, 1),
    "page": Variable("which page is shown", 1, 1),
    "pages": Variable("how many there are", 12, 12),
    "step": Variable("a step's id", "card"),
    "due": Variable("when a message goes", "Mon 10 March, 14:30", others=(None,)),
    "expires": Variable("until when it may go", "Tue 11 March, 12:00", others=(None,)),
    "body": Variable("a message as a patient reads it", "Lumen: your care card."),
    "buttons": Variable(
        "the buttons under it", ["Got it", "Yes, I have one"], [_HOSTILE, _HOSTILE], ([],)
    ),
    "sources": Variable("the sources of what it says", "001, A11", others=("",)),
    "review_by": Variable("when a protocol is read again", "Tue 10 March", others=("",)),
    "team": Variable(
        "the team: name, role, on_call, backup",
        [{"name": "Nour", "role": "lead", "on_call": True, "backup": False}],
        [{"name": _HOSTILE, "role": _HOSTILE, "on_call": False, "backup": True}],
    ),
    "live": Variable("the chain of alerts was tested", True, True, (False,)),
    "role": Variable("what somebody is in the team", "lead"),
    "on_call": Variable("gets what is urgent day and night", True, True, (False,)),
    "backup": Variable("gets what nobody has taken", False, True, (True,)),
    "chain": Variable(
        "who was told of a test: name, took, seconds until then",
        [{"name": "Nour", "took": True, "seconds": 20}],
        [{"name": _HOSTILE, "took": False, "seconds": 0}],
        ([{"name": "Nour", "took": True, "seconds": 1}],),
    ),
    "taken": Variable("somebody took it", True, True, (False,)),
}

CLINIC = frozenset(
    {
        *("sender", "clinic", "clinic_phone", "emergency_number", "urgent_number"),
        *("urgent_place", "clinic_hours", "max_per_day", "retention_days"),
    }
)
"""What every text is given."""

PERSON = frozenset({"first_name", "practitioner", "quiet_start", "quiet_end", "other_zone"})
"""What the texts written to one patient are given too."""

STEP = Text(
    extra=(
        *("limits", "ended", "still", "t24", "t24_past", "visit_date", "visit_time"),
        *("clinic_city", "target_date", "n_months", "corrected", "late", "next_date"),
        *("sunscreen_from", "maybe_repeat", "below", "photos_asked"),
    ),
    unasked=True,
)
"""What every text under ``steps/`` gets and keeps to."""

EXPECTED = Text()
"""What every text under ``patient/expected/``, one for each protocol, gets."""

_ALERT = (
    "quoted",
    *("patient", "account", "username", "level", "level_label", "sessions", "reported"),
    *("reported_at", "patient_phone", "closed", "not_confirmed", "is_test"),
)

_DETAILS = ("patient", "session_at", "area", "product")

TEXTS: Mapping[str, Text] = {
    # Joining.
    "patient/hello": Text(),
    "patient/wrong_person": Text(),
    "patient/consent": Text(longest=LONGEST_CARD),
    "patient/consent_more": Text(longest=LONGEST_CARD),
    "patient/refused": Text(),
    "patient/time_zone": Text(("now_hhmm",)),
    "patient/time_zone_offsets": Text(),
    "patient/time_zone_city": Text(),
    "patient/time_zone_kept": Text(("city", "next_date")),
    "patient/waiting": Text(),
    "patient/welcome": Text(("next_date",)),
    # What is planned, and what to avoid.
    "patient/plan": Text(
        (
            *("steps", "limits", "visit", "clinic_city", "plan_ended", "stopped"),
            *("paused", "paused_until"),
        ),
        longest=LONGEST_LIST,
    ),
    "patient/plan_empty": Text(("plan_ended",)),
    "patient/limits": Text(("limits",), longest=LONGEST_LIST),
    "patient/limit_until": Text(("on", "over", "allowed"), always=("on",), longest=LONGEST_CARD),
    "patient/limit_over": Text(("over",), always=("over",), longest=LONGEST_CARD),
    "patient/limit_none": Text(("what",)),
    "patient/visits": Text(("visits", "clinic_city"), longest=LONGEST_LIST),
    # Answers to answers.
    "patient/got_it": Text(),
    "patient/thanks_passed": Text(),
    "patient/noted": Text(("next_date",)),
    "patient/calm": Text(("ended", "next_date")),
    "patient/not_calm": Text(("again_at", "told_later", "closed")),
    "patient/calm_again": Text(("kept",), unasked=True, always=("kept",)),
    "patient/limits_over": Text(("ended",), unasked=True, always=("ended",)),
    "patient/trend": Text(("ended",)),
    "patient/better": Text(("expected_line", "next_date")),
    "patient/told_clinic": Text(
        ("reply_by", "clinic_city", "photos_asked", "told_later", "closed")
    ),
    "patient/urgent": Text(("alone",)),
    "patient/urgent_closed": Text(),
    "patient/emergency": Text(("had", "nobody"), longest=LONGEST_CARD),
    "patient/note_for_doctor": Text(
        ("had", "reported", "reported_at", "quoted"), longest=LONGEST_LIST
    ),
    "patient/seek_care": Text(("taken",), unasked=True),
    "patient/no_reply_yet": Text(("closed",), unasked=True),
    "patient/reached_help": Text(unasked=True),
    "patient/noted_help": Text(),
    # A report.
    "patient/pick": Text(("closed",)),
    "patient/pick_pain": Text(("picked", "closed"), longest=LONGEST_CARD),
    "patient/pick_milder": Text(("picked",), longest=LONGEST_CARD),
    "patient/pick_sight": Text(),
    "patient/pick_fever": Text(),
    "patient/slip": Text(),
    "patient/nudge": Text(unasked=True),
    "patient/emergency_numbers": Text(("closed",), longest=LONGEST_CARD),
    "patient/not_saved": Text(longest=LONGEST_CARD),
    "patient/nobody_told": Text(unasked=True, longest=LONGEST_CARD),
    # Writing to the clinic.
    "patient/ask_open": Text(("reply_by", "clinic_city")),
    "patient/text_passed": Text(("reply_by", "clinic_city")),
    "patient/photo_passed": Text(("reply_by", "clinic_city")),
    "patient/voice_passed": Text(("reply_by", "clinic_city")),
    "patient/other_passed": Text(("reply_by", "clinic_city")),
    "patient/reply": Text(
        ("writer", "quoted", "maybe_repeat"), always=("quoted",), longest=LONGEST_LIST
    ),
    "patient/seen": Text(("closed",), unasked=True),
    "patient/was_offline": Text(("offline_from", "offline_until", "restored"), unasked=True),
    # Visits.
    "patient/visit_booked": Text(("visit_date", "visit_time", "clinic_city"), unasked=True),
    "patient/visit_moved": Text(("visit_date", "visit_time", "clinic_city"), unasked=True),
    "patient/visit_cancelled": Text(("visit_date", "visit_time", "clinic_city"), unasked=True),
    "patient/visit_confirmed": Text(("visit_date", "visit_time", "clinic_city")),
    "patient/change_wanted": Text(),
    "patient/something_changed": Text(),
    "patient/booking_asked": Text(),
    "patient/booking_later": Text(("later_date",)),
    "patient/booking_declined": Text(),
    # The phone number.
    "patient/ask_phone": Text(("urgent",)),
    "patient/phone_kept": Text(("patient_phone",), always=("patient_phone",)),
    "patient/phone_refused": Text(),
    "patient/phone_of_other": Text(),
    # Photos.
    "patient/photo_how": Text(("angles", "missing"), longest=LONGEST_CARD),
    "patient/photo_consent": Text(("photo_days",), always=("photo_days",)),
    "patient/photo_declined": Text(),
    "patient/photo_wanted": Text(unasked=True),
    "patient/photo_kept": Text(("n_kept", "angles", "missing", "again", "photo_days")),
    "patient/photo_unreadable": Text(),
    # Corrections and control.
    "patient/session_undone": Text(unasked=True),
    "patient/stop_ask": Text(),
    "patient/stopped": Text(),
    "patient/paused": Text(("until",)),
    "patient/kept": Text(("next_date",)),
    "patient/resume_ask": Text(),
    "patient/resumed": Text(("next_date",)),
    "patient/still_stopped": Text(),
    "patient/course_stopped": Text(("treatment",), unasked=True),
    # A patient's own settings and data.
    "patient/later": Text(("later_at",)),
    "patient/pause_ended": Text(("next_date",)),
    "patient/settings": Text(
        (
            *("city", "now_hhmm", "language_name", "photos_asked", "photos_off"),
            *("stopped", "paused", "paused_until"),
        ),
    ),
    "patient/settings_quiet": Text(),
    "patient/settings_language": Text(),
    "patient/language_kept": Text(),
    "patient/ask_name": Text(),
    "patient/name_kept": Text(),
    "patient/not_me_ask": Text(),
    "patient/let_go": Text(),
    "patient/my_data_begun": Text(),
    "patient/my_data": Text(),
    "patient/my_data_machine": Text(),
    "patient/my_data_photos": Text(("page", "pages")),
    "patient/erase": Text(("open_report",)),
    "patient/erase_again": Text(("open_report",)),
    "patient/erase_kept": Text(),
    "patient/erased": Text(longest=LONGEST_CARD),
    "patient/help": Text(("commands",), longest=LONGEST_CARD),
    # What cannot be done.
    "errors/already_enrolled": Text(("patient",)),
    "errors/enrolled_just_now": Text(("patient",)),
    "errors/already_patient": Text(),
    "errors/enroll_form": Text(),
    "errors/future_session": Text(),
    "errors/impossible_date": Text(
        ("typed", "example", "past_too", "no_time", "skipped", "too_far")
    ),
    "errors/link_for_colleague": Text(),
    "errors/link_for_patient": Text(),
    "errors/link_invalid": Text(),
    "errors/name_length": Text(("longest",)),
    "errors/no_course": Text(("patient",)),
    "errors/no_invitation": Text(),
    "errors/no_such_command": Text(),
    "errors/not_a_patient": Text(),
    "errors/not_allowed": Text(),
    "errors/not_understood": Text(),
    "errors/not_understood_practitioner": Text(),
    "errors/nothing_approved": Text(),
    "errors/nothing_to_add": Text(("patient",)),
    "errors/past_visit": Text(),
    "errors/phone_number": Text(),
    "errors/photo_not_asked": Text(("patient",)),
    "errors/session_before_last": Text(("patient",)),
    "errors/session_earlier": Text(),
    "errors/session_recorded": Text(("patient",)),
    "errors/something_failed": Text(),
    "errors/stale_button": Text(("next_date", "for_patient")),
    "errors/test_running": Text(),
    "errors/too_long": Text(("longest",)),
    "errors/undo_too_late": Text(),
    "errors/unknown_protocol": Text(("name", "known"), longest=LONGEST_CARD),
    "errors/upkeep_days": Text(("fewest", "most")),
    "errors/visit_same": Text(("patient",)),
    "errors/cannot_write": Text(("patient",)),
    # What a patient reports, to a practitioner.
    "alerts/report": Text(_ALERT, longest=LONGEST_LIST),
    "alerts/again": Text((*_ALERT, "waited_minutes"), longest=LONGEST_LIST),
    "alerts/outcome": Text(("patient", "is_test")),
    "alerts/closed": Text(("patient", "outcome", "left", "rests", "kept", "is_test")),
    "alerts/resumed": Text(("patient",)),
    "alerts/acknowledged": Text(("patient", "owner", "yours", "is_test")),
    "alerts/passed_on": Text(
        ("patient", "kind", "quoted", "copied", "edited", "is_test"), longest=LONGEST_LIST
    ),
    # A practitioner: writing to a patient.
    "practitioner/write_ask": Text(
        (*("patient", "writer", "quoted", "busy", "answered", "is_test"),),
        longest=LONGEST_LIST,
    ),
    "practitioner/write_held": Text(
        ("patient", "answered"), always=("answered",), longest=LONGEST_LIST
    ),
    "practitioner/written": Text(("patient", "is_test")),
    "practitioner/write_late": Text(("patient",)),
    "practitioner/write_whom": Text(("patient", "other_patient")),
    "practitioner/write_left": Text(("patient",)),
    "practitioner/words_lost": Text(
        ("patient", "writer", "quoted", "unsure", "reopened"),
        always=("quoted",),
        longest=LONGEST_LIST,
    ),
    "practitioner/colleague_answered": Text(("patient", "writer", "answer"), longest=LONGEST_LIST),
    "practitioner/question_waits": Text(
        ("patient", "asked_at", "quoted", "sent", "is_test"), longest=LONGEST_LIST
    ),
    # A practitioner: beginning.
    "practitioner/welcome": Text(),
    "practitioner/welcome_lead": Text(longest=LONGEST_CARD),
    "practitioner/menu": Text(),
    "practitioner/help": Text(("commands",), longest=LONGEST_CARD),
    "practitioner/cancelled": Text(),
    # A practitioner: a new patient.
    "practitioner/new_name": Text(),
    "practitioner/new_treatment": Text(("patient",)),
    "practitioner/new_variant": Text(("patient", "treatment"), always=("treatment",)),
    "practitioner/new_ready": Text(
        (
            *("patient", "treatment", "session_now", "session_planned", "session_at"),
            *("n_messages", "last_date"),
        ),
        always=("treatment", "session_at"),
    ),
    "practitioner/new_plan": Text(("patient", "steps"), longest=LONGEST_LIST),
    "practitioner/new_qr": Text(
        ("patient", "link", "link_days", "treatment", "session_at", "session_planned"),
        longest=LONGEST_CAPTION,
    ),
    "practitioner/opened": Text(("patient", "account", "username")),
    "practitioner/nudge_confirm": Text(("patient", "account", "username")),
    "practitioner/confirmed": Text(("patient",)),
    "practitioner/not_them": Text(("patient",)),
    "practitioner/joined": Text(("patient", "card_now", "before_session")),
    "practitioner/declined": Text(("patient",)),
    "practitioner/wrong_person": Text(("patient",)),
    "practitioner/already_patient": Text(("patient",)),
    # A practitioner: what a patient did.
    "practitioner/unreachable": Text(("patient",)),
    "practitioner/not_delivered": Text(("patient",)),
    "practitioner/patient_stopped": Text(("patient", "phone_now")),
    "practitioner/patient_paused": Text(("patient", "until"), always=("until",)),
    "practitioner/patient_resumed": Text(("patient",)),
    "practitioner/pause_ended": Text(("patient",)),
    "practitioner/name_corrected": Text(("patient", "name")),
    "practitioner/let_go": Text(("patient",)),
    "practitioner/phone_given": Text(("patient", "patient_phone"), always=("patient_phone",)),
    "practitioner/patient_erased": Text(),
    "practitioner/wants_times": Text(("patient",)),
    "practitioner/wants_change": Text(("patient", "visit_at")),
    "practitioner/visit_confirmed": Text(("patient", "visit_at")),
    "practitioner/visit_cancelled_by_patient": Text(("patient", "visit_at")),
    "practitioner/booking_declined": Text(("patient",)),
    # A practitioner: recording.
    "practitioner/which_course": Text(("patient", "what")),
    "practitioner/treatment_added": Text(
        ("patient", "session_planned", "session_at", "n_messages"), always=("session_at",)
    ),
    "practitioner/ask_session_time": Text(("patient",)),
    "practitioner/ask_visit_time": Text(("patient",)),
    "practitioner/ask_correction_time": Text(("patient",)),
    "practitioner/session_saved": Text(
        ("patient", "session_at", "number", "n_messages", "target_asked"),
        always=("session_at",),
    ),
    "practitioner/ask_phone": Text(("patient", "patient_phone")),
    "practitioner/phone_kept": Text(("patient", "patient_phone")),
    "practitioner/ask_area": Text(_DETAILS, always=("session_at",)),
    "practitioner/ask_product": Text(_DETAILS, always=("session_at",)),
    "practitioner/details_kept": Text(_DETAILS, always=("session_at",)),
    "practitioner/session_corrected": Text(
        ("patient", "session_at", "card_again"), always=("session_at",)
    ),
    "practitioner/target_set": Text(("patient", "target_date")),
    "practitioner/visit_set": Text(("patient", "visit_at", "moved", "n_messages", "told_at")),
    "practitioner/visit_cancelled": Text(("patient", "told_at")),
    "practitioner/undone": Text(("patient", "undone", "undone_at", "told")),
    "practitioner/ask_pause": Text(("patient",)),
    "practitioner/ask_stop": Text(("patient",)),
    "practitioner/ask_upkeep": Text(("patient", "fewest", "most")),
    "practitioner/upkeep_set": Text(("patient", "upkeep_days", "upkeep_on", "upkeep_sent")),
    "practitioner/ask_new_link": Text(("patient",)),
    "practitioner/course_stopped": Text(("patient",)),
    # A practitioner: looking.
    "practitioner/today": Text(
        (
            *("day", "visits", "reports", "more_reports", "missed_checks"),
            *("not_joined", "to_book", "unreached", "n_unsent", "held_since", "no_answer"),
            *("questions", "more_questions"),
        ),
        longest=LONGEST_LIST,
    ),
    "practitioner/digest": Text(("day", "n_visits", "n_wait", "n_noanswer", "n_changes", "n_book")),
    "practitioner/unsent": Text(
        ("n_unsent", "n_patients", "unsent", "more_unsent"), longest=LONGEST_LIST
    ),
    "practitioner/unsent_list": Text(("n_unsent", "unsent"), longest=LONGEST_LIST),
    "practitioner/was_offline": Text(("offline_from", "offline_until", "restored")),
    "practitioner/no_answer": Text(("patient", "asked_twice")),
    "practitioner/visit_unrecorded": Text(("patient", "visit_at")),
    "practitioner/patients": Text(("count",)),
    "practitioner/card": Text(
        (
            *("patient", "state", "courses", "limits", "next_message", "paused", "paused_until"),
            *("patient_city", "clinic_city", "patient_phone"),
        ),
        longest=LONGEST_LIST,
    ),
    "practitioner/plan": Text(
        ("patient", "steps", "patient_city", "clinic_city"), longest=LONGEST_LIST
    ),
    "practitioner/photo_asked": Text(("patient",)),
    "practitioner/photo_pairs": Text(("patient", "pairs"), longest=LONGEST_CAPTION),
    "practitioner/photo_timeline": Text(
        ("patient", "photos", "more_photos"), longest=LONGEST_CAPTION
    ),
    "practitioner/sent": Text(("patient", "messages", "clinic_city"), longest=LONGEST_LIST),
    # A practitioner: the clinic.
    "practitioner/protocols": Text(("protocols",), longest=LONGEST_LIST),
    "practitioner/protocol_page": Text(
        (
            *("name", "version", "page", "pages", "step", "due", "expires", "body", "buttons"),
            "sources",
        ),
        longest=LONGEST_LIST,
    ),
    "practitioner/approved": Text(("name", "version", "review_by")),
    "practitioner/test_started": Text(("patient",)),
    "practitioner/test_mark": Text(),
    "practitioner/test_note": Text(),
    "practitioner/team": Text(("team", "live", "photos_asked"), longest=LONGEST_LIST),
    "practitioner/member": Text(("name", "role", "on_call", "backup")),
    "practitioner/drill_started": Text(),
    "practitioner/drill": Text(("reported_at", "chain", "taken"), longest=LONGEST_LIST),
    "errors/drill_running": Text(),
    "errors/not_live": Text(),
    "practitioner/invite_link": Text(("link", "link_hours"), longest=LONGEST_CAPTION),
    "practitioner/removed": Text(("name",)),
    "practitioner/reached_again": Text(),
    "practitioner/colleague_unreachable": Text(("name",)),
    # The lead: what goes wrong with the bot itself, one for each cause.
    "practitioner/trouble_unreachable": Text(("since_at", "until_at")),
    "practitioner/trouble_refused": Text(("since_at", "until_at")),
    "practitioner/trouble_conflict": Text(("since_at", "until_at")),
    "practitioner/trouble_disk": Text(("since_at", "until_at", "percent")),
    "practitioner/trouble_database": Text(("since_at", "until_at")),
    "practitioner/trouble_photos": Text(("since_at", "until_at", "how_many")),
    "practitioner/trouble_gap": Text(("since_at", "until_at")),
    "practitioner/trouble_clock": Text(("since_at", "until_at", "held")),
    "practitioner/trouble_fuse": Text(("since_at", "until_at", "patient", "how_many")),
    "practitioner/trouble_expired": Text(("since_at", "until_at", "how_many")),
    "practitioner/trouble_unconfirmed": Text(("since_at", "until_at", "how_many")),
}

LABELS: Mapping[str, tuple[str, ...]] = {
    "levels": tuple(Level),
    "message_states": tuple(MessageState),
    "patient_states": tuple(PatientState),
    "reasons": tuple(Reason),
    "reminder_states": (*ReminderState, "going"),
    "visit_states": (*VisitState, "confirmed"),
    "reports": (
        *("something_wrong", "emergency_word", "warning_sign", "not_calm", "check"),
        *("something_changed", "late_sign", "worse_again", "drill"),
        *("reached_no", "no_one_answers"),
    ),
    "signs": (*SIGNS, *Group),
    "sign_buttons": SIGNS,
    "trends": tuple(each for each in Trend if each is not Trend.BETTER),
    "outcomes": (
        "spoke_by_phone",
        "seen_in_clinic",
        "sent_to_hospital",
        "no_contact",
        "false_alarm",
    ),
    "angles": ("front", "left", "right", "parting", "crown", "whole", "closer"),
    "verdicts": ("too_dark", "blurred", "too_small"),
    "sent_kinds": ("text", "edited", "photo", "voice", "other"),
    "roles": ("lead", "practitioner"),
    "titles": ("other",),
    "variants": ("ordinary",),
    "toasts": ("got_it", "too_old", "done", "asked"),
    "day_words": (),
    "own_data": (
        *(
            "title",
            "nothing",
            "details",
            "consents",
            "courses",
            "visits",
            "limits",
            "reminders",
            "messages",
            "sent_by_you",
            "answers",
            "reports",
            "alerts",
            "questions",
            "photos",
            "name",
            "earlier_names",
            "phone",
            "account_name",
            "username",
            "account_number",
            "reference",
            "clinic",
            "practitioner",
            "state",
            "language",
            "time_zone",
            "quiet_from",
            "quiet_until",
            "photo_requests",
            "booking_requests",
            "paused_until",
            "opened_at",
            "agreed_at",
            "confirmed_at",
            "joined_at",
            "resumed_at",
            "last_heard_at",
            "created_at",
            "older_left_out",
            "purpose",
            "text_version",
            "given_at",
            "withdrawn_at",
            "treatment",
            "began_at",
            "upkeep_days",
            "planned_at",
            "done_at",
            "target_date",
            "area",
            "product",
            "limit",
            "ends_at",
            "kept_at",
            "told_at",
            "step",
            "due_at",
            "expires_at",
            "reason",
            "ended_at",
            "at",
            "to",
            "text",
            "kind",
            "answer",
            "day",
            "level",
            "seen_at",
            "closed_at",
            "outcome",
            "answered_at",
            "angle",
            "file",
        ),
    ),
    "unset": ("urgent_place", "visit_date", "visit_time", "target_date", "reply_by", "drill"),
}
"""The labels that the code asks for by a state or a name; buttons stand in code and protocols."""

FORMS: Mapping[str, tuple[str, ...]] = {
    "weeks": ("weeks",),
    "days": ("days",),
    "more": ("count",),
    "patient_line": ("name", "state"),
    "of_treatment": ("name", "treatment"),
    "from_to": ("start", "end"),
}
"""The labels with values in them, and which."""

WORDS = ("stop", "stop_alone", "asking", "beside", "thanks", "emergency")
"""The lists of words that typed texts are compared with."""


def given(template: str, text: Text) -> frozenset[str]:
    """The names of all values that a text is given."""
    person = PERSON if template.startswith(("patient/", "steps/")) else frozenset()
    return CLINIC | person | set(text.extra)


def text_of(template: str) -> Text | None:
    """What the code gives a template and asks of it; None for a text that nobody asks for."""
    if template.startswith("steps/"):
        return STEP
    if template.startswith("patient/expected/"):
        return EXPECTED
    return TEXTS.get(template)
