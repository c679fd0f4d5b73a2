"""A patient asks what is still forbidden, by a button or in their own words."""

from tests.cast import Clinic
from tests.stories.test_visits import book, card_of


async def test_a_question_about_a_limit_gets_its_exact_end(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.presses("Limits still on")
    limits = ana.last_message
    assert limits.startswith(
        "Limits still on\nUntil Wed 11 March, 14:30 (24 hours left):\n- no touching"
    )
    day_14 = "Until Tue 24 March, 10:00 (13 days and 20 hours left):"
    assert f"{day_14}\n- no peel, laser or other procedure there" in limits
    await ana.says("/limits")
    assert ana.last_message == limits
    nour.news()

    await ana.says("can I go to the sauna?")
    assert ana.last_message == (
        "No sauna, steam room or hot tub until Tue 17 March, 10:00.\n"
        "That is 6 days and 20 hours from now.\nNot sure? Tap Ask the clinic."
    )
    await ana.says("Hi! When can I have a glass of WINE again??")
    assert ana.last_message.startswith("No alcohol until Wed 11 March, 14:30.\nThat is 24 hours")
    await ana.says("May I go swimming, or to the gym")
    assert ana.last_message.startswith("No pool or sea until Tue 17 March, 10:00.")
    assert (
        "\nNo gym or hard exercise until Fri 13 March, 18:00.\nThat is 3 days and 4 hours from now."
    ) in ana.last_message
    assert nour.news() == []

    # The hours left are rounded up, and an end that has passed is told as passed.
    await clinic.tick("2026-03-13 16:59")
    await ana.says("is it ok to use the gym?")
    assert "That is 2 hours from now." in ana.last_message
    await clinic.tick("2026-03-13 17:30")
    await ana.says("is it ok to use the gym?")
    assert "That is 1 hour from now." in ana.last_message
    await clinic.tick("2026-03-13 18:00")
    await ana.says("is it ok to use the gym?")
    assert ana.last_message.startswith("This limit ended on Fri 13 March, 18:00: gym")
    assert "If the skin is not calm, please wait" in ana.last_message
    # Of several limits each is named, over or not.
    await ana.says("Can I go swimming, wear make-up or go to the gym?")
    assert ana.last_message.startswith("No pool or sea until Tue 17 March, 10:00.")
    assert "This limit ended on Wed 11 March, 14:30: make-up." in ana.last_message
    assert "This limit ended on Fri 13 March, 18:00: gym" in ana.last_message
    await ana.says("can I wear make-up and go to the gym?")
    assert ana.last_message.startswith("This limit ended on Wed 11 March, 14:30: make-up.\n")
    assert "This limit ended on Fri 13 March, 18:00: gym" in ana.last_message
    await ana.presses("Limits still on")
    assert "gym" not in ana.last_message
    await clinic.tick("2026-03-24 10:00")
    await ana.presses("Limits still on")
    assert "I have no limits on my list for you now." in ana.last_message


async def test_a_question_that_says_more_reaches_a_person_too(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    nour.news()
    # The limit is answered, and the rest is for a person.
    await ana.says("Can I go to the gym? My face is swollen and hot")
    passed, answered = ana.heard[-2:]
    assert "so I passed your message to Lumen Clinic" in passed
    assert "No gym or hard exercise until Fri 13 March, 18:00." in answered
    (told,) = nour.news()
    assert "My face is swollen and hot" in told
    # What is no question for permission is for a person alone.
    await ana.says("Is my swelling normal after the gym?")
    assert "so I passed your message to Lumen Clinic" in ana.last_message
    assert "Is my swelling normal" in nour.news()[-1]
    # A word from the danger list comes before everything.
    await ana.says("Can I go to the sauna? I can\u2019t breathe")
    assert any(said.startswith("Call 112 now if:") for said in ana.heard[-3:])
    assert nour.news()[0].startswith("URGENT: Ana")
    # Whoever was asked to write to the clinic is passed on, answered or not.
    await ana.presses("Ask the clinic")
    assert "Write your question here. I will pass it to Lumen Clinic." in ana.last_message
    await ana.says("can I go to the sauna?")
    assert "No sauna" in ana.last_message
    assert "can I go to the sauna?" in nour.news()[-1]
    await ana.says("can I go to the sauna?")
    assert nour.news() == []


async def test_what_is_allowed_all_the_same_is_said_with_the_limit(clinic: Clinic) -> None:
    ana, ben = clinic.ana, clinic.ben
    await clinic.enroll(ana, treatment="dermal-filler")
    await ana.says("can I go to the dentist, my tooth hurts")
    urgent = "Never put off urgent dental care."
    assert any(words.startswith("No routine dental work until") for words in ana.heard)
    assert any(urgent in words for words in ana.heard[-2:])
    await ana.presses("Limits still on")
    assert f"- no routine dental work\n- no peel, laser or other procedure there\n{urgent}" in (
        ana.last_message
    )
    await clinic.enroll(ben, "Ben", treatment="mesotherapy-body")
    await ben.says("can I take a bath?")
    assert ben.last_message.startswith("No hot baths or hot showers until")
    assert "\nA short, warm shower is allowed.\n" in ben.last_message


async def test_what_a_message_before_a_visit_forbids_holds_until_it(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana, when="17.03.2026 9:00")
    await ana.says("can I drink wine?")
    assert ana.last_message.startswith("I have no limit on my list for this: alcohol.")
    await clinic.tick("2026-03-15 18:00")
    assert "Until then, no retinol on the area and no alcohol." in ana.last_message
    await ana.says("can I drink wine?")
    assert ana.last_message.startswith("No alcohol until Tue 17 March, 09:00.")
    await ana.presses("Limits still on")
    assert "Until Tue 17 March, 09:00 (39 hours left):\n- no acids" in ana.last_message
    none = "I have no limit on my list for this: alcohol."
    # Moved by an hour it is the same visit; moved to a day before which it is asked for again,
    # it forbids nothing until then, and nothing when it is cancelled.
    await book(clinic, "Ana", "17.03.2026 11:00")
    await ana.says("can I drink wine?")
    assert ana.last_message.startswith("No alcohol until Tue 17 March, 11:00.")
    await book(clinic, "Ana", "31.05.2026 11:00")
    await ana.says("can I drink wine?")
    assert ana.last_message.startswith(none)
    await clinic.tick("2026-05-29 18:00")
    await ana.says("can I drink wine?")
    assert ana.last_message.startswith("No alcohol until Sun 31 May, 11:00.")
    await card_of(clinic, "Ana")
    await nour.taps("Cancel the visit")
    await ana.says("can I drink wine?")
    assert ana.last_message.startswith(none)


async def test_nothing_is_over_that_a_message_before_a_visit_asks_for(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await book(clinic, "Ana", "31.03.2026 11:00")
    await clinic.tick("2026-03-17 18:00")
    assert any("From now until then, on the area:" in words for words in ana.heard)
    ana.news()
    await clinic.tick("2026-03-25 12:00")
    assert not any("These are over" in words for words in ana.news())
    await ana.presses("Limits still on")
    assert "Until Tue 31 March, 11:00" in ana.last_message
    assert "- no peel, laser or other procedure there" in ana.last_message


async def test_a_calm_skin_ends_nothing_that_a_message_before_a_visit_asks_for(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    acids, sauna = "acids (AHA, BHA), retinol or scrubs", "sauna, steam room or hot tub"
    await clinic.enroll(ana)
    await book(clinic, "Ana", "01.04.2026 11:00")
    await clinic.tick("2026-03-17 10:00")
    await ana.taps("Skin is not calm")
    await clinic.tick("2026-03-18 18:00")
    assert any("From now until then, on the area:" in words for words in ana.heard)
    await ana.taps("Not yet", ana.find("a question on your limits"))
    # While the skin is not calm both hold, and the question names both.
    await clinic.tick("2026-03-19 18:00")
    asked = ana.find("a question on your limits")
    assert f"- {acids}\n" in asked.text
    assert f"- {sauna}\n" in asked.text
    await ana.taps("Yes, it is calm", asked)
    assert "These limits are over:" in ana.last_message
    assert f"- {sauna}\n" in ana.last_message
    assert acids not in ana.last_message
    await ana.presses("Limits still on")
    until = "Until Wed 1 April, 11:00 (12 days and 16 hours left):"
    assert f"{until}\n- no sunbed\n- no {acids}\n" in ana.last_message
    assert sauna not in ana.last_message


async def test_nobody_of_the_clinic_ends_what_a_message_before_a_visit_asks_for(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await book(clinic, "Ana", "01.04.2026 11:00")
    await clinic.tick("2026-03-17 10:00")
    await ana.taps("Skin is not calm")
    await clinic.tick("2026-03-19 12:00")
    await card_of(clinic, "Ana")
    ana.news()
    await nour.taps("End the kept limits")
    (notice,) = ana.news()
    assert "- sauna, steam room or hot tub\n" in notice
    assert "acids" not in notice
    assert "sunbed" not in notice
    await ana.presses("Limits still on")
    assert "- no sunbed\n- no acids" in ana.last_message
