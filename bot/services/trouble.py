"""What goes wrong with the bot itself: the leads are told, at most once an hour for each cause."""

import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain.states import Cause
from bot.outgoing import buttons, dates
from bot.outgoing.buttons import Button
from bot.services import holding, outbox, team
from bot.storage import sealed
from bot.storage.queries import ledger, people, told, vitals
from bot.storage.queries import outbox as queries
from bot.storage.tables import Clinic, Message, Practitioner

log = logging.getLogger(__name__)

EVERY = timedelta(hours=1)
TEXTS = "practitioner/trouble_"
# A send that is only slow is confirmed by then.
_SLOW = timedelta(seconds=60)
_OF_A_RESTORE = frozenset({Cause.EXPIRED, Cause.GAP})
_TO_LOOK_AT = frozenset({Cause.EXPIRED, Cause.UNCONFIRMED, Cause.GAP, Cause.DATABASE})


async def raise_(
    session: AsyncSession, cause: Cause, now: datetime, values: Mapping[str, Any] | None = None
) -> bool:
    """Tell the leads of a trouble; false when they were told of its cause within the hour.

    Instants among ``values`` are written by the clinic's clock: ``since_at`` is now unless given,
    ``until_at`` the moment when the message leaves. One of the cause that could not leave yet
    speaks for both: its count grows, its beginning stays. Of what a restore brings with it nobody
    is told while it is held: whoever restored knows.
    """
    clinic = await people.the_clinic(session)
    held = await holding.held(session)
    restored = held is not None and held.why is holding.Why.RESTORED
    if clinic is None or (restored and cause in _OF_A_RESTORE):
        return False
    template = f"practitioner/trouble_{cause}"
    written = _written(clinic, {"since_at": now, **(values or {})}, now)
    waiting = await queries.waiting_of(session, template)
    told_at = await vitals.get_instant(session, _told(cause))
    # A clock that was set back since then says nothing about the hour.
    if not waiting and told_at is not None and timedelta() <= now - told_at < EVERY:
        return False
    for row in waiting:
        _join(session, row, cause, written)
    n_told = len(waiting)
    if not waiting:
        leads = await team.leads(session, clinic.id or 0)
        for lead in leads:
            # One that had to wait may have left only now, though it was queued long ago.
            chat_id = lead.telegram_id or 0
            if await told.said_between(session, chat_id, template, now - EVERY, now):
                return False
        for lead in leads:
            n_told += await _tell(session, lead, template, written, cause, now, clinic.language)
        log.error("trouble", extra={"action": "trouble", "kind": cause, "count": n_told})
    await vitals.put_instant(session, _told(cause), now)
    return n_told > 0


async def raise_counted(session: AsyncSession, now: datetime) -> None:
    """Tell the leads of what the ledger shows since they were told: steps expired, danger unsure.

    What was counted before is kept, not when: a row that commits late is never passed over.
    """
    expired = await ledger.expired(session)
    ended, unsure = await _unsure(session, now)
    for cause, total, open_now in (
        (Cause.EXPIRED, expired, 0),
        (Cause.UNCONFIRMED, ended, unsure),
    ):
        new = max(total - await _counted(session, cause), 0) + open_now
        if new and not await raise_(session, cause, now, {"how_many": new}):
            continue
        if total != await _counted(session, cause):
            await vitals.put(session, _count(cause), str(total))


async def count_from_here(session: AsyncSession, now: datetime) -> None:
    """Take what the ledger shows as known, where nobody ever counted: the past is no news."""
    ended, _ = await _unsure(session, now)
    for cause, total in (
        (Cause.EXPIRED, await ledger.expired(session)),
        (Cause.UNCONFIRMED, ended),
    ):
        if await vitals.get(session, _count(cause)) is None:
            await vitals.put(session, _count(cause), str(total))


async def anything_new(session: AsyncSession, now: datetime) -> bool:
    """Say whether the ledger shows what the leads may have to be told of."""
    ended, unsure = await _unsure(session, now)
    return (
        unsure > 0
        or await ledger.expired(session) != await _counted(session, Cause.EXPIRED)
        or ended != await _counted(session, Cause.UNCONFIRMED)
    )


async def _unsure(session: AsyncSession, now: datetime) -> tuple[int, int]:
    """Return how many urgent messages to the team ended unsent, and wait in doubt unheld."""
    held = await holding.held(session)
    return await ledger.unsure_danger(session, now - _SLOW, above=held.above if held else 0)


async def last_tick_at(session: AsyncSession) -> datetime | None:
    """Return when the process before this one was last at work."""
    return await vitals.get_instant(session, vitals.LAST_TICK)


def at_leaving(clinic: Clinic, now: datetime) -> dict[str, str]:
    """Return what a message on trouble says of the moment when it leaves: the trouble is over."""
    return _written(clinic, {"until_at": now}, now)


def _told(cause: Cause) -> str:
    return f"told_{cause}_at"


def _count(cause: Cause) -> str:
    return f"told_{cause}_count"


async def _counted(session: AsyncSession, cause: Cause) -> int:
    return int(await vitals.get(session, _count(cause)) or 0)


def _written(clinic: Clinic, values: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    zone = ZoneInfo(clinic.timezone)
    return {
        key: dates.moment(value, zone, clinic.language, now)
        if isinstance(value, datetime)
        else value
        for key, value in values.items()
    }


def _join(session: AsyncSession, row: Message, cause: Cause, written: Mapping[str, Any]) -> None:
    """Let a message that waits say what a second one would have said."""
    content = sealed.read(session, row)
    before = content.get("values", {})
    values = {**written, "since_at": before["since_at"]}
    if cause is Cause.EXPIRED:
        values["how_many"] += before["how_many"]
    if values != before:
        sealed.write(session, row, content | {"values": values})
        session.add(row)


async def _tell(
    session: AsyncSession,
    lead: Practitioner,
    template: str,
    written: Mapping[str, Any],
    cause: Cause,
    now: datetime,
    language: str,
) -> bool:
    look = [[Button(label="see_today", data=buttons.pack("today"))]]
    row = await outbox.to_practitioner(
        session,
        lead,
        template,
        now,
        language=language,
        values=written,
        rows=look if cause in _TO_LOOK_AT else (),
    )
    if row is not None:
        # However long Telegram cannot be reached: it speaks of the past, and stays true.
        row.expires_at = None
        session.add(row)
    return row is not None
