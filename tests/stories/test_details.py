"""Area and product of a session: typed when somebody has the time, read when they matter."""

from tests.cast import Clinic
from tests.stories.test_courses import FILLER_TITLE, add
from tests.stories.test_own_data import files
from tests.stories.test_practitioner_bad_input import STALE
from tests.stories.test_visits import card_of

AREA = """{patient}, session of {at}.
Which area was treated? Type it, for example:
lips"""
PRODUCT = """{patient}, session of {at}.
Which product, and which lot? Type it, for example:
Brand, lot 12345"""
KEPT = """{patient}, session of {at}
Area: {area}
Product: {product}
It stands on the card and in the note for a doctor. To correct it, tap Area and product."""
SESSION = {"patient": "Ana", "at": "Tue 10 March, 14:30"}


async def test_area_and_product_are_typed_shown_and_corrected(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    assert "Area: " not in nour.last_message
    await nour.taps("Area and product")
    assert nour.last_message == AREA.format(**SESSION)
    assert nour.buttons == ["Go on to the product", "Open the card"]
    await nour.says("  lips,\n lower ")
    assert nour.last_message == PRODUCT.format(**SESSION)
    await nour.says("Brand, lot 12345")
    assert nour.last_message == KEPT.format(
        **SESSION, area="lips, lower", product="Brand, lot 12345"
    )
    assert nour.buttons == ["Area and product", "Open the card"]
    await nour.taps("Open the card")
    assert "(day 0).\nArea: lips, lower\nProduct: Brand, lot 12345\n" in nour.last_message

    # Whoever helps her reads it, and so does she.
    await ana.reports_danger()
    note = ana.find("Note for the doctor or nurse").text
    assert "\nArea: lips, lower\nProduct: Brand, lot 12345\n" in note
    await ana.says("/mydata")
    page, held = files(ana)
    (visit,) = held["visits"]
    assert (visit["area"], visit["product"]) == ("lips, lower", "Brand, lot 12345")
    assert "<th>Product</th><td>Brand, lot 12345</td>" in page

    # Put right: the area stays, the product goes.
    await card_of(clinic, "Ana")
    await nour.taps("Area and product")
    assert nour.last_message == (
        AREA.format(**SESSION) + "\nOn record: lips, lower. Send - to empty it."
    )
    await nour.taps("Go on to the product")
    assert nour.last_message.endswith("\nOn record: Brand, lot 12345. Send - to empty it.")
    await nour.says("x" * 101)
    assert nour.last_message == (
        "That is too long. Please write 100 characters at most. Nothing was changed."
    )
    await nour.says("-")
    assert nour.last_message == KEPT.format(**SESSION, area="lips, lower", product="not on record")
    await card_of(clinic, "Ana")
    assert "Area: lips, lower\nNext visit" in nour.last_message


async def test_each_session_has_its_own(clinic: Clinic) -> None:
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    await card_of(clinic, "Ana")
    await nour.taps("Area and product")
    await nour.says("cheeks")
    await nour.taps("Open the card")
    # Opened, the card has left the question: what is typed now is no product.
    told = len(nour.heard)
    await nour.says("Brand, lot 1")
    assert nour.heard[told].startswith("I did not understand that.")

    await add(clinic)
    await nour.taps("Area and product", nour.find("the treatment is added"))
    assert nour.last_message.startswith("Ana (dermal filler), session of Tue 10 March, 14:30.")
    await nour.says("lips")
    await nour.says("Brand, lot 2")
    assert nour.last_message.startswith(
        "Ana (dermal filler), session of Tue 10 March, 14:30\nArea: lips\nProduct: Brand, lot 2\n"
    )
    await clinic.tick("2026-03-24 16:00")
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    await nour.taps("mesotherapy, face")
    saved = nour.find("session 2 is saved")
    await nour.taps("Area and product", saved)
    assert nour.last_message == AREA.format(
        patient="Ana (mesotherapy, face)", at="Tue 24 March, 16:00"
    )
    await clinic.ana.reports_danger()
    note = clinic.ana.find("Note for the doctor or nurse").text
    # The new session's are not on record yet, and those of the old one are not taken for them.
    assert "Tue 24 March, 16:00\nArea: not on record\nProduct: not on record\n" in note
    assert "Tue 10 March, 14:30\nArea: lips\nProduct: Brand, lot 2\n" in note

    await card_of(clinic, "Ana")
    await nour.taps("Area and product")
    assert nour.last_message == "Area and product\nAna: which treatment?"
    await nour.taps(FILLER_TITLE)
    assert "On record: lips. Send - to empty it." in nour.last_message


async def test_a_session_that_was_taken_back_has_no_details(clinic: Clinic) -> None:
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    await clinic.forward(minutes=10)
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    saved = nour.person.last_message
    await nour.taps("Area and product", saved)
    asked = nour.person.last_message
    await nour.says("/undo")
    assert nour.last_message.startswith("Taken back: the session of")
    await nour.says("lips")
    assert nour.last_message.startswith(STALE)
    await nour.taps("Go on to the product", asked)
    assert nour.last_message.startswith(STALE)
    await card_of(clinic, "Ana")
    assert "Area: " not in nour.last_message
