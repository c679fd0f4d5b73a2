"""Plans that change while something is on its way, and rows that cannot be read."""

from datetime import timedelta

from sqlalchemy import text

from bot.services.planning import replan
from bot.storage.queries import people
from tests.cast import Clinic


async def broken(clinic: Clinic, table: str, where: str) -> None:
    """Spoil a sealed column, as a bad disk would."""
    async with clinic.rehearsal.app.deps.database.write() as session:
        connection = await session.connection()
        await connection.execute(
            text(f"UPDATE {table} SET sealed = :spoiled WHERE {where}"), {"spoiled": bytes(20)}
        )


async def test_a_step_that_may_have_arrived_keeps_its_buttons_when_the_plan_changes(
    clinic: Clinic,
) -> None:
    await clinic.enroll(clinic.ana)
    telegram = clinic.rehearsal.telegram
    telegram.faults.drop("sendMessage", delivered=True, chat=clinic.ana.person.id)
    await clinic.tick("2026-03-11 10:00")
    first = clinic.ana.find("day 1 check")
    async with clinic.rehearsal.app.deps.database.write() as session:
        patient = await people.patient_by_account(session, clinic.ana.person.id)
        assert patient is not None
        await replan(session, patient.id or 0, clinic.now)
    await clinic.ana.taps("Yes, I have one", first)
    assert "out of date" not in clinic.ana.last_message
    await clinic.ana.taps("Pain, skin or weakness")
    await clinic.ana.taps("Hot and spreading")
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 1
    await clinic.forward(minutes=10)
    assert sum("day 1 check" in heard for heard in clinic.ana.heard) == 1


async def test_the_warning_card_follows_a_card_that_was_in_the_air(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.forward(days=20)
    await clinic.nour.says("Patients")
    await clinic.nour.taps("Ana, active")
    known = sum("when to get help" in heard for heard in clinic.ana.heard)
    telegram = clinic.rehearsal.telegram
    telegram.faults.slow("sendMessage", 0.4, chat=clinic.ana.person.id)
    await clinic.nour.person.taps("Session done")
    await clinic.nour.person.hears("is saved")
    await clinic.nour.taps("In 4 weeks")
    assert sum("when to get help" in heard for heard in clinic.ana.heard) == known + 1


async def test_after_an_outage_the_caps_hold(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.nour.says("Patients")
    await clinic.nour.taps("Ana, active")
    await clinic.tick("2026-03-12 12:00")
    await clinic.nour.taps("Session done")
    await clinic.nour.taps("In 2 weeks")
    await clinic.tick("2026-03-16 09:00")
    known = len(clinic.ana.heard)
    # The machine sleeps for days: the clock is elsewhere when it wakes.
    clinic.rehearsal.clock.push(timedelta(days=6, hours=3))
    await clinic.settle()
    unasked = clinic.ana.heard[known:]
    assert 1 <= len(unasked) <= 2, unasked
    assert sum("book your next visit" in heard for heard in unasked) <= 1


async def test_a_safety_check_that_came_too_late_is_on_the_list_of_today(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    clinic.rehearsal.clock.push(timedelta(days=3))
    await clinic.settle()
    assert (await clinic.reminders())["d1"]["state"] == "expired"
    await clinic.nour.says("Today")
    assert "A safety check did not reach them, please phone\nAna" in clinic.nour.last_message


async def test_a_visit_that_nobody_recorded_no_longer_counts_as_booked(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.nour.says("Patients")
    await clinic.nour.taps("Ana, active")
    await clinic.nour.taps("Set the next visit")
    await clinic.nour.says("20.03.2026 15:00")
    await clinic.tick("2026-03-21 14:59")
    assert "Nobody recorded" not in clinic.nour.last_message
    await clinic.tick("2026-03-21 15:05")
    assert "Nobody recorded the visit of Ana on Fri 20 March, 15:00" in clinic.nour.last_message
    await clinic.ana.says("My visits")
    assert "missed" in clinic.ana.last_message


async def test_the_next_message_is_not_jumped_over_when_it_is_about_a_visit(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.nour.says("Patients")
    await clinic.nour.taps("Ana, active")
    await clinic.nour.taps("Set the next visit")
    await clinic.nour.says("20.03.2026 15:00")
    await clinic.tick("2026-03-20 16:00")
    assert await clinic.rehearsal.next_message() == "Sat 21 March, 15:00"
    assert "Nobody recorded the visit of Ana" in clinic.nour.last_message


async def test_a_visit_moved_within_its_day_repeats_nothing(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.nour.says("Patients")
    await clinic.nour.taps("Ana, active")
    await clinic.nour.taps("Set the next visit")
    await clinic.nour.says("20.03.2026 18:30")
    await clinic.tick("2026-03-18 18:05")
    assert sum("Has anything changed" in heard for heard in clinic.ana.heard) == 1
    await clinic.nour.says("Patients")
    await clinic.nour.taps("Ana, active")
    await clinic.nour.taps("Move the visit")
    await clinic.nour.says("20.03.2026 17:30")
    await clinic.forward(hours=2)
    assert sum("Has anything changed" in heard for heard in clinic.ana.heard) == 1
    assert "17:30" in clinic.ana.last_message


async def test_a_patient_who_cannot_be_read_stops_nobody_else(
    clinic: Clinic, failures: list[str]
) -> None:
    await clinic.enroll(clinic.ana)
    await clinic.enroll(clinic.ben, "Ben")
    await broken(clinic, "patient", f"telegram_id = {clinic.ana.person.id}")
    await clinic.tick("2026-03-11 10:00")
    assert "day 1 check" in clinic.ben.last_message
    await clinic.ben.says("/plan")
    assert "Fri 13 March" in clinic.ben.last_message
    assert failures
    failures.clear()


async def test_the_link_is_forgotten_once_it_was_delivered(clinic: Clinic) -> None:
    await clinic.nour.says("/enroll Ana mesotherapy-face")
    async with clinic.rehearsal.app.deps.database.read() as session:
        connection = await session.connection()
        found = await connection.execute(
            text("SELECT sealed FROM message WHERE template = 'practitioner/new_qr'")
        )
        assert found.scalar_one() is None
