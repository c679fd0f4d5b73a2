"""Today's screen: who needs somebody, whose visit it is, and for whom nothing is planned."""

from collections.abc import Sequence
from datetime import time, timedelta
from typing import Any

from bot.domain.states import Level, PatientState, VisitState
from bot.domain.times import to_utc
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.outgoing.catalogue import Catalogue
from bot.services import enrolling, holding, unanswered, unsent, words
from bot.services.turn import Turn
from bot.storage.queries import alerts, falling_due, not_sent, people, plans, questions
from bot.storage.queries import unanswered as awaited
from bot.storage.tables import Alert, Patient

# What the screen lists at most: more would not fit into one message.
_ROWS = 12
_VISITS = 36
_NAMES = 12
_NAME = 24
# Safety checks that never arrived stay on the list this long.
LOOK_BACK = timedelta(days=14)


async def show(turn: Turn) -> None:
    """Show who needs somebody today: open reports, visits, people not joined, nothing booked."""
    enrolling.lead_or_practitioner(turn)
    await turn.await_text("")
    language, zone = turn.clinic.language, turn.clinic_zone
    day = turn.today
    start, end = to_utc(day, time(), zone), to_utc(day + timedelta(days=1), time(), zone)
    refs: dict[str, str] = {}
    reports = await _open_reports(turn, refs)
    lines = []
    for visit in await plans.visits_between(turn.session, turn.clinic.id or 0, start, end):
        patient = await people.patient(turn.session, visit.patient_id)
        at = visit.done_at or visit.planned_at or turn.now
        said_yes = visit.state is VisitState.PLANNED and visit.confirmed_at is not None
        state = "patient_confirmed" if said_yes else visit.state.value
        lines.append(
            {
                "when": dates.clock(at.astimezone(zone).time()),
                "patient": _listed(turn, patient, refs),
                "state": turn.deps.catalogue.label(language, "visit_states", state),
            }
        )
    waiting = await people.patients_in(
        turn.session, turn.clinic.id or 0, (PatientState.INVITED, PatientState.OPENED)
    )
    lost = await people.patients_in(turn.session, turn.clinic.id or 0, (PatientState.UNREACHABLE,))
    unchecked = await falling_due.missed_checks(
        turn.session, turn.clinic.id or 0, turn.now - LOOK_BACK
    )
    clinic_id = turn.clinic.id or 0
    n_unsent = await not_sent.count_unsent(turn.session, clinic_id, turn.now - unsent.LOOK_BACK)
    silent = await awaited.patients(turn.session, clinic_id, turn.now - unanswered.LOOK_BACK)
    held = await holding.held(turn.session)
    asked = [
        {
            "patient": _listed(turn, patient, refs),
            "when": dates.moment(question.asked_at, zone, language, turn.now),
            "late": question.overdue_at is not None,
        }
        for question, patient in await questions.waiting(turn.session, clinic_id)
    ]
    alone = single(turn.deps.catalogue)
    to_book = await plans.patients_to_book(turn.session, clinic_id, start, day, alone)
    await turn.screen(
        "practitioner/today",
        {
            "day": dates.day(day, language, turn.today),
            "held_since": dates.moment(held.since, zone, language, turn.now) if held else None,
            "visits": lines[:_VISITS],
            "reports": reports[:_NAMES],
            "more_reports": _more(turn, len(reports)),
            "questions": asked[:_NAMES],
            "more_questions": _more(turn, len(asked)),
            "missed_checks": _names(turn, unchecked, refs),
            "no_answer": _names(turn, silent, refs),
            "unreached": _names(turn, lost, refs),
            "not_joined": _names(turn, waiting, refs),
            "to_book": _names(turn, to_book, refs),
            "n_unsent": n_unsent,
        },
        [
            *[
                [Button(text=name, data=buttons.pack("card", ref))]
                for ref, name in list(refs.items())[:_ROWS]
            ],
            *([[Button(label="see_unsent", data=buttons.pack("unsent", "0"))]] if n_unsent else []),
            [Button(label="new_patient_button", data=buttons.pack("new"))],
        ],
    )


def single(catalogue: Catalogue) -> list[str]:
    """Return the protocols of one session, after which nobody is to be booked."""
    return [protocol.name for protocol in catalogue.protocols.values() if not protocol.books]


async def _open_reports(turn: Turn, refs: dict[str, str]) -> list[dict[str, Any]]:
    """Return what nobody has closed: the most urgent first, then what has waited longest."""
    language = turn.clinic.language
    reports = []
    waiting = await alerts.open_of_clinic(turn.session, turn.clinic.id or 0)
    for alert in sorted(waiting, key=lambda each: list(Level).index(each.level), reverse=True):
        patient = await people.patient(turn.session, alert.patient_id)
        if patient.is_test:
            continue
        reports.append(
            {
                "patient": _listed(turn, patient, refs),
                "when": dates.moment(alert.opened_at, turn.clinic_zone, language, turn.now),
                "level": turn.deps.catalogue.label(language, "levels", alert.level.value),
                "owner": await _owner(turn, alert),
                "unreached": alert.unreached_at is not None,
            }
        )
    return reports


async def _owner(turn: Turn, alert: Alert) -> str | None:
    if alert.acked_by is None:
        return None
    return words.name_of(turn.session, await people.practitioner(turn.session, alert.acked_by))


def _listed(turn: Turn, patient: Patient, refs: dict[str, str]) -> str:
    """Return the name for a list, cut where it would crowd others out; its card gets a button."""
    name = words.name_of(turn.session, patient)
    shown = name if len(name) <= _NAME else f"{name[:_NAME]}\N{HORIZONTAL ELLIPSIS}"
    refs.setdefault(patient.ref, shown)
    return shown


def _names(turn: Turn, found: Sequence[Patient], refs: dict[str, str]) -> list[str]:
    names = [_listed(turn, patient, refs) for patient in found[:_NAMES]]
    more = _more(turn, len(found))
    return [*names, more] if more else names


def _more(turn: Turn, count: int) -> str | None:
    """Return how many of a list are not shown, or nothing when all of them are."""
    if count <= _NAMES:
        return None
    form = turn.deps.catalogue.label(turn.clinic.language, "forms", "more")
    return form.format(count=count - _NAMES)
