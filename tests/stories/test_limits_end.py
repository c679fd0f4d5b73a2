"""When a limit ends: who says so, once; and what stays on while the skin is not calm."""

from datetime import timedelta
from typing import Any

from sqlmodel import col, select

from bot.services.planning import replan
from bot.storage.queries import people
from bot.storage.tables import LimitEnd
from tests.cast import Actor, Clinic
from tests.stories.test_filler import FILLER, MESO, NONE, ONE, add_course, reassures_nobody

OVER = "limits that have ended"
AGAIN = "a question on your limits"
DAY_3 = "your day 3 limits"
GYM = "gym or hard exercise"
BATHS = "hot baths or hot showers"


def heard_of(person: Actor, words: str) -> list[str]:
    """Everything that the person heard with these words, oldest first."""
    return [said for said in person.heard if words in said]


async def patient_id(clinic: Clinic, person: Actor) -> int:
    async with clinic.rehearsal.app.deps.database.read() as session:
        found = await people.patient_by_account(session, person.person.id)
        assert found is not None
        return found.id or 0


async def limits_of(clinic: Clinic, patient: int) -> dict[str, LimitEnd]:
    async with clinic.rehearsal.app.deps.database.read() as session:
        found = await session.exec(
            select(LimitEnd).where(LimitEnd.patient_id == patient).order_by(col(LimitEnd.id))
        )
        return {row.name: row for row in found}


async def told(clinic: Clinic, template: str) -> list[dict[str, Any]]:
    return await clinic.rows(
        f"SELECT * FROM v_message WHERE template = 'patient/{template}' ORDER BY message_id"
    )


