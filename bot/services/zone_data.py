"""When the data of a time zone change: local hours of unsent steps follow, instants stay."""

import json
import logging
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import ColumnElement, not_
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.times import fingerprint
from bot.services import situation
from bot.services.apart import alone
from bot.services.deps import Deps
from bot.services.planning import bring_in_line
from bot.storage.database import Priority
from bot.storage.queries import people, vitals

log = logging.getLogger(__name__)

_LOOKED = "zones_looked_at"
_KNOWN = "zone_data"
_JOB = "zone_data"
_EVERY = timedelta(hours=24)
_BATCH = 20


async def look_again(deps: Deps) -> None:
    """Let the next round of the jobs look, however short the last look is ago."""
    async with deps.database.write(Priority.PLAN) as session:
        await vitals.forget(session, (_LOOKED,))


def waits(now: datetime) -> ColumnElement[bool]:
    """Whether the zones' data were not looked at for a day."""
    return not_(vitals.noted_within(_LOOKED, now - _EVERY, now))


async def look(deps: Deps, now: datetime) -> int:
    """Once a day, plan anew for everybody whose zone's data have changed; return steps moved."""
    async with deps.database.read() as session:
        looked = await vitals.get_instant(session, _LOOKED)
        if looked is not None and timedelta() <= now - looked < _EVERY:
            return 0
        names = await people.zones(session)
        known: dict[str, str] = json.loads(await vitals.get(session, _KNOWN) or "{}")
    # What was read once is kept by the library, and by the very files that may have changed.
    ZoneInfo.clear_cache()
    found = {name: digest for name in sorted(names) if (digest := _digest(name))}
    moved = 0
    for name in found:
        if name in known and known[name] != found[name]:
            moved += await _redate(deps, name, now)
    async with deps.database.write(Priority.PLAN) as session:
        if known != found:
            await vitals.put(session, _KNOWN, json.dumps(found))
        await vitals.put_instant(session, _LOOKED, now)
    return moved


def _digest(name: str) -> str:
    try:
        return fingerprint(ZoneInfo(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # Its patients cannot be planned for; everybody else's zones are looked at all the same.
        log.exception("a time zone is not known here", extra={"action": "zone_data", "zone": name})
        return ""


async def _redate(deps: Deps, zone: str, now: datetime) -> int:
    """Plan anew for the patients of a zone, a few at a time; repeated whole if it is cut off."""
    moved, last = 0, 0
    while True:
        async with deps.database.write(Priority.PLAN) as session:
            patients = await people.active_in_zone(session, zone, after=last, limit=_BATCH)
            for patient_id in patients:
                moved += await alone(session, _JOB, partial(_follow, session, patient_id, now))
                last = patient_id
        if len(patients) < _BATCH:
            break
    log.warning(
        "the data of a time zone have changed",
        extra={"action": "zone_data", "zone": zone, "count": moved},
    )
    return moved


async def _follow(session: AsyncSession, patient_id: int, now: datetime) -> int:
    before = await situation.read(session, patient_id, lock=True)
    due = {row.id: row.due_at for row in before.reminders if row.final_at is None}
    after = await bring_in_line(session, before, now)
    return sum(row.id in due and due[row.id] != row.due_at for row in after.reminders)
