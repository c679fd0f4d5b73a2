"""The morning's digest: at half past eight, what waits for whom, once, and only if any does."""

import asyncio
from datetime import datetime, timedelta

from bot.services import digest, holding
from bot.services.holding import Why
from bot.storage.queries import digests as digests_of_the_day
from tests.cast import BERLIN, Actor, Clinic
from tests.stories.test_visits import book
from tests.stories.test_watched import colleague

NONE = "None of these"


def digests(*news: str) -> list[str]:
    return [words for words in news if words.startswith("Good morning.")]


async def answers(patient: Actor) -> None:
    await patient.taps(NONE)
    await patient.taps("Better")


async def test_it_says_at_half_past_eight_what_waits(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    cleo = clinic.someone("Cleo")
    await clinic.digests(wanted=True)
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await clinic.enroll(cleo, "Cleo")
    await book(clinic, "Ben", "13.03. 15:00")
    await book(clinic, "Cleo", "11.03. 9:00")
    nour.news()
    await clinic.tick("2026-03-11 08:29")
    assert digests(*nour.news()) == []
    await clinic.tick("2026-03-11 08:30")
    assert nour.news() == ["Good morning. Today, Wed 11 March:\nVisits: 1\nTo book: 1"]
    assert nour.buttons == ["Open today"]
    await nour.taps("Open today")
    assert nour.last_message.startswith("Today, Wed 11 March\n\nVisits\n- 09:00 Cleo, booked\n")

    # Ana says nothing, Ben has a change before his visit, Cleo has a rash.
    await clinic.tick("2026-03-11 10:00")
    await answers(ben)
    await cleo.reports("Something milder", "Rash or hives", "Done")
    await clinic.tick("2026-03-11 18:00")
    await ben.taps("Something changed")
    await nour.taps("I am on it", nour.find("Reported: a rash or hives"))
    await clinic.tick("2026-03-12 08:30")
    (told,) = digests(*nour.news())
    # Who took a report has not closed it: it stands in every digest until then.
    assert told == (
        "Good morning. Today, Thu 12 March:\nWaiting for your reply: 1\n"
        "No answer to a safety check: 1\nChanges before a visit: 1\nTo book: 2"
    )
    await nour.taps("I phoned", nour.find("has not answered a safety check"))
    await nour.taps("Close: how did it end", nour.find("You are on it."))
    await nour.taps("Spoke by phone")
    await clinic.tick("2026-03-12 23:00")
    assert digests(*nour.news()) == []
    await clinic.check_ledger()


async def test_with_nothing_in_it_none_comes_on_that_morning(clinic: Clinic) -> None:
    nour = clinic.nour
    await clinic.digests(wanted=True)
    nour.news()
    await clinic.tick("2026-03-11 08:30")
    assert nour.news() == []
    # What comes up after it is under Today, and in the next one.
    await clinic.enroll(clinic.ana)
    await clinic.tick("2026-03-11 11:00")
    assert digests(*nour.heard) == []
    await clinic.tick("2026-03-12 08:30")
    assert digests(*nour.heard) == ["Good morning. Today, Thu 12 March:\nTo book: 1"]


async def test_each_reads_of_their_own_patients_and_a_lead_of_all(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.digests(wanted=True)
    mara = await colleague(clinic, "Mara")
    await clinic.enroll(ana)
    await mara.says("/enroll Ben mesotherapy-face")
    await ben.opens(mara.link)
    await ben.taps("Yes, that is me")
    await ben.taps("I am 18+ and I agree")
    await ben.taps("Yes")
    await mara.taps("Yes, confirm")
    await clinic.tick("2026-03-11 08:30")
    assert digests(*nour.news()) == ["Good morning. Today, Wed 11 March:\nTo book: 2"]
    assert digests(*mara.news()) == ["Good morning. Today, Wed 11 March:\nTo book: 1"]
    # Whom Telegram does not reach is not written to; the lead reads of all anyway.
    await mara.does(mara.person.blocks)
    await clinic.tick("2026-03-12 08:30")
    assert digests(*mara.news()) == []
    assert len(digests(*nour.news())) == 1


async def while_held(clinic: Clinic, local: str) -> None:
    """The clock goes on while sending is held: two whole rounds of the jobs, and nothing leaves."""
    database, alarm = clinic.rehearsal.app.deps.database, clinic.rehearsal.app.alarm
    async with database.write() as session:
        await holding.hold(session, Why.RESTORED, clinic.now)
    clinic.rehearsal.clock.push_to(datetime.fromisoformat(local).replace(tzinfo=BERLIN))
    wanted = alarm.begun + 2
    while alarm.rounds < wanted:
        clinic.rehearsal.app.deps.bells.plans.set()
        await asyncio.sleep(0.01)
    async with database.write() as session:
        await holding.end(session)


async def test_it_never_comes_twice_a_day_and_waits_while_sending_is_held(clinic: Clinic) -> None:
    nour, deps = clinic.nour, clinic.rehearsal.app.deps
    await clinic.digests(wanted=True)
    await clinic.enroll(clinic.ana)
    await while_held(clinic, "2026-03-11 09:00")
    assert digests(*nour.heard) == []
    await clinic.tick("2026-03-11 09:05")
    assert len(digests(*nour.heard)) == 1
    # The day stands in the commit that queued it: another process, or a clock set back, knows.
    for moment in (clinic.now, clinic.now - timedelta(minutes=30), clinic.now - timedelta(days=1)):
        assert await digest.send(deps, moment) == 0
    await clinic.settle()
    assert len(digests(*nour.heard)) == 1
    # After a morning that was held to its end there is none.
    await while_held(clinic, "2026-03-12 12:00")
    await clinic.tick("2026-03-12 18:00")
    assert len(digests(*nour.heard)) == 1


async def test_what_is_killed_before_its_commit_comes_after_the_start(both: Clinic) -> None:
    deps = both.rehearsal.app.deps
    await both.enroll(both.ana)
    await both.tick("2026-03-11 09:00")
    await both.digests(wanted=True)
    async with deps.database.write() as session:
        # As the job does it, up to the moment of the kill.
        assert await digests_of_the_day.begin(session, 1, both.now.date())
        await session.rollback()
    await both.tick("2026-03-11 09:05")
    assert len(digests(*both.nour.heard)) == 1
