"""Mesotherapy of the body, from the treatment's buttons to upkeep; ordinary and fat-dissolving."""

from bot.outgoing import wording
from tests.cast import Actor, Clinic
from tests.stories.test_visits import card_of

BODY = "mesotherapy-body"
FAT = "mesotherapy-body fat-dissolving"
NONE = "None of these"


def reassures_nobody(*people: Actor) -> None:
    """Nothing that was said breaks a rule of wording: no comfort, no dose, no promise."""
    for words in (words for person in people for words in person.heard):
        assert wording.banned(words) == []


def data_of(actor: Actor, label: str) -> str:
    """What a button on the phone carries."""
    for message in reversed(actor.person.received):
        for button in (each for row in message.inline_keyboard or [] for each in row):
            if button["text"] == label:
                return str(button["callback_data"])
    raise AssertionError(f"no button {label}")


async def answers_better(actor: Actor, answer: str = NONE) -> None:
    await actor.taps(answer)
    await actor.taps("Better")


async def test_an_ordinary_course_from_day_0_to_upkeep(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, treatment=BODY)
    card, warning = ana.person.received[-2:]
    assert card.text.startswith(
        "Lumen: your care card.\n"
        "Until Wed 11 March, 14:30:\n- no touching, rubbing or pressing\n- no soaking in a bath\n"
        "- no alcohol\n"
        "Until Fri 13 March, 18:00:\n- no gym or hard exercise\n- no hot baths or hot showers\n"
        "- no tight clothes\n- no shaving or waxing there\n"
        "Until Tue 17 March, 10:00:\n- no sauna, steam room or hot tub\n- no pool or sea\n"
        "- no massage there (unless we told you to)\n"
        "Until Tue 24 March, 10:00:\n- no sun on the area\n- no sunbed\n"
        "- no peel, laser or other procedure there\n"
        "A short, warm shower is allowed. Wear loose, clean clothes.\n"
        "This treatment does not change your weight.\n"
    )
    assert "Ibuprofen" in card.text
    assert list(card.labels) == ["Got it", "Ask the clinic", "Something is wrong"]
    assert warning.silent
    assert warning.text.startswith("Lumen: when to get help.")

    # Soaking is one limit, heat another; a question about a bath is answered with clinic.
    await ana.says("Can I take a bath?")
    assert ana.last_message.startswith("No hot baths or hot showers until Fri 13 March, 18:00.")
    assert "No soaking in a bath until Wed 11 March, 14:30." in ana.last_message
    await ana.says("can I have a massage?")
    assert ana.last_message.startswith("No massage there (unless we told you to) until Tue 17")
    await ana.says("when can I sunbathe again?")
    assert ana.last_message.startswith("No sun on the area until Tue 24 March, 10:00.")

    await clinic.tick("2026-03-11 10:00")
    assert ana.last_message == (
        "Lumen: day 1 check.\nDo you have any of these now?\n"
        "- strong pain, or pain that grows\n"
        "- skin that is cold, numb, blotchy, white, grey or blue\n"
        "- blisters, pus or dark patches\n- a fever, or you feel ill\n"
        "- trouble with sight, breathing or swallowing\n"
        "Your 24-hour limits end on Wed 11 March, 14:30."
    )
    assert ana.buttons == [NONE, "Yes, I have one", "Not sure"]
    await answers_better(ana)
    assert "Swelling and sore skin are common in the first week." in ana.last_message

    await clinic.tick("2026-03-13 18:00")
    assert ana.last_message == (
        "Lumen: your day 3 limits.\nThese are over if the skin is calm:\n"
        "- gym or hard exercise\n- hot baths or hot showers\n- tight clothes\n"
        "- shaving or waxing there\n"
        "Until Tue 17 March, 10:00, still no:\n- sauna, steam room or hot tub\n- pool or sea\n"
        "- massage there (unless we told you to)\nMore: tap Limits still on.\n"
        "Is the skin calm now?"
    )
    assert ana.buttons == ["Yes, it is calm", "Not yet", "Ask the clinic"]
    await ana.taps("Yes, it is calm")

    await clinic.tick("2026-03-17 10:00")
    assert ana.last_message == (
        "Lumen: your day 7 limits.\nThese are over if the skin is calm:\n"
        "- sauna, steam room or hot tub\n- pool or sea\n"
        "- massage there (unless we told you to)\n"
        "Until Tue 24 March, 10:00, still no:\n- sun on the area\n- sunbed\n"
        "- peel, laser or other procedure there\nDo you have a sore lump, or one that grows?"
    )
    assert ana.buttons == ["No", "Yes", "Not sure"]
    await answers_better(ana, "No")

    # There is no check on day 14, and swelling is no longer expected by then.
    heard = len(ana.heard)
    await clinic.tick("2026-03-24 12:00")
    (over,) = ana.heard[heard:]
    assert over.startswith("Lumen: limits that have ended.\n")
    nour.news()
    await ana.reports("Something milder", "Swelling", "Done")
    assert ana.last_message.startswith("Thank you for telling us.")
    (told,) = nour.news()
    assert "Mesotherapy, body, day 14." in told
    assert "swelling" in told
    await nour.taps("I am on it")
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")

    await clinic.tick("2026-04-07 11:00")
    assert ana.last_message == (
        "Lumen: a 4-week check.\nPlease feel the area with a clean hand. Rarely, a problem starts "
        "weeks later.\nIs there a new lump, or a sore, red or hot spot?\n"
        "After your answer, you can send a photo too."
    )
    await ana.taps("No")
    await clinic.tick("2026-05-05 11:00")
    assert ana.last_message == (
        "Lumen: an 8-week check.\nA problem can still start now, but this is rare.\n"
        "Please feel the area once more. Is there a new lump, or a sore, red or hot spot?"
    )
    await ana.taps("No")
    await clinic.tick("2026-06-02 11:00")
    assert ana.last_message.startswith("Lumen: it is 3 months since your last visit.")
    await ana.taps("No lump, not now")
    await clinic.tick("2026-08-25 11:00")
    assert ana.last_message.startswith("Lumen: it is 6 months since your last visit.")

    sent = await clinic.rows("SELECT step FROM v_reminder WHERE state = 'sent' ORDER BY due_at")
    assert [row["step"] for row in sent] == [
        *("card", "d1", "d3", "d7", "d28", "d56", "maint", "maint-2")
    ]
    assert await clinic.history("d14") == []
    reassures_nobody(ana, nour)
    await clinic.check_ledger()


