"""What was not sent: handed to whoever treats the patient, and listed for thirty days."""

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import enrolling, outbox, team, words
from bot.services.deps import Deps, new_ref
from bot.services.errors import StaleButton
from bot.services.turn import Turn
from bot.storage.database import Priority
from bot.storage.queries import not_sent, people, plans, versions
from bot.storage.queries import outbox as queries
from bot.storage.tables import Clinic, Practitioner, Reminder

log = logging.getLogger(__name__)

LIST = "practitioner/unsent"
LOOK_BACK = timedelta(days=30)
# More would not fit into one message; the screen has the rest.
_LINES = 8
_PAGE = 10
_LAST_PAGE = 10_000
_NAME = 24


@dataclass(slots=True)
class _List:
    """What one practitioner is told: how much it is, and its beginning."""

    practitioner: Practitioner
    steps: int = 0
    patients: int = 0
    first: list[Reminder] = field(default_factory=list)


async def hand_over(deps: Deps, now: datetime) -> int:
    """Tell practitioners what was not sent to their patients; return to how many steps that came.

    Each is told in one message. Who has one waiting gets the rest with the next.
    """
    count = 0
    async with deps.database.write(Priority.PLAN) as session:
        await not_sent.list_unseen(session, now)
        lists: dict[int, _List] = {}
        for treating in await not_sent.practitioners_to_hand_over_to(session):
            responders = await team.responders_for(session, treating)
            waits = [
                await queries.waits(session, each.id or 0, LIST)
                for each in responders
                if each.id not in lists
            ]
            if not responders or any(waits):
                continue
            steps, patients, first = await not_sent.hand_over(
                session, treating.id or 0, now, first=_LINES
            )
            count += steps
            for each in responders:
                one = lists.setdefault(each.id or 0, _List(each))
                one.steps += steps
                one.patients += patients
                one.first += first
        for one in lists.values():
            await _tell(session, deps, one, now)
    deps.bells.outbox.set()
    if count:
        log.warning("steps were not sent", extra={"action": "unsent_listed", "count": count})
    return count


async def _tell(session: AsyncSession, deps: Deps, one: _List, now: datetime) -> None:
    clinic = await people.clinic(session, one.practitioner.clinic_id)
    first = sorted(one.first, key=lambda row: (not row.safety, row.due_at or now))[:_LINES]
    more = one.steps - len(first)
    form = deps.catalogue.label(clinic.language, "forms", "more")
    await outbox.to_practitioner(
        session,
        one.practitioner,
        LIST,
        now,
        language=clinic.language,
        values={
            "n_unsent": one.steps,
            "n_patients": one.patients,
            "unsent": [await _line(session, deps, clinic, row, now) for row in first],
            "more_unsent": form.format(count=more) if more else None,
        },
        rows=[[Button(label="see_unsent", data=buttons.pack("unsent", "0"))]],
        # Repeated until it surely arrived, and not dropped for being old.
        report=new_ref(),
    )


async def _line(
    session: AsyncSession, deps: Deps, clinic: Clinic, row: Reminder, now: datetime
) -> dict[str, str]:
    language = clinic.language
    patient = await people.patient(session, row.patient_id)
    visit = await plans.visit(session, row.visit_id)
    course = await plans.course(session, visit.course_id)
    protocol = await versions.protocol(session, course.protocol_version_id)
    step, why = (
        protocol.of(course.variant).step(row.step),
        row.reason.value if row.reason is not None else "",
    )
    name = words.name_of(session, patient)
    return {
        "patient": name if len(name) <= _NAME else f"{name[:_NAME]}\N{HORIZONTAL ELLIPSIS}",
        "what": words.title(deps.catalogue, language, step.template),
        "when": dates.moment(row.due_at or now, ZoneInfo(clinic.timezone), language, now),
        "why": deps.catalogue.label(language, "reasons", why),
    }


async def show(turn: Turn, page: str = "0") -> None:
    """Show what was not sent in the last thirty days, newest first, with the patients' cards."""
    enrolling.lead_or_practitioner(turn)
    if not page.isdecimal():
        raise StaleButton
    at, clinic_id = min(int(page), _LAST_PAGE), turn.clinic.id or 0
    since = turn.now - LOOK_BACK
    found = await not_sent.unsent(
        turn.session, clinic_id, since, limit=_PAGE + 1, offset=at * _PAGE
    )
    lines = [
        await _line(turn.session, turn.deps, turn.clinic, row, turn.now) for row in found[:_PAGE]
    ]
    cards: dict[str, str] = {}
    for row, line in zip(found, lines, strict=False):
        patient = await people.patient(turn.session, row.patient_id)
        cards.setdefault(patient.ref, line["patient"])
    turning = []
    if at:
        turning.append(Button(label="previous_page", data=buttons.pack("unsent", str(at - 1))))
    if len(found) > _PAGE:
        turning.append(Button(label="next_page", data=buttons.pack("unsent", str(at + 1))))
    await turn.screen(
        "practitioner/unsent_list",
        {
            "n_unsent": await not_sent.count_unsent(turn.session, clinic_id, since),
            "unsent": lines,
        },
        [
            *[[Button(text=name, data=buttons.pack("card", ref))] for ref, name in cards.items()],
            *([turning] if turning else []),
        ],
    )
