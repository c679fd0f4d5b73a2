"""Reminders leave at their time: armed to the moment, and nothing is lost by waking late."""

import asyncio
import logging
import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy import ColumnElement, column, true

from bot.jobs import Alarm, Job
from bot.services.deps import Deps
from bot.storage.queries import people
from tests.cast import Clinic
from tests.faults.world import Post, bring_on

# A loaded machine wakes late; the sweep that would hide a dead alarm comes once a minute.
SOON_S = 2.0


def instant(written: str) -> datetime:
    """A time as the views write it."""
    return datetime.fromisoformat(written)


async def due_of(clinic: Clinic, step: str) -> datetime:
    return instant((await clinic.reminders())[step]["due_at"])


async def bring_on_soon(clinic: Clinic, step: str, seconds: float) -> datetime:
    """Somebody moves Ana's step: it is due in a moment, and the bell rings as after any commit."""
    deps = clinic.rehearsal.app.deps
    due_at = clinic.now + timedelta(seconds=seconds)
    async with deps.database.write() as session:
        ana = await people.patient_by_account(session, clinic.ana.person.id)
        assert ana is not None
        row = await bring_on(session, ana, step, clinic.now)
        row.due_at = due_at
        session.add(row)
    deps.bells.ring()
    return due_at


async def test_a_due_reminder_leaves_at_its_time_without_a_sweep(clinic: Clinic) -> None:
    ana, app = clinic.ana, clinic.rehearsal.app
    await clinic.enroll(ana)
    due_at = await due_of(clinic, "d1")
    clinic.rehearsal.clock.push_to(due_at - timedelta(seconds=1.5))
    await clinic.settle()
    if clinic.now < due_at:
        assert "day 1 check" not in ana.last_message
    rounds = app.alarm.rounds
    await ana.person.hears("day 1 check")
    (call,) = [
        call
        for call in clinic.rehearsal.telegram.calls_of("sendMessage", ana.person)
        if "day 1 check" in str(call.params["text"])
    ]
    assert 0 <= (call.at - due_at).total_seconds() < SOON_S
    # Woken for this, not because it never slept.
    assert app.alarm.rounds - rounds <= 3

    # An earlier one than what the alarm is set to: it is set anew.
    due_at = await bring_on_soon(clinic, "d3", 0.4)
    message = await ana.person.hears("your day 3 limits")
    assert 0 <= (message.date - due_at).total_seconds() < SOON_S

    # The loop is busy with something else at the very moment.
    due_at = await bring_on_soon(clinic, "d28", 0.3)
    while clinic.now < due_at:
        time.sleep(0.04)  # noqa: ASYNC251 - this is what a blocked loop is
    message = await ana.person.hears("4-week check")
    assert 0 <= (message.date - due_at).total_seconds() < SOON_S


async def test_waking_ten_days_late_loses_nothing_and_says_nothing_stale(clinic: Clinic) -> None:
    ana, ben = clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    planned = len(await clinic.rows("SELECT * FROM v_reminder"))
    # A machine that slept: one jump over many due times, and one wake.
    clinic.rehearsal.clock.push(timedelta(days=9, hours=22))
    await clinic.settle()
    for someone in (ana, ben):
        heard = " ".join(someone.heard)
        assert "day 7 limits" in heard
        assert "day 1 check" not in heard
        assert "day 3 limits" not in heard
    rows = await clinic.rows("SELECT * FROM v_reminder")
    assert len(rows) == planned
    ended = {row["step"]: (row["state"], row["reason"]) for row in rows}
    assert ended["d1"] == ("expired", "too_late")
    assert ended["d3"] == ("expired", "too_late")
    assert ended["d7"] == ("sent", None)
    assert ended["d28"] == ("planned", None)
    await clinic.check_ledger()


async def rounds_of(alarm: Alarm, number: int) -> None:
    """So many rounds end, long before the sweep would begin one."""
    running = asyncio.create_task(alarm.run())  # noqa: TID251 - awaited below
    try:
        async with asyncio.timeout(20):
            while alarm.rounds < number:
                alarm.ended.clear()
                await alarm.ended.wait()
    finally:
        alarm.stop()
        await running


async def test_what_falls_due_during_a_round_is_not_slept_over(sending: Post) -> None:
    _, patient = await sending.patient("Ana")
    done: list[int] = []

    async def slow(deps: Deps, now: datetime) -> int:
        """A busy round: the step falls due while it lasts."""
        if not done:
            async with deps.database.write() as session:
                row = await bring_on(session, patient, "d1", now)
                row.due_at = now + timedelta(seconds=3)
                session.add(row)
            sending.clock.passes(5)
        done.append(1)
        return 1

    await rounds_of(Alarm(sending.deps, [Job("slow", lambda _: true(), slow)]), 2)
    assert len(done) == 2


async def test_jobs_that_cannot_be_asked_together_run_and_the_log_says_so(
    sending: Post, failures: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    ran: list[str] = []
    broken = [True]

    def asked(_now: datetime) -> ColumnElement[bool]:
        return column("no_such_column") == 1 if broken else true()

    def job(name: str) -> Job:
        async def run(_deps: Deps, _now: datetime) -> int:
            ran.append(name)
            return 1

        return Job(name, asked, run)

    alarm = Alarm(sending.deps, [job("first"), job("second")])

    def said() -> list[tuple[str, bool]]:
        return [
            (str(each.__dict__.get("job")), each.exc_info is not None)
            for each in caplog.records
            if each.levelno == logging.ERROR
        ]

    await alarm._tick()
    assert ran == ["first", "second"]
    assert said() == [("look", True), ("look", False)]
    caplog.clear()
    broken.clear()
    await alarm._tick()
    assert ran == ["first", "second"] * 2
    assert said() == []
    # It worked meanwhile, so this is new trouble.
    broken.append(True)
    await alarm._tick()
    assert said() == [("look", True), ("look", False)]
    failures.clear()
