"""A filler from its first hour to the fifth week, alone and beside a mesotherapy on one day."""

from collections import Counter

from bot.outgoing import wording
from bot.services import enrolling
from bot.services.planning import replan
from bot.services.turn import Account, Turn
from bot.storage.queries import people, versions
from tests.cast import Actor, Clinic
from tests.stories.test_visits import card_of

FILLER = "dermal-filler"
MESO = "mesotherapy-face"
SIGNS = """Do you have any of these now?
- strong pain, or pain that grows
- skin that is cold, numb, blotchy, white, grey or blue
- blisters, spots, pus or dark patches
- trouble with sight, breathing or swallowing
- a fever, or you feel ill"""
NONE, ONE, UNSURE = "None of these", "Yes, I have one", "Not sure"


def reassures_nobody(*people: Actor) -> None:
    """Nothing that was said breaks a rule of wording: no comfort, no dose, no promise."""
    for words in (words for person in people for words in person.heard):
        assert wording.banned(words) == []


async def add_course(clinic: Clinic, treatment: str) -> None:
    """The clinic's newest patient has one more treatment, which ended now."""
    deps = clinic.rehearsal.app.deps
    async with deps.database.write() as session:
        patient = (await people.patients(session, 1))[0]
        owner = await people.clinic(session, patient.clinic_id)
        practitioner = await people.practitioner(session, patient.practitioner_id)
        approved = await versions.approved_protocols(session, patient.clinic_id)
        version = next(row for row in approved if row.name == treatment)
        account = Account(clinic.nour.person.id)
        turn = Turn(session, deps, clinic.now, 0, owner, account, practitioner, patient)
        await enrolling.add_course(turn, patient, version, None)
        await replan(session, patient.id or 0, clinic.now)
    await clinic.settle()


async def test_a_filler_from_day_0_to_day_35(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, treatment=FILLER)
    card, warning = ana.person.received[-2:]
    assert card.text.startswith(
        "Lumen: your care card.\n"
        "Until Wed 11 March, 14:30:\n- no touching, rubbing or pressing\n- no make-up\n"
        "- no alcohol\n"
        "Until Thu 12 March, 10:00:\n- no gym or hard exercise\n- no trips away from the clinic\n"
        "Until Tue 17 March, 10:00:\n- no sauna, steam room or hot tub\n- no sunbed\n"
        "- no strong cold\n- no sleeping face down\n"
        "Until Tue 24 March, 11:00:\n- no facials or face massage\n- no routine dental work\n"
        "- no peel, laser or other procedure there\n"
        "Ask us before dental work. Never put off urgent dental care.\n"
        "Do not massage a lump unless we told you to.\n"
        "Look at the area again before you sleep. If in doubt, call "
    )
    assert list(card.labels) == ["Got it", "Ask the clinic", "Something is wrong"]
    assert warning.silent
    lines = warning.text.splitlines()
    assert lines[:3] == [
        "Lumen: when to get help.",
        "Call 112 now if:",
        "- your sight changes all at once",
    ]
    phone = next(at for at, line in enumerate(lines) if line.startswith("Call the clinic now on"))
    assert lines[phone + 1].startswith("- the skin feels cold or numb, or looks blotchy")
    assert "call " + lines[phone].removeprefix("Call the clinic now on ").removesuffix(" if:") in (
        card.text
    )

    await clinic.tick("2026-03-10 17:29")
    assert ana.last_message == warning.text
    await clinic.tick("2026-03-10 17:30")
    assert ana.last_message == (
        f"Lumen: first check.\nLook at the area in good light. Feel it with a clean hand.\n{SIGNS}"
    )
    assert ana.buttons == [NONE, ONE, UNSURE]
    await ana.taps(NONE)
    await ana.taps("Better")
    assert "Swelling is often strongest on days 1 and 2." in ana.last_message
    assert "Your next message comes on Wed 11 March." in ana.last_message

    await clinic.tick("2026-03-11 09:00")
    assert ana.last_message == (
        f"Lumen: day 1 check.\n{SIGNS}\nYour 24-hour limits end on Wed 11 March, 14:30."
    )
    await ana.taps(NONE)

    await clinic.tick("2026-03-13 10:00")
    assert ana.last_message == (
        f"Lumen: day 3 check.\n{SIGNS}\nIf you have none, these limits are over:\n"
        "- gym or hard exercise\n- trips away from the clinic"
    )
    assert ana.buttons == [NONE, ONE, UNSURE]
    await ana.taps(NONE)

    await clinic.tick("2026-03-17 10:00")
    assert ana.last_message == (
        "Lumen: day 7 check.\nDo you have any of these now?\n"
        "- an area that is hot, sore or swollen\n- redness or swelling that spreads\n"
        "- pus, a fever, or you feel ill\nIf you have none, these limits are over:\n"
        "- sauna, steam room or hot tub\n- sunbed\n- strong cold\n- sleeping face down"
    )
    await ana.taps(NONE)

    await clinic.tick("2026-03-24 11:00")
    review = ana.person.last_message
    assert review.text == (
        "Lumen: day 14 review.\nThese limits are over:\n- facials or face massage\n"
        "- routine dental work\n- peel, laser or other procedure there\n"
        "By now the result has settled for most people.\n"
        "You can send a photo, or ask us for a review visit.\nAre you happy with the result?"
    )
    assert list(review.labels) == ["Yes", "I have a question", "Something is wrong"]
    await ana.taps("Yes", review)
    assert ana.last_message.startswith("Thank you. I have noted your answer.")
    assert "Your next message comes on Tue 14 April." in ana.last_message
    told = len(nour.heard)
    await ana.taps("I have a question", review)
    assert ana.last_message.startswith("Write your question here.")
    await ana.says("Can the left side be made fuller?")
    assert len(nour.heard) > told

    # The clocks have gone forward meanwhile; eleven stays eleven.
    await clinic.tick("2026-04-14 11:00")
    assert ana.last_message == (
        "Lumen: a 5-week check.\nRarely, a problem shows up weeks later. "
        "It can follow an illness, a vaccine or dental work.\n"
        "Do you have a new lump, or a sore, red, hot or swollen spot in the area?"
    )

    sent = await clinic.rows("SELECT step FROM v_reminder WHERE state = 'sent' ORDER BY due_at")
    assert [row["step"] for row in sent] == ["card", "h3", "d1", "d3", "d7", "d14", "d35"]
    reassures_nobody(ana, nour)
    await clinic.check_ledger()


