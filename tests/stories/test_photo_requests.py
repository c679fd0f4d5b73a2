"""Photos that a person of the clinic asks for, and a clinic that asks for none."""

from bot.outgoing import wording
from tests.cast import Actor, Clinic
from tests.pictures import made
from tests.stories.test_photos import agreeing, files, sends, states
from tests.stories.test_visits import card_of

ASKS = (
    "Lumen: Nour asks you for a photo.\n"
    "It shows the clinic team how the area is now. It is your choice.\n"
    "Worse now? Do not send a photo first. Tap Something is wrong."
)
ASK = "Ask for a photo"


def asked(ana: Actor) -> int:
    """How often a photo was asked for by a person."""
    return ana.heard.count(ASKS)


async def report_a_rash(ana: Actor) -> None:
    await ana.reports("Something milder", "Rash or hives", "Done")


async def test_whoever_took_an_alert_asks_for_a_photo_and_gets_it(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await report_a_rash(ana)
    await nour.taps("I am on it")
    taken = nour.person.last_message
    assert list(taken.labels) == [
        "Write to the patient",
        "Close: how did it end",
        ASK,
        "Open the card",
    ]
    await nour.taps(ASK, taken)
    assert nour.last_message.startswith("I have asked Ana for a photo.")
    assert ana.last_message == ASKS
    assert wording.banned(ASKS) == []
    assert ana.buttons == ["Send a photo", "Something is wrong"]

    # The consent comes first, as ever; then how to take it.
    wanted = ana.person.last_message
    await ana.taps("Send a photo", wanted)
    assert ana.last_message.startswith("May I keep your photos for your clinic team?")
    await ana.taps("I agree")
    assert ana.last_message.startswith("Please send the photo here.")
    await sends(clinic, ana, made.sharp())
    assert await states(clinic) == ["stored(front)"]
    assert any(each.photo == made.sharp() for each in nour.person.received)
    await ana.taps("Send a photo", wanted)
    assert ana.last_message.startswith("Please send the photo here.")

    # A second finger, or a colleague, asks nothing twice.
    await nour.taps(ASK, taken)
    assert asked(ana) == 1
    await clinic.forward(minutes=11)
    await nour.taps(ASK, taken)
    assert asked(ana) == 2
    rows = await clinic.rows("SELECT act FROM alert_log WHERE act = 'asked_for_photo'")
    assert len(rows) == 2


async def test_at_night_only_who_waits_for_the_clinic_is_asked(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-10 22:00")
    await card_of(clinic, "Ana")
    await nour.taps(ASK)
    assert asked(ana) == 0
    await clinic.tick("2026-03-11 08:30")
    assert asked(ana) == 1
    await clinic.tick("2026-03-11 23:00")
    await ana.reports_danger()
    await nour.taps("I am on it")
    await nour.taps(ASK)
    assert asked(ana) == 2


async def test_one_that_waits_for_the_morning_keeps_back_none_under_an_alert(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-10 22:00")
    await card_of(clinic, "Ana")
    card = nour.person.last_message
    await nour.taps(ASK, card)
    await ana.reports_danger()
    await nour.taps("I am on it")
    taken = nour.person.last_message
    await nour.taps(ASK, taken)
    assert nour.last_message.startswith("I have asked Ana for a photo.")
    assert asked(ana) == 1
    await nour.taps(ASK, taken)
    await clinic.tick("2026-03-11 10:00")
    # It took the place of the one that waited.
    assert asked(ana) == 1
    await clinic.check_ledger()


async def test_a_night_of_asking_asks_once_in_the_morning(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-10 22:00")
    await card_of(clinic, "Ana")
    card = nour.person.last_message
    for _ in range(3):
        await nour.taps(ASK, card)
        await clinic.forward(minutes=11)
    await clinic.tick("2026-03-11 08:30")
    assert asked(ana) == 1
    # It came just now, though it was asked for long ago.
    await nour.taps(ASK, card)
    assert asked(ana) == 1
    await clinic.forward(minutes=11)
    await nour.taps(ASK, card)
    assert asked(ana) == 2


async def test_a_wish_for_no_photos_and_a_stop_are_kept(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.says("/enroll Ana mesotherapy-face")
    await card_of(clinic, "Ana")
    # Nobody is asked who has not joined.
    assert ASK not in nour.buttons
    await nour.says("/enroll Ben mesotherapy-face")
    await clinic.join(clinic.ben)
    await card_of(clinic, "Ben")
    before = nour.person.last_message
    assert ASK in before.labels
    await clinic.ben.says("/settings")
    await clinic.ben.taps("Ask for no photos")
    await card_of(clinic, "Ben")
    assert ASK not in nour.buttons
    await nour.taps(ASK, before)
    assert nour.last_message.startswith("I have not asked Ben for a photo.")
    await clinic.ben.says("/settings")
    await clinic.ben.taps("Ask for photos again")
    await clinic.ben.says("/stop")
    await clinic.ben.taps("Stop")
    await nour.taps(ASK, before)
    assert asked(clinic.ben) == 0
    # Who reports something after STOP waits for the clinic, and may be asked for that.
    await report_a_rash(clinic.ben)
    await nour.taps("I am on it")
    await nour.taps(ASK)
    assert asked(clinic.ben) == 1
    # No button of a patient's card is anybody else's.
    asking = await clinic.rows("SELECT ref FROM patient ORDER BY id")
    await clinic.ben.forges(*[f"1:askphoto:{row['ref']}" for row in asking])
    assert asked(clinic.ben) == 1


async def test_a_clinic_switches_photos_off_and_on(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await agreeing(clinic, ana)
    consent = ana.find("May I keep your photos")
    await nour.presses("Team")
    old = nour.person.last_message
    assert "Photos" not in old.text
    await nour.taps("Switch photos off")
    assert "Photos are switched off: nobody is asked for any" in nour.last_message
    assert "Switch photos on" in nour.buttons
    await nour.forges("1:clinicphotos:off", "1:clinicphotos:perhaps")
    assert nour.last_message.startswith("This button is out of date")

    # Passed on, and not kept; what was kept before stays, and is still the patient's to take back.
    (passed,) = await sends(clinic, ana, made.sharp(2))
    assert "I have passed your photo" in passed
    assert nour.person.last_message.photo == made.sharp(2)
    assert await states(clinic) == ["stored(front)"]

    # Nobody is asked, by no text and no button.
    ana.news()
    await report_a_rash(ana)
    told = ana.find("Thank you for telling us")
    assert "photo" not in told.text
    assert list(told.labels) == ["It got worse"]
    await nour.taps("I am on it")
    assert ASK not in nour.buttons
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    await card_of(clinic, "Ana")
    assert "See the photos" in nour.buttons
    assert ASK not in nour.buttons
    await ana.says("/settings")
    assert "photos" not in " ".join(ana.buttons).lower()
    assert "Photo requests" not in ana.last_message
    await clinic.tick("2026-03-17 10:00")
    assert "Send a photo" not in ana.find("your day 7 limits").labels
    await clinic.tick("2026-04-07 11:00")
    assert "photo" not in ana.find("a 4-week check").text
    await ana.taps("No, keep none", consent)
    assert files(clinic) == []

    await nour.presses("Team")
    await nour.taps("Switch photos on")
    assert "Photos" not in nour.last_message
    await clinic.check_ledger()


async def test_only_the_lead_switches_photos(clinic: Clinic) -> None:
    nour, ben = clinic.nour, clinic.ben
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    await ben.opens(nour.link)
    await ben.presses("Team")
    assert "Switch photos off" not in ben.buttons
    await ben.forges("1:clinicphotos:off")
    (row,) = await clinic.rows("SELECT photos_on FROM clinic")
    assert row["photos_on"]
