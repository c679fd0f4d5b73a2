"""Ending a hold: what may have been sent already, what an operator is shown, what becomes of it."""

import logging
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.exc import SQLAlchemyError
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.domain import rules
from bot.domain.rules import Drop
from bot.domain.states import Lane, Reason
from bot.services import dispatch, holding, own_words, settling, situation
from bot.services.holding import Held, Why
from bot.services.situation import Situation
from bot.storage.queries import falling_due, outbox, people, vitals
from bot.storage.tables import Message, Reminder

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Step:
    """A reminder that fell due, and what its plan says of it."""

    row: Reminder
    patient_ref: str
    day: str
    # What it ends as at release; nothing when it goes, or goes on waiting.
    over: Reason | None


@dataclass(frozen=True, slots=True)
class Review:
    """What a release is about: the hold, the reminders that fell due, the messages that waited."""

    held: Held
    now: datetime
    zone: ZoneInfo
    steps: Sequence[_Step]
    # What is to go once more, and what is not.
    again: Sequence[Message]
    over: Sequence[Message]

    def as_json(self) -> dict[str, Any]:
        """Return it in plain values: counts, and patients by their references alone."""
        days = Counter((step.day, step.row.step, step.over is None) for step in self.steps)
        kinds = Counter((_kind(row), True) for row in self.again)
        kinds.update((_kind(row), False) for row in self.over)
        refs = {step.patient_ref for step in self.steps}
        saved = self.held.backup_at
        return {
            "why": self.held.why.value,
            "since": vitals.as_text(self.held.since),
            "backup_at": None if saved is None else vitals.as_text(saved),
            "now": vitals.as_text(self.now),
            "fell_due": [
                {"day": day, "step": step, "count": count, "goes": goes}
                for (day, step, goes), count in sorted(days.items())
            ],
            "waiting": [
                {"kind": kind, "count": count, "goes": goes}
                for (kind, goes), count in sorted(kinds.items())
            ],
            "patients": sorted(refs),
        }


def _kind(row: Message) -> str:
    return "report" if row.report is not None else row.lane.value


async def review(session: AsyncSession, now: datetime, *, lock: bool = False) -> Review | None:
    """Return what a release would do now; nothing when sending is not held."""
    held = await holding.held(session)
    if held is None:
        return None
    clinic = await people.the_clinic(session)
    zone = ZoneInfo(clinic.timezone if clinic else "UTC")
    # What fell due since the restore was held here: nobody has sent that.
    until = held.since if held.why is Why.RESTORED else now
    rows = await falling_due.fell_due(session, until)
    wholes = await _situations(session, {row.patient_id for row in rows}, lock=lock)
    steps = []
    for row in rows:
        step = await _judged(session, held, row, wholes.get(row.patient_id), now)
        if step is not None:
            steps.append(step)
    if held.why is Why.CLOCK:
        return Review(held, now, zone, steps, (), ())
    again: list[Message] = []
    over: list[Message] = []
    for message in await outbox.open_up_to(session, held.above):
        goes = await _goes_again(session, message, held, now)
        (again if goes else over).append(message)
    return Review(held, now, zone, steps, again, over)


async def _situations(
    session: AsyncSession, patient_ids: Collection[int], *, lock: bool
) -> dict[int, Situation]:
    """Return what can be read of these patients; who cannot be must hold up nobody else."""
    try:
        return await situation.read_all(session, patient_ids, lock=lock)
    except SQLAlchemyError:
        raise
    except Exception:
        log.warning("patients are read one by one", extra={"action": "release_alone"})
    found = {}
    for patient_id in patient_ids:
        try:
            found[patient_id] = await situation.read(session, patient_id, lock=lock)
        except SQLAlchemyError:
            raise
        except Exception:
            log.exception("a patient cannot be read", extra={"action": "release_failed"})
    return found


