"""Holding: what waited does not leave until an operator releases it (design.md 8, decision 7)."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlmodel.ext.asyncio.session import AsyncSession

from bot.storage.queries import inbox, outbox, vitals

HELD = "held"
_WHY = "held_reason"
_SINCE = "held_since"
ABOVE = "held_above"
_SAVED = "held_backup_at"
_UPDATES = "held_updates"
_KEYS = (HELD, _WHY, _SINCE, ABOVE, _SAVED, _UPDATES)


class Why(StrEnum):
    """Why sending is held."""

    RESTORED = "restored"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Held:
    """Sending is held ``since`` then; only answers in rows after ``above`` still go.

    ``backup_at`` is when the restored backup was made: what fell due after it may have been sent.
    ``updates`` were not handled yet when it was made, and may have been since.
    """

    why: Why
    since: datetime
    above: int
    backup_at: datetime | None
    updates: frozenset[int]


async def hold(
    session: AsyncSession, why: Why, now: datetime, *, backup_at: datetime | None = None
) -> None:
    """Hold what waits and whatever falls due; a hold that is on already stays as it is.

    People who act meanwhile are still answered: help must not wait for an operator.
    """
    if await held(session) is not None:
        return
    for key, value in signs(why, now, backup_at=backup_at).items():
        await vitals.put(session, key, value)
    # A clock says nothing about what waits: danger and answers go on, whenever they were written.
    above = await outbox.newest_id(session) if why is Why.RESTORED else 0
    await vitals.put(session, ABOVE, str(above))


def signs(why: Why, now: datetime, *, backup_at: datetime | None = None) -> dict[str, str]:
    """Return the vital signs of a hold; :data:`ABOVE`, the newest message's id, comes on top."""
    found = {HELD: "1", _WHY: why.value, _SINCE: vitals.as_text(now)}
    return found if backup_at is None else found | {_SAVED: vitals.as_text(backup_at)}


async def held(session: AsyncSession) -> Held | None:
    """Return how sending is held; nothing when it is not."""
    found = await vitals.some(session, _KEYS)
    if found.get(HELD) != "1":
        return None
    saved = found.get(_SAVED)
    return Held(
        why=Why(found[_WHY]),
        since=datetime.fromisoformat(found[_SINCE]),
        above=int(found[ABOVE]),
        backup_at=None if saved is None else datetime.fromisoformat(saved),
        updates=frozenset(json.loads(found.get(_UPDATES, "[]"))),
    )


async def set_updates_aside(session: AsyncSession) -> None:
    """Let the updates of a restored database wait for the release; before any new one comes in.

    By their numbers: the clock of the machine that restored it may have been another one.
    """
    found = await vitals.some(session, _KEYS)
    if found.get(_WHY) == Why.RESTORED and _UPDATES not in found:
        await vitals.put(session, _UPDATES, json.dumps(await inbox.received(session)))


async def end(session: AsyncSession) -> None:
    """Hold no longer."""
    await vitals.forget(session, _KEYS)
