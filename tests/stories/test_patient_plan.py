"""Each step arrives at its local hour, and each of its buttons leads to a true, kind answer."""

from tests.cast import Actor, Clinic

PHONE = "+49 30 5550 100"
HOURS = f"The clinic is open Mon to Fri 09:00 to 18:00. The phone is {PHONE}."
TOLD = "I have told Lumen Clinic."
REASSURING = ("normal", "fine", "harmless", "nothing to worry", "do not worry", "no need to")


async def answer(person: Actor, label: str, step: str, *, asks_phone: bool = False) -> str:
    """What the bot says to that button under the newest message that holds these words."""
    person.news()
    await person.taps(label, person.find(step))
    said, *asked = person.news()
    assert [each.startswith("Can Lumen Clinic phone you") for each in asked] == [True] * asks_phone
    assert not any(word in said.lower() for word in REASSURING)
    return said


async def test_every_answer_of_a_course_leads_somewhere(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    card = "your care card"
    assert await answer(ana, "Got it", card) == "Thank you. I have ticked it off."
    assert PHONE in await answer(ana, "Ask the clinic", card)
    await ana.says("/plan")
    assert ana.last_message.split("Messages to come\n")[1].split("\n") == [
        "- Wed 11 March, 10:00: a check",
        "- Fri 13 March, 18:00: limits that end",
        "- Tue 17 March, 10:00: limits that end",
        "- Tue 7 April, 11:00: a late check",
        "- Tue 2 June, 11:00: a new visit, if you like",
        "- Tue 25 August, 11:00: a new visit, if you like",
    ]

    await clinic.tick("2026-03-11 10:00")
    check, trend = "day 1 check", "How is the area now?"
    nour.news()
    assert await answer(ana, "None of these", check) == trend
    better = await answer(ana, "Better", trend)
    assert f"If it gets worse, tap Something is wrong or call {PHONE}." in better
    assert "Your next message comes on Fri 13 March." in better
    assert "are common in the first 2 days" in await answer(ana, "The same", trend)
    assert nour.news() == []
    pick = await answer(ana, "Worse", trend)
    assert pick.startswith("Call 112 now if you cannot breathe")
    await ana.taps("Something milder")
    await ana.taps("Redness")
    assert TOLD in await answer(ana, "Done", "You picked: redness.")
    (report,) = nour.news()
    assert report.startswith("Please answer: Ana\nMesotherapy, face, day 1.")
    assert "Reported: redness and worse than before, at" in report
    assert pick == await answer(ana, "Not sure", check)
    await clinic.forward(minutes=3, seconds=1)
    assert TOLD in ana.news()[-1]
    assert "Reported: not sure, at" in nour.news()[0]
    assert pick == await answer(ben, "Yes, I have one", check)
    await clinic.forward(minutes=3, seconds=1)
    urgent = next(said for said in ben.news() if said.startswith("A person needs"))
    assert f"Call Lumen Clinic now on {PHONE}. I am telling Nour at the same time." in urgent
    assert "call 116 117 or go to" in urgent
    (report,) = nour.news()
    assert report.startswith("URGENT: Ben")
    assert "Reported: a warning sign, not said which, at" in report

    await clinic.tick("2026-03-13 18:00")
    calm = "your day 3 limits"
    assert PHONE in await answer(ana, "Yes, it is calm", calm)
    nour.news()
    not_yet = await answer(ana, "Not yet", calm)
    assert "Please keep the limits for now.\nLumen Clinic gets it when it opens." in not_yet
    assert "call 116 117 or go to" in not_yet
    # On Friday evening nobody is there: what is not urgent is pushed when the clinic opens.
    assert nour.news() == []
    await clinic.tick("2026-03-16 09:00")
    assert "Reported: the skin is not calm, at" in nour.news()[-1]

    await clinic.tick("2026-03-17 10:00")
    week = "your day 7 limits"
    assert await answer(ana, "OK", week) == "Thank you. I have ticked it off."
    assert "Do you agree?" in await answer(ana, "Send a photo", week)
    assert "Please send the photo here." in await answer(ana, "I agree", "May I keep your photos")
    nour.news()
    assert f"call {PHONE} now" in await answer(ana, "Skin is not calm", week)
    assert "Reported: the skin is not calm, at" in nour.news()[0]

    await clinic.tick("2026-04-07 11:00")
    late = "a 4-week check"
    noted = await answer(ana, "No", late)
    assert f"tap Something is wrong or call {PHONE}." in noted
    assert "Your next message comes on Tue 2 June." in noted
    nour.news()
    assert pick == await answer(ana, "Yes", late)
    await ana.taps("Something milder")
    await ana.taps("Sore lump")
    assert TOLD in await answer(ana, "Done", "You picked: a sore lump.")
    assert "Reported: a sore lump, at" in nour.news()[0]
    assert pick == await answer(ana, "Not sure", late)
    await clinic.forward(minutes=3, seconds=1)
    assert TOLD in ana.last_message
    # Booking and upkeep wait for as long as nobody has taken what she reported.
    for alert in [each for each in nour.person.received if "I am on it" in each.labels]:
        await nour.taps("I am on it", alert)

    await clinic.tick("2026-06-02 11:00")
    upkeep = "Results fade with time."
    assert "it is 3 months since your last visit" in ana.last_message
    nour.news()
    book = await answer(ana, "No lump, book a visit", upkeep, asks_phone=True)
    assert "They will offer you one here." in book
    assert nour.news() == ["Ana would like to book a visit and waits for a time from you."]
    assert "I have noted your answer." in await answer(ana, "No lump, not now", upkeep)
    assert nour.news() == []
    assert pick == await answer(ana, "Yes, a lump", upkeep)
    await clinic.forward(minutes=3, seconds=1)
    assert TOLD in ana.last_message
    assert "Reported: a new lump or a sore spot" in nour.news()[0]


async def test_booking_is_asked_twice_at_most_and_a_no_is_kept(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    for patient, name in ((ana, "Ana"), (ben, "Ben")):
        await clinic.enroll(patient, name, "2026-03-11 09:00")
    assert "The messages before the booked visit come first." in nour.last_message
    await clinic.tick("2026-03-11 09:30")
    for name in ("Ana", "Ben"):
        await nour.says("/patients")
        await nour.taps(f"{name}, active")
        await nour.taps("Session done")
        await nour.taps("In 3 weeks")
    # 1 April is the date planned; ten days before it booking is asked for.
    await clinic.tick("2026-03-22 12:00")
    ask = "it is time to book your next visit"
    assert "Nour planned it for around Wed 1 April." in ana.find(ask).text
    nour.news()
    later = await answer(ana, "Later", ask)
    assert later.startswith("I will ask you again on Thu 26 March.")
    assert PHONE in later
    shown = await answer(ana, "Show times", ask, asks_phone=True)
    assert "They will offer you one here." in shown
    assert nour.news() == ["Ana would like to book a visit and waits for a time from you."]
    assert "I will not ask you to book again." in await answer(ben, "Not this time", ask)
    assert nour.news() == ["Ben does not want to book a next visit. I will not ask again."]
    # After the no there is nothing to be asked again, whatever an older button says.
    assert "I will not ask you again for this visit." in await answer(ben, "Later", ask)
    await ben.says("/plan")
    assert "booking the next visit" not in ben.last_message
    ben.news()
    first = ana.find(ask)
    await clinic.tick("2026-03-26 12:00")
    assert ana.find(ask) is not first
    assert "I will not ask you again for this visit." in await answer(ana, "Later", ask)
    (notice,) = ben.news()
    assert notice.startswith("Lumen: limits that have ended.")
    rows = await clinic.rows("SELECT * FROM v_reminder WHERE step = 'book-2' ORDER BY state")
    assert [(row["state"], row["reason"]) for row in rows] == [
        ("sent", None),
        ("skipped", "declined"),
    ]


async def test_before_the_next_visit_the_patient_says_yes_or_what_has_changed(
    clinic: Clinic,
) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    for patient, name in ((ana, "Ana"), (ben, "Ben")):
        await clinic.enroll(patient, name)
        await nour.taps("Open the card")
        await nour.taps("Set the next visit")
        await nour.says("2026-04-07 14:30")
        assert "your visit is booked for Tue 7 April at 14:30" in patient.last_message
    nour.news()
    assert "Until then, your old time is still booked." in await answer(
        ana, "Change the time", "your visit is booked"
    )
    assert nour.news() == [
        "Ana would like another time for the visit on Tue 7 April, 14:30.\n"
        "Until you move it, that time is still booked."
    ]
    await clinic.tick("2026-03-24 17:59")
    assert "From now until then, on the area" not in ana.last_message
    await clinic.tick("2026-03-24 18:00")
    prep = "From now until then, on the area"
    assert await answer(ana, "OK", prep) == "Thank you. I have ticked it off."
    assert PHONE in await answer(ana, "Ask the clinic", prep)

    await clinic.tick("2026-04-05 18:00")
    ask = "Has anything changed?"
    nour.news()
    assert await answer(ben, "I will come, no change", ask) == (
        "Thank you. See you on Tue 7 April at 14:30."
    )
    assert nour.news() == ["Ben will come on Tue 7 April, 14:30."]
    changed = await answer(ana, "Something changed", ask)
    assert f"I will pass it to Nour. The phone is {PHONE}." in changed
    assert "Do not stop a medicine your doctor gave you." in changed
    await ana.says("I have a cold sore")
    assert "I have a cold sore" in nour.news()[-1]
    # It is Sunday: what is not urgent waits for the opening.
    await clinic.tick("2026-04-06 09:00")
    assert "Reported: something changed before the visit, at" in nour.news()[-1]
    # The visit moves: the button of the old date confirms nothing, and the new date is asked about.
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Move the visit")
    await nour.says("2026-04-09 10:00")
    assert "your visit is now on Thu 9 April at 10:00" in ana.last_message
    nour.news()
    assert "This button is out of date." in await answer(ana, "I will come, no change", ask)
    assert nour.news() == []

    await clinic.tick("2026-04-08 12:00")
    confirm = "will you come on Thu 9 April at 10:00?"
    assert "will you come" not in " ".join(ben.heard)
    assert "Until then, your old time" in await answer(ana, "Change the time", confirm)
    assert "See you on Thu 9 April at 10:00." in await answer(ana, "Yes", confirm)
    nour.news()
    ana.news()
    await ana.taps("Cancel the visit", ana.find(confirm))
    # No visit is near any more, so the late check that it had replaced comes now.
    cancelled, check = ana.news()
    assert "a 4-week check" in check
    assert "your visit on Thu 9 April at 10:00 is cancelled" in cancelled
    assert PHONE in cancelled
    assert nour.news() == ["Ana has cancelled the visit on Thu 9 April, 10:00."]
    assert "This button is out of date." in await answer(ana, "Yes", confirm)
    await ana.says("/visits")
    assert "- Thu 9 April, 10:00: cancelled" in ana.last_message
    rows = await clinic.rows("SELECT * FROM v_reminder WHERE step = 'conf' ORDER BY state")
    assert {(row["state"], row["reason"]) for row in rows} >= {
        ("sent", None),
        ("skipped", "confirmed"),
    }
