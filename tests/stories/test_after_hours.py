"""While the clinic is closed and nobody is on call, no text sends anybody to its phone."""

from tests.cast import Clinic
from tests.stories.test_watched import nothing_reassures

PHONE = "+49 30 5550 100"
URGENT = "call 116 117 or go to the emergency department of the nearest hospital"


async def test_a_doubt_on_friday_evening_is_told_on_monday_and_says_so(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 18:30")
    ana.news()
    nour.news()
    await ana.taps("Not yet")
    (kept,) = ana.news()
    assert kept.startswith(
        "Thank you for telling us. Please keep the limits for now.\n"
        "Lumen Clinic gets it when it opens.\n"
    )
    assert kept.endswith(f"a fever? If so, {URGENT} now.")
    await ana.taps("Not sure")
    (asked,) = ana.news()
    assert "The clinic is closed now. If it cannot wait, call 116 117 or go to" in asked
    await clinic.forward(minutes=4)
    (told,) = ana.news()
    assert told.startswith("Thank you for telling us. Lumen Clinic gets it when it opens.\n")
    assert "They aim to reply by Mon 16 March, 13:00." in told
    assert f"If it cannot wait, {URGENT}." in told
    nothing_reassures([kept, asked, told])
    assert not any(PHONE in words for words in (kept, asked, told))
    assert nour.news() == []
    await clinic.tick("2026-03-16 09:00")
    assert all(words.startswith("Please answer: Ana") for words in nour.news())


async def test_in_open_hours_the_same_texts_name_the_clinics_phone(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    nour.news()
    await ana.reports("Something milder", "Done")
    told = ana.last_message
    assert told.startswith("Thank you for telling us. I have told Lumen Clinic.\n")
    assert f"If it cannot wait, call {PHONE}." in told
    assert len(nour.news()) == 1


async def test_whoever_has_seen_it_at_night_sends_nobody_to_a_closed_clinic(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 05:04")
    await ana.reports_danger()
    ana.news()
    await nour.taps("I am on it")
    (seen,) = ana.news()
    assert seen == (
        f"Lumen: Nour has seen your report.\nIf it gets worse, tap Something is wrong, or {URGENT}."
    )
    await ana.presses("Something is wrong")
    assert PHONE not in ana.last_message
    # With somebody on call the clinic's phone is answered at night.
    await nour.says("/team")
    await nour.taps("Nour")
    await nour.taps("Put on call")
    await clinic.forward(minutes=4)
    await ana.reports("Something milder", "Done")
    assert ana.last_message.startswith("Thank you for telling us. Lumen Clinic gets it when")
    assert f"If it cannot wait, call {PHONE}." in ana.last_message
