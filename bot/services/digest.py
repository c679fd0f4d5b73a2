"""The morning's digest: once a day, by the clinic's clock, only when there is something in it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane
from bot.domain.times import to_utc
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import outbox, team, today, unanswered
from bot.services.apart import alone
from bot.services.deps import Deps
from bot.storage import sealed
from bot.storage.database import Priority
from bot.storage.queries import digests, falling_due, people, plans
from bot.storage.queries import unanswered as awaited
from bot.storage.tables import Alert, Clinic, Practitioner

AT = time(8, 30)
# Whoever was not told by then has long begun the day; Today shows the same at any time.
UNTIL = time(12, 0)
# No clock is further ahead of UTC.
_AHEAD = timedelta(hours=14)
_CHANGES = frozenset({("reports", "something_changed"), ("signs", "new_medicine_ill_pregnant")})
# Patients by what there is to do for them; one stands there once for each thing.
Waiting = Mapping[str, Sequence[int]]


def waits(now: datetime) -> ColumnElement[bool]:
    """Whether a clinic may have had no digest today; its own clock says whether it is due."""
    return people.any_digest_before((now + _AHEAD).date())


async def send(deps: Deps, now: datetime) -> int:
    """Queue the digest of each clinic whose morning it is; return how many messages that were.

    The day is noted in the same commit, also when there was nothing to tell.
    """
    async with deps.database.read() as session:
        due = [clinic.id or 0 for clinic in await people.clinics(session) if _is_due(clinic, now)]
    count = 0
    for clinic_id in due:
        async with deps.database.write(Priority.PLAN) as session:
            work = partial(_send, session, deps, clinic_id, now)
            count += await alone(session, "send_digest", work)
    if count:
        deps.bells.outbox.set()
    return count


def next_at(clinic: Clinic, moment: datetime) -> datetime | None:
    """Return when the clinic's digest comes on the day of ``moment``; nothing when it has come."""
    zone = ZoneInfo(clinic.timezone)
    day = moment.astimezone(zone).date()
    if clinic.digest_day is not None and clinic.digest_day >= day:
        return None
    return to_utc(day, AT, zone)


def _is_due(clinic: Clinic, now: datetime) -> bool:
    zone = ZoneInfo(clinic.timezone)
    at = next_at(clinic, now)
    return at is not None and at <= now < to_utc(now.astimezone(zone).date(), UNTIL, zone)


async def _send(session: AsyncSession, deps: Deps, clinic_id: int, now: datetime) -> int:
    clinic = await people.clinic(session, clinic_id)
    day = now.astimezone(ZoneInfo(clinic.timezone)).date()
    if not await digests.begin(session, clinic_id, day):
        return 0
    waiting = await _waiting(session, deps, clinic, now)
    patients = {each for listed in waiting.values() for each in listed}
    treats = {
        each.id or 0: each.practitioner_id
        for each in await people.patients_by_id(session, patients)
    }
    count = 0
    for reader, theirs in await _readers(session, clinic_id):
        own = {
            what: sum(theirs is None or treats[each] in theirs for each in listed)
            for what, listed in waiting.items()
        }
        if any(own.values()):
            await _tell(session, clinic, reader, own, now)
            count += 1
    return count


async def _readers(
    session: AsyncSession, clinic_id: int
) -> list[tuple[Practitioner, set[int] | None]]:
    """Return who gets a digest, each with those whose patients they hear of; a lead, of all."""
    leads = await team.leads(session, clinic_id)
    theirs: dict[int, set[int]] = defaultdict(set)
    readers = {each.id or 0: each for each in leads}
    for treating in await people.practitioners(session, clinic_id):
        for each in await team.responders_for(session, treating):
            readers.setdefault(each.id or 0, each)
            theirs[each.id or 0].add(treating.id or 0)
    everything = {each.id for each in leads}
    return [(each, None if key in everything else theirs[key]) for key, each in readers.items()]


async def _waiting(session: AsyncSession, deps: Deps, clinic: Clinic, now: datetime) -> Waiting:
    clinic_id, zone = clinic.id or 0, ZoneInfo(clinic.timezone)
    day = now.astimezone(zone).date()
    start, end = to_utc(day, time(), zone), to_utc(day + timedelta(days=1), time(), zone)
    visits = await plans.visits_between(session, clinic_id, start, end)
    alerts = await digests.not_closed(session, clinic_id)
    ahead = await digests.with_a_visit(session, {each.patient_id for each in alerts}, now)
    changes = [e for e in alerts if e.patient_id in ahead and _tells_of_a_change(session, e)]
    silent = await awaited.patients(session, clinic_id, now - unanswered.LOOK_BACK)
    missed = await falling_due.missed_checks(session, clinic_id, now - today.LOOK_BACK)
    to_book = await plans.patients_to_book(
        session, clinic_id, start, day, today.single(deps.catalogue)
    )
    return {
        "n_visits": [each.patient_id for each in visits],
        # What is told by a line of its own is not counted twice.
        "n_wait": [
            *(each.patient_id for each in alerts if each not in changes),
            *await digests.asked(session, clinic_id),
        ],
        # Whom no check has reached has not answered either: somebody phones.
        "n_noanswer": list({each.id or 0: each for each in (*silent, *missed)}),
        "n_changes": [each.patient_id for each in changes],
        "n_book": [each.id or 0 for each in to_book],
    }


def _tells_of_a_change(session: AsyncSession, alert: Alert) -> bool:
    reported = sealed.read(session, alert).get("reported", [])
    return any((section, key) in _CHANGES for section, key in reported)


async def _tell(
    session: AsyncSession,
    clinic: Clinic,
    reader: Practitioner,
    counts: Mapping[str, int],
    now: datetime,
) -> None:
    zone = ZoneInfo(clinic.timezone)
    day = now.astimezone(zone).date()
    message = await outbox.to_practitioner(
        session,
        reader,
        "practitioner/digest",
        now,
        language=clinic.language,
        values={"day": dates.day(day, clinic.language, day), **counts},
        rows=[[Button(label="open_today", data=buttons.pack("today"))]],
        # One whose sending was never answered is not repeated: it may have arrived.
        lane=Lane.COURTESY,
    )
    if message is not None:
        message.expires_at = to_utc(day, UNTIL, zone)
        session.add(message)
