"""STOP ends the reminders, never the help; coming back is asked, and nothing is replayed."""

from tests.cast import Clinic
from tests.stories.test_visits import card_of

ASKED = "Do you want to stop the reminders?"


async def test_stop_words_ask_once_and_anything_more_is_heard_too(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    nour.news()
    for words in ("/stop", "STOP!", "Please: no more messages.", "Cancel"):
        await ana.says(words)
        assert ana.last_message.startswith(ASKED), words
    assert ana.buttons == ["Stop", "Pause for 7 days", "Keep them"]
    assert nour.news() == []
    # In doubt both happen: the question is asked, and a person reads it.
    await ana.says("stop it hurts")
    passed, asked = ana.heard[-2:]
    assert "so I passed your message to Lumen Clinic" in passed
    assert asked.startswith(ASKED)
    assert "stop it hurts" in nour.news()[-1]
    # These are no STOP at all.
    for words in ("cancel my visit", "I had to stop at the chemist on the way"):
        await ana.says(words)
        assert "so I passed your message to Lumen Clinic" in ana.last_message, words
        assert words in nour.news()[-1]
    await ana.says("bleeding won\u2019t stop")
    assert any(said.startswith("Call 112 now if:") for said in ana.heard[-3:])
    assert nour.news()[0].startswith("URGENT: Ana")
    await ana.taps("Keep them")
    assert "Your reminders go on." in ana.last_message
    assert "Your next message comes on Wed 11 March." in ana.last_message


async def test_after_stop_nothing_more_comes_but_help_does(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    await ana.taps("None of these")
    await ana.taps("Better")
    await ana.says("stop")
    await ana.taps("Stop")
    assert "I have stopped your reminders." in ana.last_message
    assert "Send /start to turn them on again." in ana.last_message
    assert "Please phone Ana. The session was less than 2 days ago." in nour.last_message
    # It ends the reminders; what she agreed to be kept and read is not taken back by it.
    assert await clinic.rows("SELECT withdrawn_at FROM v_consent") == [{"withdrawn_at": None}]
    # The second tap says the same and tells the clinic nothing new; old buttons know it too.
    nour.news()
    await ana.taps("Stop")
    assert "I have stopped your reminders." in ana.last_message
    await ana.taps("Keep them")
    assert "Your reminders stay off." in ana.last_message
    assert nour.news() == []
    ana.news()
    await clinic.tick("2026-03-17 12:00")
    assert ana.news() == []
    states = {
        row["step"]: (row["state"], row["reason"]) for row in (await clinic.reminders()).values()
    }
    assert states["d1"] == ("sent", None)
    assert states["d3"] == states["d7"] == states["d28"] == ("cancelled", "stopped")

    # What holds is still shown, and every way to a person is open.
    await ana.says("/plan")
    assert "Your reminders are stopped." in ana.last_message
    assert "Until Tue 24 March, 10:00:\n- no peel" in ana.last_message
    assert "Messages to come" not in ana.last_message
    await ana.reports_danger()
    assert "Call Lumen Clinic now on +49 30 5550 100." in ana.heard[-3]
    assert nour.news()[-1].startswith("URGENT: Ana")
    await nour.taps("I am on it")
    await ana.says("my skin is dry")
    assert "The phone is +49 30 5550 100." in ana.last_message
    assert "my skin is dry" in nour.news()[-1]
    await nour.taps("Answered by phone")

    # Coming back is asked; what was missed is not sent again.
    await ana.says("/start")
    assert ana.last_message == "Your reminders are stopped. Do you want them again?"
    await ana.taps("No, keep them off")
    assert "Your reminders stay off." in ana.last_message
    await ana.taps("Yes, turn them on")
    assert "I will not send the ones you missed." in ana.last_message
    # Nothing routine is promised while her report is open.
    assert "Your next message" not in ana.last_message
    assert "Ana has turned the reminders on again." in nour.last_message
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    ana.news()
    await clinic.tick("2026-04-07 10:59")
    # What ended meanwhile is told, as it ended after she came back.
    (notice,) = ana.news()
    assert notice.startswith("Lumen: limits that have ended.")
    await clinic.tick("2026-04-07 11:00")
    assert "4-week check" in ana.last_message


async def test_who_stops_before_joining_can_come_back(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.says("Stop")
    await ana.taps("Stop")
    assert "I have stopped your reminders." in ana.last_message
    await ana.says("/plan")
    assert "No message is planned for you now." in ana.last_message
    nour.news()
    await clinic.forward(minutes=15)
    assert nour.news() == []
    await ana.says("/start")
    await ana.taps("Yes, turn them on")
    assert "where you are now?" in ana.last_message
    await ana.taps("Yes")
    assert "The clinic must now check that it is you." in ana.last_message
    await nour.taps("Yes, confirm", nour.find("Ana, @ana_sample"))
    assert "when to get help" in ana.last_message


async def test_a_pause_holds_all_but_the_safety_check(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.says("/stop")
    await ana.taps("Pause for 7 days")
    assert "I have paused your reminders until Tue 17 March." in ana.last_message
    await ana.says("/plan")
    assert "Your reminders are paused until Tue 17 March." in ana.last_message
    await clinic.tick("2026-03-11 10:00")
    assert "day 1 check" in ana.last_message
    await ana.taps("None of these")
    ana.news()
    await clinic.tick("2026-03-17 08:29")
    assert ana.news() == []
    await clinic.tick("2026-03-17 10:00")
    assert "day 7" in ana.last_message
    reminders = await clinic.reminders()
    assert (reminders["d3"]["state"], reminders["d3"]["reason"]) == ("expired", "paused")


async def test_the_practitioner_hears_of_a_pause_and_of_a_stop_without_an_alarm(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 12:00")
    nour.news()

    async def lane_of(template: str) -> str:
        (row,) = await clinic.rows(
            f"SELECT lane FROM v_message WHERE template = 'practitioner/{template}'"
        )
        return str(row["lane"])

    await ana.says("/stop")
    asked = ana.person.last_message
    await ana.person.taps("Pause for 7 days", asked)
    await ana.taps("Pause for 7 days", asked)
    (told,) = nour.news()
    assert told.startswith("Ana has paused the reminders until Fri 20 March. Safety checks still")
    assert await lane_of("patient_paused") == "care"
    await ana.taps("Stop", asked)
    (told,) = nour.news()
    assert told.startswith("Ana has stopped the reminders.\nAna can still write")
    assert await lane_of("patient_stopped") == "care"
    await ana.says("/start")
    await ana.taps("Yes, turn them on")
    (told,) = nour.news()
    assert told.startswith("Ana has turned the reminders on again.")
    assert await lane_of("patient_resumed") == "care"


async def test_what_the_practitioner_steers_shows_in_the_plan(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    await nour.taps("Pause the plan")
    await nour.taps("Until I resume it")
    # Her own pause makes that of the clinic no shorter.
    nour.news()
    await ana.says("/stop")
    await ana.taps("Pause for 7 days")
    assert ana.last_message.startswith("The clinic has paused your reminders.")
    assert nour.news() == []
    await clinic.tick("2026-03-30 12:00")
    await ana.says("/plan")
    assert "The clinic has paused your reminders." in ana.last_message
    await card_of(clinic, "Ana")
    await nour.taps("Resume the plan")
    await ana.says("/plan")
    assert "paused" not in ana.last_message
    assert "Tue 7 April, 11:00: a late check" in ana.last_message
    await card_of(clinic, "Ana")
    await nour.taps("End the plan")
    await nour.taps("End the plan")
    await ana.says("/plan")
    assert ana.last_message.startswith("Your plan has ended.")


async def test_a_pause_that_the_patient_makes_is_not_undone_with_the_clinic_s(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 12:00")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Pause the plan")
    await nour.taps("3 days")
    await ana.says("/stop")
    await ana.taps("Pause for 7 days")
    assert "Wed 18 March" in ana.last_message
    await nour.says("/undo")
    assert "out of date" in nour.last_message
    await ana.says("/plan")
    assert "Wed 18 March" in ana.last_message

    # The clinic's own, with nobody between, is taken back as ever.
    await clinic.tick("2026-03-19 12:00")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Pause the plan")
    await nour.taps("3 days")
    await nour.says("/undo")
    assert "out of date" not in nour.last_message
    await ana.says("/plan")
    assert "paused" not in ana.last_message.lower()


async def test_a_blocked_bot_falls_silent_and_never_resumes_by_itself(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    nour.news()
    await ana.does(ana.person.blocks)
    (told,) = nour.news()
    assert told.startswith("Please phone Ana.")
    # Ben's phone says nothing; the next message to it is refused.
    ben.person.blocked = True
    await clinic.tick("2026-03-11 10:00")
    (told,) = nour.news()
    assert told.startswith("Please phone Ben.")
    queued = await clinic.rows("SELECT * FROM v_message")
    await clinic.tick("2026-03-20 12:00")
    assert nour.news() == []
    assert await clinic.rows("SELECT * FROM v_message") == queued
    rows = await clinic.rows("SELECT * FROM v_reminder WHERE step = 'd1'")
    assert sorted((row["state"], row["reason"]) for row in rows) == [
        ("cancelled", "blocked"),
        ("undelivered", "blocked"),
    ]

    ana.news()
    await ana.does(ana.person.unblocks)
    await clinic.tick("2026-03-21 12:00")
    assert ana.news() == []
    await ana.does(ana.person.starts)
    assert ana.last_message == "Your reminders are stopped. Do you want them again?"
    await clinic.tick("2026-03-22 12:00")
    assert len(ana.news()) == 1
    await ana.taps("Yes, turn them on")
    assert "I will not send the ones you missed." in ana.last_message
    assert "Your next message comes on Tue 7 April." in ana.last_message
