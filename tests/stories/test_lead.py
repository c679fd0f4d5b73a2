"""The lead of a clinic: reads and approves, tests on themselves, invites and removes colleagues."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import App
from bot.clock import PushedClock
from bot.parts import shipped_messages
from bot.rehearsal import demo_clinic, rehearsal
from bot.services import clinic as clinics
from bot.storage.queries import people
from tests.cast import Clinic
from tests.conftest import START, cast_of
from tests.stories.test_practitioner_bad_input import NOT_ALLOWED, STALE, forged
from tests.stories.test_visits import card_of

MESO = "mesotherapy, face"


@pytest.fixture
async def fresh(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> AsyncIterator[Clinic]:
    """A real clinic on its first day: nothing is approved yet."""
    kept = demo_clinic()
    kept.is_demo = False
    async with rehearsal(
        tmp_path / "data",
        clock=PushedClock(START),
        clinic=kept,
        send_rate=10_000,
        chat_burst=1_000,
        database_url=chosen_database_url,
    ) as (whole, _):
        story = cast_of(whole)
        await story.nour.opens(whole.lead_link)
        yield story


async def approve(clinic: Clinic) -> None:
    """Nour opens the protocol at its last page and approves it."""
    await clinic.nour.forges("1:protocol:mesotherapy-face:11")
    await clinic.nour.taps("I approve")


async def test_a_protocol_is_read_and_approved_before_its_first_use(fresh: Clinic) -> None:
    nour, ana = fresh.nour, fresh.ana
    assert nour.last_message.startswith("Welcome. You are the lead of Lumen Clinic.")
    nothing = "No protocol is approved yet, so I cannot add a patient."
    await nour.presses("New patient")
    assert nour.last_message.startswith(nothing)
    await nour.says("/enroll Ana mesotherapy-face")
    assert nour.last_message.startswith(nothing)
    await nour.forges("1:test:mesotherapy-face")
    assert nour.last_message.startswith(nothing)
    assert await fresh.rows("SELECT * FROM patient") == []

    await nour.taps("Read the protocols")
    assert nour.find(f"- {MESO}: not approved")
    await nour.taps(MESO)
    pages = [nour.find("Page 1 of").text]
    while "Next page" in nour.buttons:
        assert "I approve" not in nour.buttons
        await nour.taps("Next page")
        pages.append(nour.find(f"Page {len(pages) + 1} of").text)
    await nour.taps("I approve")
    protocol = fresh.rehearsal.app.deps.catalogue.protocols["mesotherapy-face"]
    read = [page.splitlines()[1].split()[-1] for page in pages]
    assert sorted(read) == sorted(step.id for step in protocol.steps)
    assert read[:2] == ["card", "d1"]
    assert "Page 1 of 12: step card" in pages[0]
    assert "no touching, rubbing or pressing" in pages[0]
    assert "when to get help" in pages[0]
    assert "Buttons:\n- None of these\n- Yes, I have one\n- Not sure\n" in pages[1]
    assert "Sources: 000, 003, A11, A12." in pages[1]
    assert nour.find("You approved mesotherapy, face, version 2.")
    await fresh.enroll(ana)
    assert ana.find("your care card")


async def test_changed_content_needs_a_new_approval(fresh: Clinic, tmp_path: Path) -> None:
    nour, ana = fresh.nour, fresh.ana
    await approve(fresh)
    await fresh.enroll(ana)
    await nour.presses("Team")
    await nour.forges("1:protocol:mesotherapy-face:11")
    old_page = nour.person.last_message

    # The clinic lays its own protocol over the shipped one, and the bot is started anew.
    own = tmp_path / "messages" / "protocols"
    own.mkdir(parents=True)
    shipped = shipped_messages() / "protocols" / "mesotherapy-face.toml"
    text = shipped.read_text().replace('when = "D+3 18:00"', 'when = "D+3 17:00"')
    (own / shipped.name).write_text(text.replace('"D+3 18:00"', '"D+3 17:00"'))
    async with AsyncExitStack() as stack:
        was = fresh.rehearsal.app
        await was.stop()
        changed = was.options.model_copy(update={"messages_dir": tmp_path / "messages"})
        running = App(changed, fresh.rehearsal.clock, 1_000)
        await running.start(web=False)
        stack.push_async_callback(running.stop)
        fresh.rehearsal = replace(fresh.rehearsal, app=running)
        again = cast_of(fresh.rehearsal)
        again.nour.person, again.ana.person = nour.person, ana.person
        nour, ana = again.nour, again.ana

        await nour.says("/enroll Ben mesotherapy-face")
        assert nour.last_message.startswith("No protocol is approved yet")
        # What was read before the change is not what would be approved now.
        await nour.taps("I approve", old_page)
        assert nour.last_message.startswith(STALE)
        await again.tick("2026-03-13 17:30")
        assert "day 3" not in ana.last_message
        await approve(again)
        await nour.says("/enroll Ben mesotherapy-face")
        assert nour.link
        # A course that runs keeps the version it began with.
        await again.tick("2026-03-13 18:00")
        assert ana.last_message.startswith("Lumen: your day 3 limits.")
        await again.join(again.ben)
        await again.tick("2026-03-16 17:00")
        assert again.ben.last_message.startswith("Lumen: your day 3 limits.")
        await again.check_ledger()
        await running.stop()
    shutil.rmtree(own)


async def test_the_lead_sees_every_message_once_as_a_test(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    told = len(ana.heard)
    await approve(clinic)
    began = len(nour.heard)
    await nour.person.taps("Send me a test course")
    await nour.taps("Send me a test course")
    assert "A test course is still on its way to you. It takes less than a minute." in nour.heard
    await clinic.forward(minutes=1)
    steps = clinic.rehearsal.app.deps.catalogue.protocols["mesotherapy-face"].steps
    tests = [words for words in nour.heard[began:] if words.startswith("TEST. A patient reads:")]
    # One message a step, and the card's second bubble.
    assert len(tests) == len(steps) + 1
    for step in steps:
        assert (await clinic.history(step.id))[-1] == "sent"

    # Upkeep comes months later; its texts say how many, though a test takes a minute.
    upkeep = [words for words in tests if "since your last visit" in words]
    assert [re.findall(r"it is (\d+) months", words) for words in upkeep] == [["3"], ["6"]]

    # The buttons work, and whatever follows from them is marked.
    mark = "TEST. A patient reads:\n\n"
    await nour.taps("None of these", nour.find("day 1 check"))
    assert nour.last_message.startswith(mark)
    await nour.taps("Worse")
    await nour.taps("Something milder")
    await nour.taps("Cold sore")
    await nour.taps("Done")
    assert nour.find(f"{mark}Thank you for telling us. I have told Lumen Clinic.")
    assert nour.find("Please answer (TEST): Nour\n")
    await nour.taps("Something is wrong", nour.find("when to get help"))
    await nour.taps("Pain, skin or weakness")
    await nour.taps("Hot and spreading")
    assert nour.find(f"{mark}A person needs to look at this now.")
    assert nour.find("URGENT (TEST): Nour\n")
    await nour.taps("I am on it")
    assert nour.find("TEST.\nYou are on it.")
    assert nour.find(f"{mark}Lumen: Nour has seen your report.")
    await nour.taps("I will come, no change")
    assert nour.find("TEST. This is not a patient.\n\nNour will come on")
    await nour.taps("Ask the clinic", nour.find("your care card"))
    await nour.says("may I swim?")
    assert nour.find("TEST.\nNour sent a message:\nmay I swim?")
    assert nour.find(f"{mark}I am a bot, so I passed your message to Lumen Clinic.")

    # The lead is still the lead, and no patient has noticed anything.
    await nour.presses("Today")
    assert "Nour" not in nour.last_message
    await nour.presses("Patients")
    assert nour.buttons == ["Ana, active", "Add a patient"]
    await nour.taps("Ana, active")
    assert "Next message: Wed 11 March, 10:00, a check." in nour.last_message
    await nour.says("may I swim?")
    assert nour.last_message.startswith("I did not understand that.")
    assert len(ana.heard) == told
    await clinic.check_ledger()


async def test_a_colleague_joins_by_a_link_and_leaves_at_once(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    omar, eve = clinic.someone("Omar", username="omar_lumen"), clinic.someone("Eve")
    await nour.presses("Team")
    assert nour.last_message == "Team\n- Nour, lead"
    await nour.person.taps("Invite a colleague")
    await nour.taps("Invite a colleague")
    assert sum("This link adds one colleague" in words for words in nour.heard) == 1
    link = nour.link
    assert nour.find("It works once, for 24 hours.").code == link
    # The lead who tries it neither uses it up nor stops being the lead.
    await nour.opens(link)
    assert nour.last_message == "This link is for a colleague. Please pass it on. It still works."
    await omar.opens(link)
    assert omar.last_message.startswith("Welcome to the aftercare bot of Lumen Clinic.")
    assert omar.person.reply_keyboard == nour.person.reply_keyboard
    await eve.opens(link)
    assert eve.last_message.startswith("This link does not work.")
    await omar.presses("Team")
    assert omar.last_message == "Team\n- Nour, lead\n- Omar, practitioner"
    assert not omar.person.last_message.labels
    (me,) = await clinic.rows("SELECT ref FROM practitioner WHERE role = 'lead'")
    taps = ["1:invite:practitioner", "1:protocols", "1:protocol:mesotherapy-face:0"]
    taps += ["1:approve:mesotherapy-face:x", "1:test:mesotherapy-face", f"1:remove:{me['ref']}"]
    await forged(clinic, omar, taps, NOT_ALLOWED)
    await nour.forges(f"1:remove:{me['ref']}")
    assert nour.last_message.startswith(STALE)

    # Omar's patients: one in care, one who waits to be confirmed by him.
    await omar.says("/enroll Ana mesotherapy-face")
    await ana.opens(omar.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("Yes")
    await omar.taps("Yes, confirm")
    assert omar.last_message.startswith("Ana has joined.")
    await omar.says("/enroll Ben mesotherapy-face")
    await ben.opens(omar.link)
    await card_of(clinic, "Ana")
    await nour.presses("Team")
    told = len(omar.heard)
    await nour.taps("Omar")
    await nour.taps("Remove from the team")
    assert nour.find("Omar can no longer use this bot. The patients of Omar are now yours.")
    await omar.presses("Today")
    assert omar.last_message.startswith("This bot is for patients of Lumen Clinic.")
    # Somebody who is nobody here is answered once in ten seconds.
    await clinic.forward(seconds=11)
    await omar.says("/today")
    assert omar.last_message == NOT_ALLOWED
    for label in ("Yes, confirm", "Open the card"):
        await clinic.forward(seconds=11)
        await omar.taps(label)
        assert omar.last_message == NOT_ALLOWED
    # Ben waits for nobody who is gone, and Omar hears no more of them.
    assert nour.last_message.startswith("Somebody opened the link for Ben:")
    await nour.taps("Yes, confirm")
    await ana.reports_danger()
    assert "Reported: a hot area that spreads" in nour.last_message
    await clinic.forward(minutes=15)
    assert len(omar.heard) == told + 4

    # Invited again he is back; a link of the day before is not good any more.
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    late = nour.link
    await clinic.forward(hours=24)
    await omar.opens(late)
    assert omar.last_message.startswith("This link does not work.")
    await nour.taps("Invite a colleague")
    await omar.opens(nour.link)
    await omar.presses("Patients")
    assert omar.buttons[0] == "Ben, link opened"
    await clinic.check_ledger()


async def test_a_lead_who_lost_the_account_takes_over_with_another(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await nour.says("/enroll Ben mesotherapy-face")
    await ben.opens(nour.link)
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    thiefs = nour.link
    deps = clinic.rehearsal.app.deps
    links = []
    for _ in range(2):
        async with deps.database.write() as session:
            kept = await people.the_clinic(session)
            assert kept is not None
            links.append(await clinics.invite_lead(session, kept, deps))
    again, omar = clinic.someone("Nour"), clinic.someone("Omar")
    await omar.opens(links[0])
    assert omar.last_message.startswith("This link does not work.")
    # Until the link is opened, nothing changes.
    await nour.says("/patients")
    assert "Ana, active" in nour.buttons
    await again.opens(links[1])
    assert again.heard[-2].startswith("Welcome. You are the lead of Lumen Clinic.")
    # Who waits to be confirmed is asked of the new account; the patients are there too.
    assert "Is this Ben?" in again.last_message
    await again.says("/patients")
    assert "Ana, active" in again.buttons
    await nour.says("/patients")
    assert nour.last_message == "You cannot do that here. Nothing was changed."
    await clinic.forward(seconds=11)
    await omar.opens(thiefs)
    assert omar.last_message.startswith("This link does not work.")
    nour.news()
    await ana.reports_danger()
    assert again.last_message.startswith("URGENT: Ana")
    assert nour.news() == []


async def test_a_colleague_can_be_made_the_lead(clinic: Clinic) -> None:
    nour, maya = clinic.nour, clinic.someone("Maya")
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    await maya.opens(nour.link)
    deps = clinic.rehearsal.app.deps
    async with deps.database.write() as session:
        kept = await people.the_clinic(session)
        assert kept is not None
        link = await clinics.invite_lead(session, kept, deps)
    # The lead who tries the link does not use it up.
    await nour.opens(link)
    await maya.opens(link)
    assert maya.last_message.startswith("Welcome. You are the lead of Lumen Clinic.")


async def test_who_inherits_an_unconfirmed_patient_is_asked_again_too(clinic: Clinic) -> None:
    nour, ana, maya = clinic.nour, clinic.ana, clinic.someone("Maya")
    await nour.presses("Team")
    await nour.taps("Invite a colleague")
    await maya.opens(nour.link)
    await maya.says("/enroll Ana mesotherapy-face")
    await ana.opens(maya.link)
    await clinic.forward(minutes=5)
    await nour.presses("Team")
    await nour.taps("Maya")
    await nour.taps("Remove from the team")
    maya.news()
    nour.news()
    await clinic.forward(minutes=15)
    again = [said.splitlines()[0] for said in nour.news()]
    assert again == ["Ana is still waiting for you."] * 2
    # Maya's own second nudge is hers no more.
    assert maya.news() == []
    await nour.taps("Yes, confirm")
    await clinic.forward(minutes=15)
    assert not any("still waiting" in said for said in nour.news())