async def test_limits_that_no_step_lifts_are_told_in_one_notice_at_their_hour(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:00")
    assert f"over if the skin is calm:\n- {GYM}\n- {BATHS}\n" in ana.find(DAY_3).text
    await ana.taps("Yes, it is calm")
    # What was not kept on was told by the step itself.
    assert "over" not in ana.last_message
    await clinic.tick("2026-03-24 09:59")
    assert heard_of(ana, OVER) == []
    ana.news()
    await clinic.tick("2026-03-24 10:00")
    assert ana.news() == [
        "Lumen: limits that have ended.\nThese are over if the skin is calm:\n"
        "- peel, laser or other procedure there\n- strong direct sun\n"
        "If it is not calm, please keep them and tap Ask the clinic."
    ]
    assert ana.buttons == ["Something is wrong"]
    await clinic.tick("2026-04-20 12:00")
    # The steps told theirs, and the check of day 1 those of hours.
    assert len(heard_of(ana, OVER)) == 1
    rows = await limits_of(clinic, await patient_id(clinic, ana))
    assert len(rows) == 12
    assert all(row.told_at is not None and row.look_at is None for row in rows.values())
    reassures_nobody(ana)
    await clinic.check_ledger()


async def test_what_ends_at_night_is_one_notice_in_the_morning(clinic: Clinic) -> None:
    ana, telegram = clinic.ana, clinic.rehearsal.telegram
    await clinic.tick("2026-03-10 22:10")
    await clinic.enroll(ana)
    # The check that would say when the hours end does not arrive.
    await clinic.tick("2026-03-11 09:59")
    telegram.faults.drop("sendMessage", times=2, chat=ana.person.id)
    await clinic.tick("2026-03-11 10:10")
    assert await clinic.history("d1") == ["undelivered(unconfirmed)"]
    await clinic.tick("2026-03-12 08:29")
    assert heard_of(ana, OVER) == []
    await clinic.tick("2026-03-12 08:30")
    (notice,) = heard_of(ana, OVER)
    assert "- touching, rubbing or pressing\n- make-up\n- alcohol\nIf" in notice
    await clinic.tick("2026-03-13 17:00")
    assert len(heard_of(ana, OVER)) == 1


async def test_a_lift_that_does_not_go_leaves_its_limits_to_a_notice(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await nour.taps("Open the card")
    await nour.taps("Set the next visit")
    await nour.says("2026-03-19 14:30")
    ana.news()
    # A visit near day 7 takes its place.
    await clinic.tick("2026-03-17 10:00")
    assert await clinic.history("d7") == ["skipped(next_visit_near)"]
    (notice,) = heard_of(ana, OVER)
    assert "- sauna, steam room or hot tub\n- pool or sea\n- sunbed\n" in notice
    assert "laser" not in notice


async def test_not_yet_keeps_on_what_the_step_lifts_and_nothing_else(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet", ana.find(DAY_3))
    assert "Please keep the limits for now." in ana.last_message
    assert "I will ask you again on Sat 14 March, 18:00." in ana.last_message

    # Plan, limits and every question say so, with the end and the time left.
    await ana.presses("Limits still on")
    assert ana.last_message.startswith(
        "Limits still on\nUntil the skin is calm, at least until Sat 14 March, 18:00 "
        f"(24 hours left):\n- no {GYM}\n- no {BATHS}\nUntil Tue 17 March, 10:00 ("
    )
    assert ana.buttons == ["Yes, it is calm", "Something is wrong"]
    await ana.says("/plan")
    assert (
        f"Until the skin is calm, at least until Sat 14 March, 18:00:\n- no {GYM}\n- no {BATHS}\n"
        "Until Tue 17 March, 10:00:\n"
    ) in ana.last_message
    await ana.says("may I go to the gym?")
    assert ana.last_message == (
        f"No {GYM} until the skin is calm, at least until Sat 14 March, 18:00.\n"
        "That is 24 hours from now.\nNot sure? Tap Ask the clinic."
    )
    await ana.says("may I go to the sauna?")
    assert ana.last_message.startswith("No sauna, steam room or hot tub until Tue 17 March, 10:00.")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    assert (
        f"Kept on, as the skin was not calm, at least until Sat 14 March, 18:00:\n- no {GYM}"
    ) in nour.last_message

    # A day later she is asked once more; silence ends nothing.
    ana.news()
    await clinic.tick("2026-03-14 17:59")
    assert ana.news() == []
    await clinic.tick("2026-03-14 18:00")
    assert ana.news() == [
        "Lumen: a question on your limits.\nThese are still on until the skin is calm:\n"
        f"- {GYM}\n- {BATHS}\nIs the skin calm now?\nWorried? Call +49 30 5550 100."
    ]
    assert ana.buttons == ["Yes, it is calm", "Not yet", "Ask the clinic"]
    question = ana.person.last_message
    await ana.says("may I go to the gym?")
    assert "until the skin is calm, at least until Sun 15 March, 18:00." in ana.last_message
    await clinic.tick("2026-03-17 10:00")
    assert len(heard_of(ana, AGAIN)) == 1
    week = ana.find("your day 7 limits").text
    assert f"Until the skin is calm, still no:\n- {GYM}\n- {BATHS}\n" in week
    assert GYM not in week.split("Until the skin")[0]
    await clinic.tick("2026-03-24 12:00")
    assert heard_of(ana, OVER) == []
    await ana.presses("Limits still on")
    assert f"no {GYM}" in ana.last_message

    # Her own word ends them, however late, and that says so.
    await ana.taps("Yes, it is calm", question)
    assert ana.last_message.startswith(
        f"Thank you for telling us.\nThese limits are over:\n- {GYM}\n- {BATHS}\nIf it gets worse"
    )
    await ana.says("may I go to the gym?")
    assert ana.last_message.startswith("This limit ended on")
    await clinic.tick("2026-03-30 12:00")
    assert not any(GYM in said for said in heard_of(ana, OVER))
    reassures_nobody(ana)
    await clinic.check_ledger()


async def test_each_not_yet_is_one_more_day_and_one_more_question(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    await clinic.tick("2026-03-14 18:00")
    nour.news()
    await ana.taps("Not yet")
    assert "I will ask you again on Sun 15 March, 18:00." in ana.last_message
    await clinic.tick("2026-03-15 18:00")
    assert len(heard_of(ana, AGAIN)) == 2
    await ana.taps("Yes, it is calm")
    assert "These limits are over:" in ana.last_message
    await clinic.tick("2026-03-16 09:00")
    # The clinic heard of each.
    assert sum("the skin is not calm" in said for said in nour.news()) == 2
    # A button of the first message stays good: the skin can be worse again.
    await ana.taps("Not yet", ana.find(DAY_3))
    await ana.says("may I go to the gym?")
    assert "until the skin is calm, at least until Tue 17 March, 18:00." in ana.last_message
    # So does the one under every answer that says what is kept on.
    await ana.taps("Yes, it is calm")
    assert f"These limits are over:\n- {GYM}\n" in ana.last_message
    await ana.presses("Limits still on")
    assert GYM not in ana.last_message
    assert ana.buttons == ["Something is wrong"]


async def test_a_person_of_the_clinic_ends_what_is_kept_and_the_patient_hears_it_by_day(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-17 10:00")
    await ana.taps("Skin is not calm")
    await nour.taps("I am on it", nour.find("Please answer: Ana"))
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    # To close a report says nothing of the limits: who spoke to her may have asked her to wait.
    assert nour.last_message.startswith(
        "Ana: closed, spoke by phone.\nAna keeps these limits on, as the skin was not calm: sauna"
    )
    await clinic.tick("2026-03-17 22:00")
    ana.news()
    ((button,),) = [
        row
        for row in nour.person.last_message.inline_keyboard or []
        if row[0]["text"] == "End the kept limits"
    ]
    await nour.taps("End the kept limits")
    assert nour.last_message.startswith("Ana, active")
    assert "sauna" not in nour.last_message
    assert "End the kept limits" not in nour.buttons
    assert ana.news() == []
    await clinic.tick("2026-03-18 08:30")
    (notice,) = ana.news()
    assert notice.startswith("Lumen: limits that have ended.\nThese are over if the skin is calm:")
    assert "- sauna, steam room or hot tub\n" in notice
    await clinic.tick("2026-03-20 12:00")
    assert heard_of(ana, AGAIN) == []
    rows = await limits_of(clinic, await patient_id(clinic, ana))
    assert rows["sauna_steam"].ended_by is not None
    await nour.forges(str(button["callback_data"]))
    assert "out of date" in nour.last_message


async def ends_at_night(clinic: Clinic) -> None:
    """Ana keeps her day 7 limits on; at 22:00 Nour ends them, to be told in the morning."""
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-17 10:00")
    await ana.taps("Skin is not calm")
    await clinic.tick("2026-03-17 22:00")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("End the kept limits")
    ana.news()


async def test_nothing_is_said_to_be_over_while_danger_is_reported(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await ends_at_night(clinic)
    await clinic.tick("2026-03-17 23:30")
    await ana.reports("Pain, skin or weakness", "Strong or growing pain")
    await clinic.tick("2026-03-18 09:00")
    assert heard_of(ana, OVER) == []
    await nour.taps("I am on it", nour.find("URGENT: Ana"))
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    await clinic.forward(minutes=2)
    (notice,) = heard_of(ana, OVER)
    assert "- sauna, steam room or hot tub\n" in notice


async def test_nothing_is_said_to_be_over_to_who_is_not_calm_again_or_pauses(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    await ends_at_night(clinic)
    await clinic.tick("2026-03-17 23:00")
    await ana.taps("Skin is not calm", ana.find("your day 7 limits"))
    await clinic.tick("2026-03-18 12:00")
    assert heard_of(ana, OVER) == []
    assert [row["state"] for row in await told(clinic, "limits_over")] == ["dropped"]
    rows = await limits_of(clinic, await patient_id(clinic, ana))
    assert rows["sauna_steam"].told_at is None
    # The clinic ends them once more, and she pauses before she hears of it.
    await clinic.tick("2026-03-18 22:00")
    await clinic.nour.says("/patients")
    await clinic.nour.taps("Ana, active")
    await clinic.nour.taps("End the kept limits")
    await ana.says("/stop")
    await ana.taps("Pause for 7 days")
    for hours in (11, 24):
        clinic.rehearsal.clock.push(timedelta(hours=hours))
        await clinic.settle()
        assert heard_of(ana, OVER) == []


async def test_on_a_new_phone_the_patient_still_says_that_the_skin_is_calm(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    await clinic.tick("2026-03-14 18:00")
    assert len(heard_of(ana, AGAIN)) == 1
    await clinic.tick("2026-03-15 09:00")
    anew = clinic.someone("Ana", username="ana_anew")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Make a new link")
    await nour.taps("Make a new link")
    await clinic.join(anew)
    await anew.presses("Limits still on")
    await anew.taps("Yes, it is calm")
    assert f"These limits are over:\n- {GYM}\n" in anew.last_message
    await anew.presses("Limits still on")
    assert GYM not in anew.last_message
    # The old phone says nothing for her any more.
    await ana.taps("Not yet", ana.find(DAY_3))
    assert "out of date" in ana.last_message
    await clinic.check_ledger()


async def test_nothing_is_over_for_somebody_whose_skin_is_not_calm(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-24 09:00")
    await ana.taps("Skin is not calm", ana.find("your day 7 limits"))
    await clinic.tick("2026-03-24 12:00")
    # The limits of 14 days are over by the plan, and nobody says so.
    assert heard_of(ana, OVER) == []
    await ana.taps("Yes, it is calm", ana.find(DAY_3))
    assert heard_of(ana, OVER) == []
    await clinic.tick("2026-03-25 10:00")
    await ana.taps("Yes, it is calm", ana.find(AGAIN))
    await clinic.tick("2026-03-25 13:00")
    (notice,) = heard_of(ana, OVER)
    assert "- strong direct sun\n" in notice


async def test_a_sign_at_a_filler_s_check_keeps_its_limits_on(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana, treatment=FILLER)
    await clinic.tick("2026-03-17 10:00")
    await ana.taps(ONE, ana.find("day 7 check"))
    await ana.taps("Pain, skin or weakness")
    await ana.taps("Hot and spreading")
    await ana.says("may I go to the sauna?")
    assert "No sauna, steam room or hot tub until the skin is calm" in ana.last_message
    # While something urgent is open nobody asks her about a sauna.
    await clinic.tick("2026-03-19 10:00")
    assert heard_of(ana, AGAIN) == []
    await nour.taps("I am on it", nour.find("URGENT: Ana"))
    await nour.taps("Close: how did it end")
    await nour.taps("Seen in the clinic")
    await clinic.tick("2026-03-20 10:01")
    (question,) = heard_of(ana, AGAIN)
    assert "- sauna, steam room or hot tub\n- sunbed\n- strong cold\n- sleeping face" in question
    await ana.taps("Yes, it is calm")
    assert "These limits are over:\n- sauna, steam room or hot tub\n" in ana.last_message


async def test_two_treatments_hold_a_limit_as_long_as_the_longer_and_tell_it_once(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    await clinic.enroll(ana, treatment=MESO)
    await clinic.tick("2026-03-12 09:00")
    await add_course(clinic, MESO)
    await clinic.tick("2026-03-24 12:00")
    # The first treatment's fourteen days are over; the second holds them for two days more.
    assert heard_of(ana, OVER) == []
    await ana.presses("Limits still on")
    assert "Until Thu 26 March, 10:00 (46 hours left):" in ana.last_message
    await clinic.tick("2026-03-26 10:00")
    assert len(heard_of(ana, OVER)) == 1
    await clinic.tick("2026-04-02 12:00")
    assert len(heard_of(ana, OVER)) == 1
    await clinic.check_ledger()


async def test_a_filler_beside_it_tells_its_day_14_itself(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await nour.says(f"/enroll Ana {MESO}")
    await add_course(clinic, FILLER)
    await clinic.join(ana)
    for day in ("2026-03-13 18:00", "2026-03-17 10:00"):
        await clinic.tick(day)
        await ana.taps("Yes, it is calm" if "calm now" in ana.last_message else NONE)
    await clinic.tick("2026-03-24 10:59")
    (notice,) = heard_of(ana, OVER)
    assert "- strong direct sun\nIf" in notice
    assert "laser" not in notice
    await clinic.tick("2026-03-25 12:00")
    assert "- peel, laser or other procedure there" in ana.find("day 14 review").text
    assert len(heard_of(ana, OVER)) == 1


async def test_a_new_session_begins_its_limits_anew(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    await clinic.tick("2026-03-14 14:00")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Session done")
    await ana.says("may I go to the gym?")
    assert ana.last_message.startswith(f"No {GYM} until Tue 17 March, 18:00.")
    # Taken back, the first holds again, and with it what she said.
    await nour.taps("Undo", nour.find("is saved"))
    await ana.says("may I go to the gym?")
    assert "until the skin is calm, at least until Sat 14 March, 18:00." in ana.last_message
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Session done")
    await clinic.tick("2026-03-17 18:00")
    assert heard_of(ana, AGAIN) == []
    assert f"over if the skin is calm:\n- {GYM}" in ana.find(DAY_3).text


async def test_who_stops_or_pauses_is_told_nothing(clinic: Clinic) -> None:
    ana, ben = clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await clinic.tick("2026-03-20 12:00")
    await ana.says("/stop")
    await ana.taps("Stop")
    await ben.says("/stop")
    await ben.taps("Pause for 7 days")
    await clinic.tick("2026-03-24 11:00")
    await ana.says("/start")
    await ana.taps("Yes, turn them on")
    await clinic.tick("2026-03-30 12:00")
    assert heard_of(ana, OVER) == heard_of(ben, OVER) == []


async def test_nothing_is_told_twice_after_a_kill_or_a_replan(both: Clinic) -> None:
    clinic, ana = both, both.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    # Nobody runs while the questions and ends fall due; then everything is looked at at once.
    clinic.rehearsal.clock.push_to(clinic.now + timedelta(days=1, hours=1))
    await clinic.settle()
    assert len(heard_of(ana, AGAIN)) == 1
    await ana.taps("Yes, it is calm")
    clinic.rehearsal.clock.push_to(clinic.now + timedelta(days=9, hours=20))
    await clinic.settle()
    (notice,) = heard_of(ana, OVER)
    # What its step could not say in time, days ago, is not said any more.
    assert "sauna" not in notice
    patient = await patient_id(clinic, ana)
    for _ in range(3):
        async with clinic.rehearsal.app.deps.database.write() as session:
            await replan(session, patient, clinic.now)
        await clinic.settle()
    await clinic.forward(days=2)
    assert (len(heard_of(ana, AGAIN)), len(heard_of(ana, OVER))) == (1, 1)
    assert [row["state"] for row in await told(clinic, "limits_over")] == ["sent"]


async def test_an_erased_patient_has_no_limits_on_record(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    patient = await patient_id(clinic, ana)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    assert (await limits_of(clinic, patient))["gym"].kept_at is not None
    await ana.says("/erase")
    await ana.taps("Erase my data")
    await ana.taps("Erase for ever")
    assert await limits_of(clinic, patient) == {}
