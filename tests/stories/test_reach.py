"""Somebody of the clinic cannot be reached: what patients report goes to another, or they call."""

import logging
from functools import partial

import pytest

from tests.cast import Actor, Clinic
from tests.demo.caller import PNG
from tests.stories.test_visits import book

PHONE = "+49 30 5550 100"
NOBODY = "has reached nobody at Lumen Clinic"
LOST = "Telegram does not reach Maya any more."


async def treated_by_maya(clinic: Clinic) -> Actor:
    """Maya joins the team and treats Ana; nobody has any news left."""
    nour, ana, maya = clinic.nour, clinic.ana, clinic.someone("Maya")
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    await maya.opens(nour.link)
    await maya.says("/enroll Ana mesotherapy-face")
    await ana.opens(maya.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("Yes")
    await maya.taps("Yes, confirm")
    for person in (nour, ana, maya):
        person.news()
    return maya


async def test_what_cannot_reach_one_practitioner_reaches_another(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    # Blocked without a word of it from Telegram: only the failing send tells.
    maya.person.blocked = True
    await ana.says("is this swelling all right?")
    assert ana.news()[-1].startswith("I am a bot, so I passed your message to Lumen Clinic.")
    lost, passed = sorted(nour.news(), key=lambda said: "sent a message" in said)
    assert lost.startswith(LOST)
    assert passed == "Ana sent a message:\nis this swelling all right?"

    # From now on she is left out, and the lead hears of it no second time.
    await ana.does(ana.person.sends_photo, PNG, "look")
    assert [said.splitlines()[0] for said in nour.news()] == ["Ana sent a photo:", "look"]
    assert nour.person.last_message.photo == PNG
    await ana.reports_danger()
    assert "I am telling Nour at the same time." in ana.news()[-3]
    assert [said.splitlines()[0] for said in nour.news()] == ["URGENT: Ana"]
    assert maya.news() == []

    # Whoever lets the bot in again is reached again, without having to say a word.
    await maya.does(maya.person.unblocks)
    assert maya.news() == [
        "I reach you again. Messages of the time between may be missing here.\n"
        "Please look at Today for open reports."
    ]
    await ana.says("and today?")
    assert maya.news() == ["Ana sent a message:\nand today?"]
    assert nour.news() == []


async def test_a_photo_follows_its_heading_to_the_colleague(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    maya.person.blocked = True
    await ana.does(ana.person.sends_photo, PNG, "look")
    told = [said for said in nour.news() if not said.startswith(LOST)]
    assert told == ["Ana sent a photo:\nlook\nIt follows below.", "look"]
    assert nour.person.last_message.photo == PNG


async def test_a_block_that_telegram_reports_counts_at_once(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    maya = await treated_by_maya(clinic)
    await maya.does(maya.person.blocks)
    assert nour.news()[0].startswith(LOST)
    await ana.says("is this all right?")
    assert nour.news() == ["Ana sent a message:\nis this all right?"]
    rows = await clinic.rows("SELECT * FROM v_message WHERE state = 'failed'")
    assert rows == []


async def test_nobody_is_left_and_the_patient_reads_to_call(
    clinic: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    ana.news()
    nour.person.blocked = True
    with caplog.at_level(logging.ERROR):
        await ana.does(ana.person.sends_photo, PNG, "is this all right?")
    # The bot found out only by trying; the heading and its photo are one report.
    passed, call, _asked = ana.news()
    assert passed.startswith("Thank you. I have passed your photo")
    assert call.startswith("Lumen: please phone us.")
    assert NOBODY in call
    assert f"Call {PHONE} yourself." in call
    assert "Call 112 now if:" in call
    (alarm, *_) = [r for r in caplog.records if getattr(r, "action", "") == "nobody_told"]
    assert "Ana" not in alarm.getMessage()

    # Now it is known: no text says that anybody was told, whatever the patient does.
    for act in (
        partial(ana.says, "hello?"),
        partial(ana.says, "I cannot see"),
        ana.reports_danger,
        partial(ana.does, ana.person.sends_voice),
    ):
        await clinic.forward(minutes=1)
        ana.news()
        await act()
        said = ana.news()
        assert any(NOBODY in each for each in said)
        assert not any("I am telling" in each for each in said)
    # What was reported stays open for whoever comes back.
    alerts = await clinic.rows("SELECT * FROM v_alert WHERE state = 'open'")
    assert len(alerts) == 2
    await nour.does(nour.person.unblocks)
    await nour.says("/start")
    await nour.presses("Today")
    assert "URGENT: Ana" in nour.last_message


async def test_an_answer_to_a_check_claims_nobody_either(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    await nour.does(nour.person.blocks)
    ana.news()
    check = next(m for m in reversed(ana.person.received) if "Yes, I have one" in m.labels)
    await ana.taps("Yes, I have one", check)
    await ana.taps("My sight")
    # What to do and what to show do not hang on anybody of the clinic.
    nobody, level, note = ana.news()[-3:]
    assert NOBODY in nobody
    assert level.startswith("Call 112 now. Do not wait for a reply here.\nTell them: I had")
    assert "I am telling" not in level
    assert note.startswith("Note for the doctor or nurse")


async def test_who_opened_a_link_while_nobody_could_be_asked_is_asked_about_later(
    clinic: Clinic,
) -> None:
    nour, ben = clinic.nour, clinic.ben
    await nour.says("/enroll Ben mesotherapy-face")
    await nour.does(nour.person.blocks)
    await ben.opens(nour.link)
    await ben.taps("Yes, that is me")
    await ben.taps("I am 18+ and I agree")
    await ben.taps("Yes")
    await clinic.forward(minutes=30)
    nour.news()
    await nour.does(nour.person.unblocks)
    asked = nour.find("Somebody opened the link for Ben")
    await nour.taps("Yes, confirm", asked)
    assert "when to get help" in ben.last_message
    await clinic.check_ledger()


@pytest.mark.parametrize("known", [True, False], ids=["known", "found out by the send"])
async def test_a_visit_that_nobody_recorded_is_asked_of_somebody_who_is_reached(
    clinic: Clinic, known: bool
) -> None:
    nour = clinic.nour
    maya = await treated_by_maya(clinic)
    await book(clinic, "Ana", "20.03.2026 15:00")
    if known:
        await maya.does(maya.person.blocks)
    maya.person.blocked = True
    nour.news()
    await clinic.tick("2026-03-21 15:05")
    asked = next(said for said in nour.news() if said.startswith("Nobody recorded"))
    assert asked.startswith("Nobody recorded the visit of Ana on Fri 20 March, 15:00")
    assert nour.buttons == ["Session done earlier", "Open the card"]


async def test_news_of_joining_reaches_the_lead_when_maya_is_not_reached(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    maya = await treated_by_maya(clinic)
    await maya.says("/enroll Ben mesotherapy-face")
    # She blocks the bot before anybody has opened it.
    link = maya.link
    await maya.does(maya.person.blocks)
    await ana.opens(link)
    assert nour.last_message.startswith("Ana opened a link for a new patient")
    await ben.opens(link)
    await ben.taps("No, wrong person")
    assert nour.last_message.startswith("Somebody opened the link for Ben and said: I am not Ben.")
    await clinic.forward(minutes=1)
    await nour.taps("Make a new link")
    await ben.opens(nour.link)
    await ben.taps("Yes, that is me")
    await ben.taps("No, thanks")
    assert nour.last_message.startswith("Ben read the consent and said no.")
    await clinic.forward(minutes=1)
    await nour.says("/patients")
    await nour.taps(next(label for label in nour.buttons if label.startswith("Ben, ")))
    await nour.taps("Make a new link")
    await clinic.join(ben)
    assert nour.last_message.startswith("Ben has joined.")
