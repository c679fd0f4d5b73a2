"""The patient's phone number: asked for when it helps, shared by one tap, or kept to oneself."""

from tests.cast import Clinic
from tests.stories.test_own_data import files
from tests.stories.test_visits import card_of

Keyboard = tuple[tuple[str, ...], ...]
MENU: Keyboard = (
    ("My plan", "Limits still on"),
    ("Ask the clinic", "My visits"),
    ("Something is wrong",),
)
ASKING: Keyboard = (("Share my number",), ("No, keep my number",), *MENU)
FOR_VISITS = """Can Lumen Clinic phone you about your visits?
To share your number, tap Share my number below. Only your clinic team sees it.
You do not have to share it."""
ABOUT_THIS = FOR_VISITS.replace("your visits", "this")
REFUSED = """That is all right. I do not ask for your number again.
You can call Lumen Clinic on +49 30 5550 100."""
OF_OTHER = """That is the number of somebody else. I have not kept it.
To tell Lumen Clinic about it, please write it here."""


async def until_booking(clinic: Clinic) -> None:
    """Ana has a session, and is asked to book the next one."""
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    await clinic.forward(minutes=6)
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    await nour.taps("In 3 weeks")
    await clinic.tick("2026-03-21 12:00")


async def test_it_is_asked_for_at_the_first_booking_and_shared_by_one_tap(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await until_booking(clinic)
    assert not any("number" in words for words in ana.heard)
    assert ana.person.reply_keyboard == MENU
    ana.news()
    await ana.taps("Show times")
    booking, asked = ana.news()
    assert booking.startswith("I have asked Lumen Clinic for times.")
    assert asked == FOR_VISITS
    assert ana.person.reply_keyboard == ASKING
    number = ana.person.phone
    nour.news()
    await ana.presses("Share my number")
    assert ana.news() == [
        f"Thank you. I have kept your number: {number}.\n"
        "Lumen Clinic can phone you now. You can still call them on +49 30 5550 100."
    ]
    assert ana.person.reply_keyboard == MENU
    assert nour.news() == [f"Ana has shared a phone number: {number}"]
    await card_of(clinic, "Ana")
    assert nour.last_message.startswith(f"Ana, active\nPhone: {number}\n")
    assert number.encode() not in await clinic.stored()

    # It stands in what is urgent, nobody asks again, and her own copy has it.
    await ana.reports_danger()
    assert f"Phone of the patient: {number}\n" in nour.find("Reported: a hot area").text
    assert "Note for the doctor or nurse" in ana.last_message
    await ana.says("/mydata")
    page, held = files(ana)
    assert held["details"][0]["phone"] == number
    assert f"<th>Phone number</th><td>{number}</td>" in page
    await clinic.check_ledger()


async def test_it_is_asked_for_after_an_urgent_text_and_never_again_after_a_no(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    ana.news()
    await ana.reports_danger()
    *_, urgent, note, asked = ana.news()
    assert urgent.startswith("A person needs to look at this now.\n")
    assert note.startswith("Note for the doctor or nurse")
    assert asked == ABOUT_THIS
    assert ana.person.reply_keyboard == ASKING
    nour.news()
    await ana.presses("No, keep my number")
    assert ana.news() == [REFUSED]
    assert ana.person.reply_keyboard == MENU
    assert nour.news() == []
    await clinic.forward(hours=1)
    await ana.reports_danger()
    assert "Note for the doctor or nurse" in ana.last_message
    await ana.says("I think I will faint")
    assert not any("Can Lumen Clinic phone you" in words for words in ana.news())

    # Shared all the same, it is kept: whoever waits to phone hears of it at once.
    await ana.does(ana.person.sends_contact)
    assert ana.last_message.startswith(f"Thank you. I have kept your number: {ana.person.phone}.")
    assert nour.last_message == f"Ana has shared a phone number: {ana.person.phone}"
    lanes = await clinic.rows("SELECT lane FROM v_message WHERE template LIKE '%phone_given'")
    assert [row["lane"] for row in lanes] == ["danger"]


async def test_words_of_danger_are_answered_before_it_is_asked_for(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    ana.news()
    await ana.says("I think I will faint")
    first, *_, last = ana.news()
    assert "112" in first
    assert last == ABOUT_THIS
    # The key's words, typed on a computer that shares no contact, explain it once more.
    await ana.says("Share my number")
    assert ana.last_message == FOR_VISITS
    assert ana.person.reply_keyboard == ASKING


async def test_in_an_emergency_nobody_is_asked_for_a_number(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.reports("Breathing, throat, speech")
    assert "Note for the doctor or nurse" in ana.last_message
    assert ana.person.reply_keyboard == MENU


async def test_the_number_of_somebody_else_is_refused(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    nour.news()
    await ana.does(ana.person.sends_contact, ben.person)
    assert ana.last_message == OF_OTHER
    assert nour.news() == []
    await card_of(clinic, "Ana")
    assert "Phone:" not in nour.last_message
    # A contact that cannot be called is passed on like anything else.
    await ana.does(ana.person.sends_contact, None, "12")
    assert nour.find("Ana sent something that I cannot read")


async def test_a_practitioner_types_it_and_puts_it_right(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    await nour.taps("Set the phone number")
    assert nour.last_message == ("Ana: which phone number? Type it, for example:\n+49 30 5550 100")
    for wrong in ("call me", "12", "1" * 16, "+49 30 5550 100 at work"):
        await nour.says(wrong)
        assert nour.last_message == (
            "I cannot read this as a phone number. Nothing was changed.\n"
            "Type 4 to 15 digits, for example: +49 30 5550 100"
        ), wrong
    await nour.says(" (030) 1234-567 ")
    assert nour.last_message == (
        "Ana: the phone number is (030) 1234-567.\nIt stands on the card and in urgent reports."
    )
    await ana.reports_danger()
    assert "Phone of the patient: (030) 1234-567\n" in nour.find("Reported: a hot area").text
    assert "Note for the doctor or nurse" in ana.last_message
    await card_of(clinic, "Ana")
    await nour.taps("Set the phone number")
    assert nour.last_message.endswith("\nOn record: (030) 1234-567. Send - to empty it.")
    await nour.says("-")
    assert nour.last_message.startswith("Ana: no phone number is on record.")
    await nour.taps("Open the card")
    assert "Phone:" not in nour.last_message


async def test_a_number_goes_with_its_account_unless_the_clinic_typed_it(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    for patient in (ana, ben):
        await patient.does(patient.person.sends_contact)
    await card_of(clinic, "Ben")
    await nour.taps("Set the phone number")
    await nour.says("030 1234567")
    for patient in (ana, ben):
        await patient.says("/settings")
        await patient.taps("This is not me")
        await patient.taps("No, that is not me")
    await card_of(clinic, "Ana")
    assert "Phone:" not in nour.last_message
    await card_of(clinic, "Ben")
    assert "Phone: 030 1234567\n" in nour.last_message