async def test_what_is_kept_on_has_no_end_by_the_clock(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana, treatment=BODY)
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    await clinic.tick("2026-03-17 10:00")
    week = ana.find("your day 7 limits").text
    assert "Until the skin is calm, still no:\n- gym or hard exercise\n" in week
    assert "Until Tue" not in week


async def test_a_lump_on_day_7_keeps_its_limits_on_until_there_is_none(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana, treatment=BODY)
    await clinic.tick("2026-03-17 10:00")
    question = ana.find("your day 7 limits")
    for answer in ("Yes", "Not sure"):
        await ana.taps(answer, question)
        await ana.says("may I go to the sauna?")
        assert "No sauna, steam room or hot tub until the skin is calm" in ana.last_message
        await clinic.forward(minutes=5)
        # What ends is said, as the clock will not say it any more.
        await ana.taps("No", question)
        assert ana.last_message == (
            "These are over if the skin is calm:\n- sauna, steam room or hot tub\n"
            "- pool or sea\n- massage there (unless we told you to)\nHow is the area now?"
        )
        await ana.says("may I go to the sauna?")
        assert ana.last_message.startswith("This limit ended on")
        await clinic.forward(minutes=5)
    await ana.taps("No", question)
    assert ana.last_message == "How is the area now?"


async def test_a_fat_dissolving_course_has_a_second_check_and_longer_days(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, treatment=FAT)
    await clinic.tick("2026-03-11 10:00")
    await answers_better(ana)
    assert "Swelling and sore skin are common in the first 2 weeks." in ana.last_message
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Yes, it is calm")
    await clinic.tick("2026-03-17 10:00")
    await answers_better(ana, "No")

    # On day 10 swelling is still expected here; nobody is woken, nothing is played down.
    await clinic.tick("2026-03-20 12:00")
    nour.news()
    await ana.reports("Something milder", "Swelling", "Done")
    assert "Swelling and sore skin are common in the first 2 weeks." in ana.last_message
    assert nour.news() == []

    await clinic.tick("2026-03-24 11:00")
    check = ana.person.last_message
    assert check.text == (
        "Lumen: day 14 check.\nPlease look at the area and feel it with a clean hand.\n"
        "Is it still swollen, sore, numb or lumpy?"
    )
    assert list(check.labels) == ["No", "Yes", "Not sure"]
    await ana.taps("Yes")
    assert "What is it?" in ana.last_message
    await ana.taps("Something milder")
    await ana.taps("Sore lump")
    await ana.taps("Done")
    assert ana.last_message.startswith("Thank you for telling us.")
    told = nour.find("a sore lump")
    assert "Mesotherapy, body, fat-dissolving, day 14." in told.text

    # What is urgent is so in any variant, and the note for a doctor says which it was.
    await ana.reports_danger()
    note = ana.find("Note for the doctor")
    assert "mesotherapy, body, fat-dissolving" in note.text
    reassures_nobody(ana, nour)
    await clinic.check_ledger()