async def test_after_an_evening_session_the_first_check_is_at_half_past_eight(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    await clinic.tick("2026-03-10 19:45")
    await clinic.enroll(ana, treatment=FILLER)
    asked = len(ana.heard)
    await clinic.tick("2026-03-11 08:29")
    assert len(ana.heard) == asked
    await clinic.tick("2026-03-11 08:30")
    assert ana.last_message.startswith("Lumen: day 1 check.")
    assert await clinic.history("h3") == ["skipped(quiet_hours)"]
    await clinic.check_ledger()


async def test_the_first_check_comes_in_quiet_hours_and_no_later_than_half_past_nine(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    await clinic.tick("2026-03-10 18:30")
    await clinic.enroll(ana, treatment=FILLER)
    await clinic.tick("2026-03-10 20:59")
    assert "when to get help" in ana.last_message
    await clinic.tick("2026-03-10 21:00")
    assert ana.last_message.startswith("Lumen: first check.")
    await ana.taps(NONE)
    await ana.taps("Better")
    answered = ana.last_message
    await clinic.tick("2026-03-11 08:59")
    assert ana.last_message == answered
    await clinic.tick("2026-03-11 09:00")
    assert ana.last_message.startswith("Lumen: day 1 check.")


async def test_a_filler_has_no_step_for_a_booked_visit(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, when="tomorrow 14:30", treatment=FILLER)
    assert not any("care card" in words for words in ana.heard)
    assert await clinic.rows("SELECT * FROM v_reminder") == []
    await clinic.tick("2026-03-11 14:30")
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Session done")
    # It is no course of sessions: nobody is asked to plan a next one, now or under Today.
    saved = nour.find("Ana: session 1 is saved")
    assert "Tap the weeks" not in saved.text
    labels = ["Set the next visit", "Area and product", "Undo", "Open the card"]
    assert list(saved.labels) == labels
    await nour.presses("Today")
    assert "No next visit planned" not in nour.last_message
    assert ana.find("your care card")
    assert "no trips away from the clinic" in ana.find("your care card").text
    await clinic.check_ledger()


async def test_two_treatments_on_one_day_are_one_card_and_one_check(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await nour.says(f"/enroll Ana {MESO}")
    await add_course(clinic, FILLER)
    await clinic.join(ana)

    # One card, the strictest limits once, what each treatment adds below; one warning card.
    (card,) = [each for each in ana.person.received if "your care card" in each.text]
    assert card.text.count("Lumen: ") == 1
    for once in (
        *("touching, rubbing", "make-up", "gym", "sauna", "facials", "peel, laser"),
        *("Ibuprofen", "Do not stop a medicine", "mild cleanser", "Never put off urgent dental"),
    ):
        assert card.text.count(once) == 1, once
    until, _, after = card.text.partition("Until Fri 13 March, 18:00:")
    assert "- no trips away from the clinic" in until
    # Two days after the filler, three after the other: three.
    assert "gym" not in until
    assert after.startswith("\n- no gym or hard exercise\n- no hot baths or hot showers\n")
    seven, _, fourteen = after.partition("Until Tue 24 March, 11:00:")
    assert "facials" not in seven
    assert "- no facials or face massage\n" in fourteen
    assert list(card.labels) == ["Got it", "Ask the clinic", "Something is wrong"]
    (warning,) = [each for each in ana.person.received if "when to get help" in each.text]
    assert warning.text.splitlines()[2] == "- your sight changes all at once"

    await clinic.tick("2026-03-10 17:30")
    assert ana.last_message.startswith("Lumen: first check.")
    await ana.taps(NONE)
    await ana.taps("Better")
    ana.news()
    await clinic.tick("2026-03-11 12:00")
    (check,) = ana.news()
    assert check == (
        f"Lumen: day 1 check.\n{SIGNS}\nYour 24-hour limits end on Wed 11 March, 14:30.\n\n"
        "Wear sunscreen now, SPF 30+.\n"
        "From Wed 11 March, 14:30, clean mineral make-up on calm skin."
    )
    assert ana.buttons == [NONE, ONE, UNSURE]
    # One answer is an answer to both: nobody is asked again.
    await ana.taps(NONE)
    await ana.taps("Better")
    ana.news()

    await clinic.tick("2026-03-13 12:00")
    (filler_day_3,) = ana.news()
    assert filler_day_3.startswith("Lumen: day 3 check.")
    # The gym waits for the other treatment.
    assert filler_day_3.endswith("these limits are over:\n- trips away from the clinic")
    await ana.taps(NONE)
    await ana.taps("Better")
    ana.news()
    await clinic.tick("2026-03-13 18:00")
    (face_day_3,) = ana.news()
    assert "over if the skin is calm:\n- gym or hard exercise\n- hot baths" in face_day_3

    await clinic.tick("2026-03-17 12:00")
    (day_7,) = ana.news()
    assert day_7.startswith("Lumen: day 7 check.")
    assert day_7.count("sauna, steam room or hot tub") == 1
    assert "- pool or sea" in day_7
    assert "facials" not in day_7
    assert "Wear sunscreen each day." in day_7
    assert ana.buttons == [NONE, ONE, UNSURE]

    sent = await clinic.rows("SELECT message_id, step FROM v_reminder WHERE state = 'sent'")
    assert Counter(row["step"] for row in sent) == {"card": 2, "d1": 2, "d3": 2, "d7": 2, "h3": 1}
    # The third days differ by their hour; whatever else falls together went together.
    assert len({row["message_id"] for row in sent}) == 6
    reassures_nobody(ana)
    await clinic.check_ledger()


async def test_a_filler_beside_a_session_three_of_another_course(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana, treatment=MESO)
    await clinic.tick("2026-03-11 08:00")
    await add_course(clinic, FILLER)
    card = ana.find("your care card")
    # The limits of both, each once; the newer make-up limit is the one that holds.
    assert card.text.count("make-up") == 1
    assert "Until Thu 12 March, 08:00:\n- no touching, rubbing or pressing\n- no make-up" in (
        card.text
    )
    await clinic.tick("2026-03-11 10:30")
    # At 10:00 the questions come together.
    check = next(words for words in ana.heard if "first check" in words)
    assert len([words for words in ana.heard if SIGNS in words]) == 1
    # The day 1 check of one and the first check of the other, 3 hours on: one message.
    assert check.startswith("Lumen: first check.\nLook at the area in good light.")
    assert check.count("strong pain") == 1
    # Not this afternoon: the filler's day is not over.
    assert "From Thu 12 March, 08:00, clean mineral make-up" in check
    reassures_nobody(ana)
    await clinic.check_ledger()


async def test_a_warning_of_the_longer_watch_names_all_signs_of_the_shorter(
    clinic: Clinic,
) -> None:
    sources = clinic.rehearsal.app.deps.catalogue.sources
    for shared in ("warning_signs", "check_signs"):
        own = sources[f"en/locked/{shared}_filler"].replace(", spots", "")
        assert set(sources[f"en/locked/{shared}"].splitlines()) <= set(own.splitlines())


async def test_the_lead_sees_every_message_of_the_filler_as_a_test(clinic: Clinic) -> None:
    nour = clinic.nour
    began = len(nour.heard)
    await nour.forges(f"1:test:{FILLER}")
    await clinic.forward(minutes=1)
    tests = [words for words in nour.heard[began:] if words.startswith("TEST. A patient reads:")]
    steps = clinic.rehearsal.app.deps.catalogue.protocols[FILLER].steps
    assert len(tests) == len(steps) + 1
    assert any("it is 6 months since your last visit" in words for words in tests)
    reassures_nobody(nour)


async def test_who_joins_on_day_2_gets_the_limits_still_on_and_the_check_at_once(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await nour.says(f"/enroll Ana {FILLER}")
    await clinic.tick("2026-03-12 12:00")
    await clinic.join(ana)
    card = ana.find("your care card").text
    assert "These limits are still on." in card
    assert "gym" not in card
    assert "extra pillow" not in card
    assert "- no sleeping face down" in card
    # The check of day 1 is past, and the next one far: within three days of a filler it follows.
    assert ana.find("day 1 check").text.endswith("Your 24-hour limits are over.")
    assert await clinic.history("h3") == ["skipped(joined_late)"]
    await clinic.check_ledger()


async def test_the_practitioner_sets_when_upkeep_is_offered(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, treatment=FILLER)
    assert (await clinic.reminders())["maint"]["due_at"] == "2026-09-06T09:00:00.000Z"
    await card_of(clinic, "Ana")
    await nour.taps("Set the upkeep")
    asked = nour.person.last_message
    assert "send one from 120 to 540" in asked.text
    assert nour.buttons == [*(f"{days} days" for days in (120, 180, 270, 365, 540)), "Cancel"]
    for wrong in ("119", "541", "soon", "12.5", "-180", "9" * 30):
        await nour.says(wrong)
        assert nour.last_message == "Please send a number of days from 120 to 540."
    await nour.says("300")
    assert nour.last_message == (
        "Ana: upkeep is offered 300 days after a session, on Mon, 4 January 2027."
    )
    reminders = await clinic.reminders()
    assert reminders["maint"]["due_at"] == "2027-01-04T10:00:00.000Z"
    assert reminders["maint"]["expires_at"] == "2027-03-05T10:00:00.000Z"
    assert reminders["d35"]["due_at"] == "2026-04-14T09:00:00.000Z"
    await nour.taps("120 days", asked)
    assert (await clinic.reminders())["maint"]["due_at"] == "2026-07-08T09:00:00.000Z"
    await nour.forges("1:upkeepin:nobody:200")
    assert nour.last_message.startswith("This button is out of date")
    # It is one course's; where upkeep has its fixed day there is no such button.
    await nour.says(f"/enroll Ben {MESO}")
    await clinic.join(clinic.ben)
    await card_of(clinic, "Ben")
    assert "Set the upkeep" not in nour.buttons
    await clinic.check_ledger()


async def test_upkeep_that_was_sent_has_no_day_to_come(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, treatment=FILLER)
    await clinic.tick("2026-09-06 11:00")
    assert await clinic.history("maint") == ["sent"]
    await card_of(clinic, "Ana")
    await nour.taps("Set the upkeep")
    await nour.taps("365 days")
    assert nour.last_message == (
        "Ana: upkeep is offered 365 days after a session.\n"
        "For the latest session it was already sent. "
        "The new number of days counts from the next session."
    )
    assert await clinic.history("maint") == ["sent"]
