"""Life with a restored database: what it does not know any more is on the phones all the same."""

from sqlalchemy import text

from bot.services import holding
from bot.services.holding import Why
from tests.cast import Clinic


async def test_a_sign_of_danger_under_a_lost_message_reaches_the_team(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    check = next(each for each in ana.person.received if "Yes, I have one" in each.labels)
    async with clinic.rehearsal.app.deps.database.write() as session:
        # The backup was made before the check was sent.
        await session.exec(text("UPDATE reminder SET message_id = NULL"))  # type: ignore[call-overload] # plain SQL
        await session.exec(text("DELETE FROM message WHERE template LIKE '%d1%'"))  # type: ignore[call-overload] # plain SQL
        await holding.hold(session, Why.RESTORED, clinic.now)
    nour.news()
    await ana.taps("Yes, I have one", check)
    assert "112" in ana.last_message
    # The list comes again, and one report was opened: it was one finger.
    await ana.taps("Yes, I have one", check)
    assert "112" in ana.last_message
    # Whoever says no more is asked for all the same, while sending is held.
    await clinic.forward(minutes=3, seconds=1)
    (alert,) = nour.news()
    assert alert.startswith("URGENT: Ana")
    assert "Reported: a warning sign, not said which" in alert
    # Any other button of a message that is not known is out of date, as ever.
    await ana.taps("None of these", check)
    assert "out of date" in ana.last_message


async def test_updates_of_a_restored_database_wait_and_new_ones_do_not(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    running = clinic.rehearsal.app
    async with running.deps.database.write() as session:
        await holding.hold(session, Why.RESTORED, clinic.now)
        await session.exec(  # type: ignore[call-overload] # plain SQL
            text(
                "UPDATE inbox SET state = 'received' WHERE update_id ="
                " (SELECT max(update_id) FROM inbox WHERE state = 'handled')"
            )
        )
        await holding.set_updates_aside(session)
    nour.news()
    await ana.person.presses("Something is wrong")
    await ana.person.hears("112")
    (waiting,) = await clinic.rows("SELECT count(*) AS n FROM v_update WHERE state = 'received'")
    assert waiting["n"] == 1
    async with running.deps.database.write() as session:
        await holding.end(session)
    await clinic.settle()
    (waiting,) = await clinic.rows("SELECT count(*) AS n FROM v_update WHERE state = 'received'")
    assert waiting["n"] == 0


async def test_today_says_that_reminders_are_held(clinic: Clinic) -> None:
    nour, database = clinic.nour, clinic.rehearsal.app.deps.database
    async with database.write() as session:
        await holding.hold(session, Why.RESTORED, clinic.now)
    await nour.presses("Today")
    assert "Reminders are held\nNot one has gone out since Tue 10 March, 14:" in nour.news()[-1]
    async with database.write() as session:
        await holding.end(session)
    await nour.presses("Today")
    assert "held" not in nour.news()[-1]
