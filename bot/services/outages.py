"""Outages: found at the first good contact after them, and told once to whom they may have cost."""

import json
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Lane
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import holding, outbox
from bot.services.apart import alone
from bot.services.deps import Deps, new_ref
from bot.storage.database import Priority
from bot.storage.queries import people, vitals
from bot.storage.tables import Patient

log = logging.getLogger(__name__)

LAST_POLL_OK = "last_poll_ok_at"
# Telegram keeps what nobody fetches for about a day; what was written may be lost from here on.
LONG = timedelta(hours=20)
_NOTABLE = timedelta(minutes=1)
_TELL = "outages_to_tell"
_JOB = "tell_outages"
_BATCH = 50
_NOTICE_LIFE = timedelta(days=3)


async def in_touch(session: AsyncSession, now: datetime, *, again: bool) -> None:
    """Note a good contact with Telegram; ``again`` says that there was none for a while.

    Only then is the time since the last one an outage: a long poll that waits is no silence.
    """
    held = await holding.held(session)
    # By a clock that is in doubt nobody can say how long it was.
    again = again and not (held is not None and held.why is holding.Why.CLOCK)
    last = await vitals.get_instant(session, LAST_POLL_OK) if again else None
    if last is not None and now - last >= _NOTABLE:
        log.warning(
            "no contact with Telegram for a while",
            extra={"action": "offline", "seconds": int((now - last).total_seconds())},
        )
    if last is not None and now - last > LONG:
        waiting = await _waiting(session)
        # To whom it was told so far: nobody, then patients in the order of their ids.
        waiting.append(
            {
                "from": last.isoformat(),
                "until": now.isoformat(),
                # Then the bot was not away: what it heard meanwhile is.
                "restored": int(held is not None),
                "told": None,
            }
        )
        await vitals.put(session, _TELL, json.dumps(waiting))
    await vitals.put_instant(session, LAST_POLL_OK, now)


def waits(_now: datetime) -> ColumnElement[bool]:
    """Whether anybody is to be told of an outage."""
    return vitals.any_under(_TELL)


async def tell(deps: Deps, now: datetime) -> int:
    """Tell team and active patients of each long outage, once; return how many patients were told.

    Each batch and how far it came are one commit.
    """
    told, more = 0, True
    while more:
        async with deps.database.write(Priority.PLAN) as session:
            count, more = await _tell_some(session, now)
        told += count
        deps.bells.outbox.set()
    return told


async def _waiting(session: AsyncSession) -> list[dict[str, str | int | None]]:
    found: list[dict[str, str | int | None]] = json.loads(await vitals.get(session, _TELL) or "[]")
    return found


async def _keep(session: AsyncSession, waiting: Sequence[dict[str, str | int | None]]) -> None:
    # While the row is there, the job is called in every round.
    if waiting:
        await vitals.put(session, _TELL, json.dumps(waiting))
    else:
        await vitals.forget(session, [_TELL])


async def _tell_some(session: AsyncSession, now: datetime) -> tuple[int, bool]:
    """Tell the next few of the oldest outage; say whether anybody is left to be told."""
    waiting = await _waiting(session)
    if not waiting:
        await _keep(session, [])
        return 0, False
    outage = waiting[0]
    since = datetime.fromisoformat(str(outage["from"]))
    until = datetime.fromisoformat(str(outage["until"]))
    restored = bool(outage.get("restored"))
    if until - now > _NOTABLE:
        # The clock was ahead when it was noted, and was set right: it never was.
        await _keep(session, waiting[1:])
        return 0, len(waiting) > 1
    if outage["told"] is None:
        await _tell_team(session, since, until, now, restored=restored)
    after = int(outage["told"] or 0)
    patients = await people.active_before(session, until, after=after, limit=_BATCH)
    told = 0
    for patient in patients:

        async def work(patient: Patient = patient) -> int:
            return await _tell_patient(session, patient, since, until, now, restored=restored)

        told += await alone(session, _JOB, work)
        outage["told"] = patient.id
    if len(patients) < _BATCH:
        waiting.pop(0)
    await _keep(session, waiting)
    return told, bool(waiting)


async def _tell_patient(
    session: AsyncSession,
    patient: Patient,
    since: datetime,
    until: datetime,
    now: datetime,
    *,
    restored: bool,
) -> int:
    clinic = await people.clinic(session, patient.clinic_id)
    zone, language = ZoneInfo(patient.timezone or clinic.timezone), patient.language
    await outbox.to_patient(
        session,
        patient,
        "patient/was_offline",
        now,
        values={
            "offline_from": dates.moment(since, zone, language, now),
            "offline_until": dates.moment(until, zone, language, now),
            "restored": restored,
        },
        rows=[[Button(label="something_wrong", data=buttons.pack("wrong"))]],
        lane=Lane.CARE,
        unasked=True,
        expires_at=now + _NOTICE_LIFE,
    )
    return 1


async def _tell_team(
    session: AsyncSession, since: datetime, until: datetime, now: datetime, *, restored: bool
) -> None:
    for clinic in await people.clinics(session):
        zone = ZoneInfo(clinic.timezone)
        for practitioner in await people.practitioners(session, clinic.id or 0):
            await outbox.to_practitioner(
                session,
                practitioner,
                "practitioner/was_offline",
                now,
                language=clinic.language,
                values={
                    "offline_from": dates.moment(since, zone, clinic.language, now),
                    "offline_until": dates.moment(until, zone, clinic.language, now),
                    "restored": restored,
                },
                report=new_ref(),
            )
