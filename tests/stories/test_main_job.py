"""A patient is enrolled, and the right message arrives at the right hour."""

from tests.cast import Clinic


async def test_from_enrollment_to_the_fourth_week(both: Clinic) -> None:
    nour, ana = both.nour, both.ana
    await nour.says("New patient")
    await nour.says("Ana")
    await nour.taps("mesotherapy, face")
    await nour.taps("Create and show QR")
    assert nour.person.last_message.code == nour.link

    await ana.opens(nour.link)
    assert "Are you Ana?" in ana.last_message
    assert "mesotherapy" not in ana.last_message
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("Yes")
    assert "must now check" in ana.last_message
    await nour.taps("Yes, confirm")

    card, warning = ana.person.received[-2:]
    assert "Until Wed 11 March, 14:30" in card.text
    assert "Until Tue 17 March, 10:00" in card.text
    assert not card.silent
    assert warning.silent
    assert "Call 112 now" in warning.text

    await both.tick("2026-03-11 09:59")
    assert ana.last_message == warning.text
    await both.tick("2026-03-11 10:00")
    assert "day 1 check" in ana.last_message
    await ana.taps("None of these")
    await ana.taps("Better")
    assert "Your next message comes on Fri 13 March" in ana.last_message

    await both.tick("2026-03-13 18:00")
    assert "day 3" in ana.last_message
    await ana.taps("Yes, it is calm")
    await both.tick("2026-03-17 10:00")
    assert "day 7" in ana.last_message
    await both.tick("2026-04-07 11:00")
    assert "4-week check" in ana.last_message

    sent = [row for row in await both.rows("SELECT * FROM v_reminder") if row["state"] == "sent"]
    assert [row["step"] for row in sent] == ["card", "d1", "d3", "d7", "d28"]
