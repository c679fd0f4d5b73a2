"""What follows an alert outlives kills and a locked database: never lost, never doubled."""

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import select

from bot.storage.tables import Alert
from tests.cast import Clinic
from tests.faults.process import Story, fill, running_story
from tests.faults.test_safety_text import locked, until

AGAIN = "URGENT, nobody has taken it: Patient"
LIVES_S = (1.2, 2.0)
# Once opened, and one more for each push; however often the bot is killed.
ROUNDS = "SELECT rounds FROM alert"
# Whoever has not surely got an earlier push gets no second one behind it.
PUSHES = "SELECT count(*) FROM message WHERE template = 'alerts/again' AND practitioner_id = {}"


async def time_goes_by(story: Story, delta: timedelta) -> None:
    """The alert was opened so much earlier: nobody wants to wait for it here."""
    async with story.deps.database.write() as session:
        for alert in (await session.exec(select(Alert))).all():
            alert.opened_at -= delta
            if alert.counts_from is not None:
                alert.counts_from -= delta
            if alert.due_at is not None:
                alert.due_at -= delta
            session.add(alert)


def pushed_so_often(story: Story, pushes: int) -> bool:
    return story.ask(ROUNDS) == [(1 + pushes,)]


async def test_the_timers_of_an_alert_outlive_every_kill(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with running_story(tmp_path, chosen_database_url) as story:
        await fill(story, 2)
        ana, doctor = story.patients[1], story.practitioners[1]
        await story.starts()
        await ana.says("/wrong")
        await ana.taps("Pain, skin or weakness", await ana.hears("Tap the closest one", within=30))
        await ana.taps("Hot and spreading", await ana.hears("Which one?", within=30))
        await doctor.hears("URGENT: Patient", within=30)
        await story.dies()
        (told,) = story.ask(
            "SELECT practitioner_id FROM message WHERE template = 'alerts/report' LIMIT 1"
        )
        for minutes, pushes in ((5, 1), (5, 2), (5, 3)):
            await time_goes_by(story, timedelta(minutes=minutes))
            # Killed while it is being loaded, around the push, and after it.
            for seconds in LIVES_S:
                await story.starts()
                await asyncio.sleep(seconds)
                await story.dies()
                story.a_minute_goes_by()
            await story.starts()
            await until(partial(pushed_so_often, story, pushes))
            await until(lambda: story.unfinished() == 0)
            await story.dies()
            story.a_minute_goes_by()
        ((pushed,),) = story.ask(PUSHES.format(told[0]))
        assert 1 <= pushed <= 3
        assert await ana.hears("please do not wait for us")
        seek = story.ask("SELECT count(*) FROM message WHERE template = 'patient/seek_care'")
        # One came with the filling of the clinic, one after fifteen minutes.
        assert seek == [(2,)]

        # Taken, killed, and two hours on: nothing more is pushed.
        await story.starts()
        await doctor.taps("I am on it", await doctor.hears(AGAIN, within=30))
        await ana.hears("has seen your report", within=30)
        await story.dies()
        await time_goes_by(story, timedelta(hours=2))
        await story.starts()
        await ana.says("/plan")
        await ana.hears("Messages to come", within=30)
        assert story.ask(ROUNDS) == [(4,)]
        assert story.ask(PUSHES.format(told[0])) == [(pushed,)]
        assert story.ask("SELECT state FROM v_alert") == [("acknowledged",)]
    failures.clear()


async def test_a_locked_database_puts_a_push_off_and_loses_none(
    clinic: Clinic, failures: list[str]
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.reports_danger()
    for person in (nour, ana):
        person.news()
    with locked(clinic.rehearsal.app.deps.database):
        # Five, ten and fifteen minutes pass while nothing can be written.
        clinic.rehearsal.clock.push(timedelta(minutes=16))
        clinic.rehearsal.app.deps.bells.ring()
        await until(lambda: any(line.startswith("job_failed") for line in failures))
        assert nour.news() == []
    await clinic.settle()
    # Of what was missed the practitioner gets the last push only; the patient all that is hers.
    (push,) = nour.news()
    assert push.startswith("URGENT, nobody has taken it: Ana\nIt has waited 16 minutes.")
    assert any("please do not wait for us" in said for said in ana.news())
    rows = await clinic.rows("SELECT rounds FROM v_alert")
    assert rows == [{"rounds": 2}]
    failures.clear()


@pytest.mark.sqlite
async def test_a_full_night_without_anybody_ends_with_a_mark(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.reports_danger()
    nour.news()
    await clinic.forward(hours=3)
    pushes = [said for said in nour.news() if "nobody has taken it" in said]
    # After 5, 10 and 15 minutes, then every quarter of an hour for two hours.
    assert len(pushes) == 3 + 8
    await clinic.forward(hours=12)
    assert not any("nobody has taken it" in said for said in nour.news())
    # It stays open: somebody may still take it.
    assert await clinic.rows("SELECT state FROM v_alert") == [{"state": "open"}]
    await nour.presses("Today")
    assert "- URGENT: Ana, Tue 10 March, 14:30, nobody took it" in nour.last_message
