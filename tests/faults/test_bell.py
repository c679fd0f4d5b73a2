"""Reminders leave at their time: armed to the moment, and nothing is lost by waking late."""

import time
from datetime import datetime, timedelta

from bot.storage.queries import people
from tests.cast import Clinic
from tests.faults.world import bring_on

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
