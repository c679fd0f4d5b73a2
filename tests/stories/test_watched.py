"""Something is wrong: from the first tap to a person, minute by minute, in the very words."""

from tests.cast import Clinic

NEVER = ("normal", "fine", "harmless", "nothing to worry", "do not worry", "no need to", "safe")


def nothing_reassures(said: list[str]) -> None:
    for words in said:
        assert not any(f" {word}" in words.lower() for word in NEVER), words


async def test_a_sign_of_danger_is_answered_at_once_and_goes_on_until_somebody_takes_it(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    ana.news()
    nour.news()
    await ana.presses("Something is wrong")
    (said,) = ana.news()
    assert said == (
        "Call 112 now if you cannot breathe, see or speak clearly.\n"
        "What is it? Tap the closest one, or write it here.\n"
        "The clinic's phone is +49 30 5550 100."
    )
    assert ana.buttons == [
        "Breathing, throat, speech",
        "My sight",
        "Faint, chest, weak side",
        "Pain, skin or weakness",
        "Fever or I feel ill",
        "Something milder",
        "I tapped by mistake",
    ]
    assert nour.news() == []
    await ana.taps("Pain, skin or weakness")
    await ana.taps("Cold, numb, blotchy skin")
    which, level, note = ana.news()
    assert which.startswith("You picked: cold, numb or blotchy skin.\nAnything else?")
    assert level.startswith("A person needs to look at this now.\nCall Lumen Clinic now on +49 30")
    assert note.startswith("Note for the doctor or nurse\nName: Ana\n")
    assert "Treatment: mesotherapy, face, Tue 10 March, 14:30" in note
    assert "Reported: cold, numb or blotchy skin" in note
    (alert,) = nour.news()
    assert alert.startswith("URGENT: Ana\nMesotherapy, face, day 1.\n")
    assert "Reported: cold, numb or blotchy skin, at Wed 11 March, 11:00." in alert
    nothing_reassures([which, level, note])