async def test_who_says_yes_on_day_14_and_stops_there_reaches_the_clinic(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, treatment=FAT)
    await clinic.tick("2026-03-24 11:00")
    nour.news()
    await ana.taps("Yes", ana.find("day 14 check"))
    await clinic.forward(minutes=4)
    assert ana.last_message.startswith("Thank you for telling us.")
    assert "Reported: a doubt or a change after a check" in "\n".join(nour.news())


async def test_four_weeks_lie_between_two_fat_dissolving_sessions(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, when="tomorrow 14:30", treatment=FAT)
    await clinic.tick("2026-03-11 14:30")
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    saved = nour.find("session 1 is saved")
    assert [each for each in saved.labels if "weeks" in each] == ["In 4 weeks", "In 6 weeks"]
    # A button that was never offered for this treatment means nothing.
    await nour.forges(data_of(nour, "In 4 weeks").removesuffix("4") + "2")
    assert nour.last_message.startswith("This button is out of date")
    await nour.taps("In 4 weeks", saved)
    assert "Wed 8 April" in saved.text
    rows = await clinic.reminders()
    assert rows["book"]["due_at"] == "2026-03-29T10:00:00.000Z"
    await clinic.tick("2026-03-29 12:00")
    assert "planned it for around Wed 8 April" in ana.find("time to book").text
    await clinic.check_ledger()


async def test_the_variant_is_one_tap_more_and_only_where_there_is_one(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.presses("New patient")
    await nour.says("Ana")
    await nour.taps("mesotherapy, body")
    assert nour.last_message == "Ana, mesotherapy, body: which kind?"
    assert nour.buttons == ["Ordinary", "Fat-dissolving", "Cancel"]
    ordinary, fat = data_of(nour, "Ordinary"), data_of(nour, "Fat-dissolving")
    await nour.taps("Fat-dissolving")
    ready = nour.person.last_message
    assert ready.text.startswith("Ana, mesotherapy, body, fat-dissolving\n")
    assert "Plan: 9 messages" in ready.text
    await nour.taps("Preview the plan")
    assert "- Tue 24 March, 11:00: a check" in nour.last_message
    # A change of mind before anything is kept.
    await nour.forges(ordinary)
    assert nour.last_message.startswith("Ana, mesotherapy, body\n")
    assert "Plan: 8 messages" in nour.last_message
    await nour.forges(fat)
    await nour.taps("Create and show QR")
    await clinic.join(ana)
    assert "d14" in await clinic.reminders()
    await card_of(clinic, "Ana")
    assert "Mesotherapy, body, fat-dissolving" in nour.last_message

    await nour.presses("New patient")
    await nour.says("Ben")
    await nour.taps("mesotherapy, face")
    assert nour.last_message.startswith("Ben, mesotherapy, face\n")


async def test_a_variant_that_does_not_exist_is_stale_or_no_date(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.presses("New patient")
    await nour.says("Ana")
    await nour.taps("mesotherapy, body")
    await nour.forges(data_of(nour, "Fat-dissolving").replace("fat-dissolving", "oil"))
    assert nour.last_message.startswith("This button is out of date")
    await nour.says("/enroll Ben dermal-filler fat-dissolving today 13:00")
    assert await clinic.rows("SELECT * FROM v_reminder") == []
    await nour.says(f"/enroll Ben {FAT.upper()} today 13:00")
    await clinic.join(clinic.ben)
    assert "d14" in await clinic.reminders()


async def test_the_lead_reads_what_a_variant_adds_and_gets_it_in_a_test(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.presses("Team")
    await nour.taps("Read the protocols")
    await nour.taps("mesotherapy, body")
    read = [nour.last_message]
    while "Next page" in nour.buttons:
        await nour.taps("Next page")
        read.append(nour.last_message)
    assert "step d14" in read[-1]
    assert read[-1].startswith("Mesotherapy, body, fat-dissolving, version 1")
    assert read[0].startswith("Mesotherapy, body, version 1")
    await nour.taps("I approve")
    await nour.taps("Send me a test course")
    await clinic.forward(minutes=1)
    assert nour.find("day 14 check")
    assert (await clinic.history("d14"))[-1] == "sent"
