"""Old, doubled and forged buttons, and commands that mean nothing: no harm, kind words."""

from typing import Any

from tests.cast import Actor, Clinic

STALE = "This button is out of date. Please use the menu below."


def data(person: Actor, label: str) -> str:
    """What the newest button with that label carries."""
    for message in reversed(person.person.received):
        for row in message.inline_keyboard or []:
            for button in row:
                if button["text"] == label:
                    return str(button["callback_data"])
    raise AssertionError(label)


async def ledger(clinic: Clinic) -> list[list[dict[str, Any]]]:
    """Everything that a button might change."""
    return [
        await clinic.rows(f"SELECT * FROM {view}")
        for view in ("v_reminder", "v_alert", "v_consent")
    ]


async def test_a_forged_button_does_nothing_and_gets_the_same_words(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await nour.taps("Open the card", nour.find("Ben has joined"))
    await nour.taps("Set the next visit")
    await nour.says("2026-04-07 14:30")
    await clinic.tick("2026-03-11 10:00")
    await ben.taps("None of these")
    before = await ledger(clinic)
    for person in (nour, ana, ben):
        person.news()
    others = [data(ben, label) for label in ("Got it", "Not sure", "Worse", "Change the time")]
    garbage = [
        *("1:step", "1:step:", "1:step:x:none_of_these", "1:trend:x:better", "1:change:x"),
        *("1:me:maybe", "1:zone:mars", "1:clock:abc", "1:clock:99999", "1:city:-1", "1:city:500"),
        *("1:stop:everything", "1:resume:perhaps", "1:nothing", "2:wrong", "x", ":", "é" * 32),
        "1:step:" + "A" * 57,
    ]
    await ana.forges(*others, *garbage)
    said = ana.news()
    assert len(said) == len(others) + len(garbage)
    assert all(each.startswith(STALE) for each in said)
    assert all("tap Something is wrong or call +49 30 5550 100" in each for each in said)
    # What a practitioner's buttons do is not for patients, whatever they carry.
    ref = data(nour, "Undo").split(":")[2]
    await ana.forges(*(f"1:{each}:{ref}" for each in ("card", "session", "stopcourse", "undo")))
    assert ana.news() == ["You cannot do that here. Nothing was changed."] * 4
    assert await ledger(clinic) == before
    assert (nour.news(), ben.news()) == ([], [])


async def test_two_taps_on_one_button_are_one_answer(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    check = ana.person.last_message
    for person in (nour, ana):
        person.news()
    await ana.person.taps("Not sure", check)
    await ana.taps("Not sure", check)
    assert len(ana.news()) == 1
    assert ana.toast() == "Ticked off"
    # Another answer is another answer, and ends the report before it as it stands.
    await clinic.forward(minutes=1)
    await ana.taps("Yes, I have one", check)
    assert sum(said.startswith("Call 112 now if you cannot") for said in ana.news()) == 1
    (alert,) = await clinic.rows("SELECT * FROM v_alert")
    assert alert["level"] == "tell_clinic"
    await ana.taps("Pain, skin or weakness", ana.find("Call 112 now if you cannot"))
    # One finger, twice: what is urgent rings once.
    await ana.person.taps("Hot and spreading")
    await ana.taps("Hot and spreading", ana.find("Which one?"))
    assert len(await clinic.rows("SELECT * FROM v_alert WHERE level = 'urgent'")) == 1
    assert len([said for said in nour.news() if said.startswith("URGENT")]) == 1
    # Later the same one counts again.
    await clinic.forward(minutes=1)
    await ana.taps("Yes, I have one", check)
    await ana.taps("My sight")
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 3


async def test_an_old_button_still_reaches_a_person_weeks_later(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    hello, agree = data(ana, "Yes, that is me"), data(ana, "I am 18+ and I agree")
    await clinic.tick("2026-03-11 10:00")
    check = ana.person.last_message
    await clinic.tick("2026-05-20 12:00")
    nour.news()
    # Joining is over: those buttons are out of date. A warning sign never is.
    ana.news()
    await ana.forges(hello, agree)
    said = ana.news()
    assert [each.startswith(STALE) for each in said] == [True, True]
    assert "Your next message comes on Tue 2 June." in said[1]
    await ana.taps("Yes, I have one", check)
    await ana.taps("Pain, skin or weakness")
    await ana.taps("Hot and spreading")
    assert "Call Lumen Clinic now on +49 30 5550 100." in ana.heard[-3]
    assert nour.news()[0].startswith("URGENT: Ana\nMesotherapy, face, day 71.")
    # An account that left, or never was a patient, is shown the numbers at least.
    await ben.says("hello")
    for words in ("/wrong", "/plan", "/nonsense"):
        await ben.says(words)
        assert "+49 30 5550 100" in ben.last_message, words
    await ben.forges("1:wrong")
    assert "+49 30 5550 100" in ben.last_message
    assert "112" in ben.last_message
    assert nour.news() == []
    # A command that does not exist is passed on like any words.
    await ana.says("/helpme it hurts")
    assert "so I passed your message to Lumen Clinic" in ana.last_message
    assert "/helpme it hurts" in nour.news()[-1]