async def _judged(
    session: AsyncSession, held: Held, row: Reminder, whole: Situation | None, now: datetime
) -> _Step | None:
    """Return what becomes of a step that fell due; nothing when it would never have gone.

    What cannot be judged does not go once more: its practitioner is told.
    """
    try:
        if whole is not None:
            due_at = row.due_at or now
            day = f"{due_at.astimezone(whole.clinic_zone):%Y-%m-%d}"
            ref = whole.patient.ref
            if held.why is Why.CLOCK:
                return _Step(row, ref, day, _too_late(row, now))
            if not _would_have_gone(whole, row):
                return None
            return _Step(row, ref, day, _no_more(whole, row, now))
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("a step cannot be judged", extra={"action": "release_failed"})
    patient = await people.patient(session, row.patient_id)
    return _Step(row, patient.ref, f"{row.due_at or now:%Y-%m-%d}", Reason.UNCONFIRMED)


def _too_late(row: Reminder, now: datetime) -> Reason | None:
    expired = row.expires_at is not None and row.expires_at <= now
    return Reason.TOO_LATE if expired else None


def _would_have_gone(whole: Situation, row: Reminder) -> bool:
    """Say whether it may have been sent when it was due, by what the backup knew."""
    if row.due_at is None or row.outlook is not None:
        return False
    if whole.patient.paused_until is not None and not row.safety:
        return False
    return not isinstance(dispatch.judge(whole, row, row.due_at), Drop)


def _no_more(whole: Situation, row: Reminder, now: datetime) -> Reason | None:
    """Return why it does not go once more (promises.md 2.2): of no use by now, or courtesy."""
    standing = dispatch.standing(whole, [row], now)
    verdict = rules.may_go(standing, now)
    unwanted = isinstance(verdict, Drop) or standing.lane is Lane.COURTESY
    return Reason.UNCONFIRMED if unwanted else None


def _was_in_the_air(row: Message, held: Held) -> bool:
    """Say whether it was being sent when the backup was made, and for the first time.

    The start after the restore has counted that send, and let it cool down from then on.
    """
    counted = row.maybe_copies == 1 and row.lease_until is not None
    return counted and (row.lease_until or held.since) >= held.since + rules.COOL_DOWN


async def _goes_again(session: AsyncSession, row: Message, held: Held, now: datetime) -> bool:
    """Say whether a message that waited goes: danger and reports do; care, and what a person
    of the clinic wrote, once if still of use.

    An answer, a screen or an edit belongs to a moment that is gone.
    """
    until_it_arrives = row.lane is Lane.DANGER or row.report is not None
    once = row.lane is Lane.CARE or own_words.are(row)
    if row.method == "edit" or not (until_it_arrives or once):
        return False
    if row.maybe_copies > 0 and not until_it_arrives and not _was_in_the_air(row, held):
        # What waited was the one repeat.
        return False
    try:
        whole = None
        if row.visit_id is not None and row.patient_id is not None and row.practitioner_id is None:
            whole = await situation.read(session, row.patient_id)
        return not isinstance(await dispatch.may_leave(session, row, whole, now), Drop)
    except SQLAlchemyError:
        raise
    except Exception:
        log.exception("a message cannot be judged", extra={"action": "release_failed"})
        return until_it_arrives


async def release(session: AsyncSession, now: datetime) -> Review | None:
    """End the hold in the caller's transaction; return what it did, nothing without a hold.

    After a restore every send that may have happened counts as one whose result is unknown.
    """
    found = await review(session, now, lock=True)
    if found is None:
        return None
    if found.held.why is Why.RESTORED:
        for step in found.steps:
            step.row.maybe_sent = True
            if step.over is not None:
                step.row.state, step.row.reason = rules.ending(step.over, maybe_sent=True)
                step.row.final_at = now
            session.add(step.row)
        for row in found.again:
            # What was in the air is counted already, and waits for its one repeat.
            if not _was_in_the_air(row, found.held):
                await settling.unknown(session, row, now)
        for row in found.over:
            row.maybe_copies += 1
            await settling.give_up(session, row, now)
    await holding.end(session)
    return found
