"""Which job runs when: APScheduler wakes them, what is due stands in the database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger
from sqlalchemy import ColumnElement
from sqlmodel.ext.asyncio.session import AsyncSession

from bot.logs import Outages
from bot.services import (
    digest,
    dispatch,
    erasing,
    following,
    holding,
    housekeeping,
    limit_ends,
    outages,
    photo_keeping,
    questions,
    unanswered,
    unsent,
    zone_data,
)
from bot.services.deps import Deps
from bot.storage.database import Priority
from bot.storage.queries import alerts, looks, not_sent, vitals
from bot.storage.queries import limit_ends as ending
from bot.storage.queries import questions as asked
from bot.storage.queries import unanswered as awaited

log = logging.getLogger(__name__)

# However far the next due time lies: a sleeping machine or a clock that jumps is noticed by then.
# Well below the gap between two rounds that a lead is told of (watch.LONGEST_GAP_S).
LONGEST_SLEEP = timedelta(seconds=30)
# A burst of rounds is noted once: a commit each would cost more than the rounds.
NOTED_EVERY_S = 5.0
_WAKE = "wake"
# Under this name, as no job's, it is said that not all of them could be asked together.
_LOOK = "look"


@dataclass(frozen=True, slots=True)
class Job:
    """A function that does what is due now; it may run at any time and as often as it likes."""

    name: str
    # Whether it has something to do now, which it has in few rounds: one statement asks for all.
    waits: Callable[[datetime], ColumnElement[bool]]
    run: Callable[[Deps, datetime], Awaitable[int]]
    # What follows a report of danger waits for nobody.
    while_held: bool = False


JOBS: Sequence[Job] = (
    Job("follow_alerts", alerts.anything_due, following.follow, while_held=True),
    # Whoever follows goes by the hours that it finds.
    Job("zone_data", zone_data.waits, zone_data.look),
    Job("join_without_zone", housekeeping.zone_waits, housekeeping.join_without_zone),
    Job("mark_missed", housekeeping.visit_waits, housekeeping.mark_missed),
    Job("dispatch_due", dispatch.waits, dispatch.dispatch_due),
    Job("look_for_answers", awaited.anything_due, unanswered.look),
    Job("follow_questions", asked.anything_due, questions.follow),
    Job("tell_limits", ending.anything_due, limit_ends.tell),
    Job("hand_over_unsent", lambda _now: not_sent.anything_unlisted(), unsent.hand_over),
    Job("send_digest", digest.waits, digest.send),
    Job("tell_outages", outages.waits, outages.tell),
    # Erased is erased, also of a database that an operator still looks at.
    Job("finish_erasing", erasing.waits, erasing.finish, while_held=True),
    Job("delete_photos", photo_keeping.waits, photo_keeping.delete_over),
)


class Alarm:
    """Runs every job when the bell rings, when something falls due, and at least twice a minute."""

    def __init__(self, deps: Deps, jobs: Sequence[Job] = JOBS) -> None:
        """Prepare to run ``jobs``."""
        self._deps = deps
        self._jobs = jobs
        self._stopping = False
        # Misfires are the scheduler's word for late; nothing here may be dropped for being late.
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True}
        )
        self.rounds = 0
        self.last_tick_s: float | None = None
        self.begun = 0
        self.ended = asyncio.Event()
        self._noted_s: float | None = None
        self._outages = Outages(log)

    async def run(self) -> None:
        """Run until :meth:`stop`; one failing job never stops the others."""
        self._scheduler.start()
        bell = self._deps.bells.plans
        while not self._stopping:
            self.begun += 1
            bell.clear()
            await self._arm(await self._tick())
            self.rounds += 1
            self.ended.set()
            await self._sleep(bell)
        self._scheduler.shutdown(wait=False)

    @property
    def idle(self) -> bool:
        """Whether no round is under way and none was asked for."""
        return self.begun == self.rounds and not self._deps.bells.plans.is_set()

    async def _sleep(self, bell: asyncio.Event) -> None:
        """Wait for the bell; a wall clock that was set back must not silence it for long."""
        with suppress(TimeoutError):
            await asyncio.wait_for(bell.wait(), LONGEST_SLEEP.total_seconds())

    async def _ring(self) -> None:
        # A coroutine: a plain function would run in a thread, and bells belong to the loop.
        self._deps.bells.plans.set()

    def stop(self) -> None:
        """End after the round under way."""
        self._stopping = True
        self._deps.bells.plans.set()

    async def _tick(self) -> datetime:
        """Run what has something to do now; return the time that every job of it went by."""
        now = self._deps.clock.now()
        left = list(self._jobs)
        # Asked anew after each that worked: it may have given the later ones something to do.
        while (job := await self._first_to_work(left, now)) is not None:
            del left[: left.index(job) + 1]
            try:
                await job.run(self._deps, now)
            except Exception as error:
                self._outages.failed("a job failed", error, "job_failed", job.name)
            else:
                self._outages.over("job_failed", job.name)
        self.last_tick_s = self._deps.clock.monotonic()
        if self._noted_s is not None and self.last_tick_s - self._noted_s < NOTED_EVERY_S:
            return now
        try:
            async with self._deps.database.write(Priority.PLAN) as session:
                await vitals.put_instant(session, vitals.LAST_TICK, now)
            self._noted_s = self.last_tick_s
            self._outages.over("tick_failed")
        except Exception as error:
            self._outages.failed("the tick could not be noted", error, "tick_failed")
        return now

    async def _first_to_work(self, jobs: Sequence[Job], now: datetime) -> Job | None:
        """Return the first job with something to do; few may while sending is held.

        Nothing may expire or be decided unseen then.
        """
        try:
            async with self._deps.database.read() as session:
                held = await holding.held(session)
                self._outages.over("job_failed")
                jobs = [job for job in jobs if job.while_held or not held]
                waits = await self._true(session, [job.waits(now) for job in jobs])
        except Exception as error:
            # What cannot be asked may be held.
            self._outages.failed("whether sending is held is unknown", error, "job_failed")
            return None
        for job, has_work in zip(jobs, waits, strict=True):
            if has_work:
                return job
            self._outages.over("job_failed", job.name)
        return None

    async def _true(
        self, session: AsyncSession, conditions: Sequence[ColumnElement[bool]]
    ) -> Sequence[bool]:
        """Return which of the conditions hold; all of them when they cannot be asked.

        Each job is run unasked then: what is broken for one must not stop the others.
        """
        try:
            found = await looks.true(session, conditions) if conditions else ()
        except Exception as error:
            self._outages.failed("what there is to do is unknown", error, "job_failed", _LOOK)
            return [True] * len(conditions)
        self._outages.over("job_failed", _LOOK)
        return found

    async def _arm(self, ticked_at: datetime) -> None:
        """Let the scheduler ring the bell at the next due time, or in half a minute.

        What fell due during the tick, after the moment that its jobs went by, is due at once.
        """
        due_at: datetime | None = None
        try:
            async with self._deps.database.read() as session:
                due_at = await looks.next_at(session, ticked_at)
            self._outages.over("arm_failed")
        except Exception as error:
            self._outages.failed("the next due time is unknown", error, "arm_failed")
        sleep = LONGEST_SLEEP
        if due_at is not None:
            sleep = max(timedelta(0), min(due_at - self._deps.clock.now(), LONGEST_SLEEP))
        # The trigger wants the machine's time; the bot's clock may be a pushed one.
        self._scheduler.add_job(
            self._ring,
            DateTrigger(datetime.now(UTC) + sleep),  # noqa: TID251 - see above
            id=_WAKE,
            replace_existing=True,
        )
