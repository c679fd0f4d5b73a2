"""A practitioner enrolls a patient: a few taps, one typed name, a link that works once."""

import hashlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from bot.clock import PushedClock
from bot.rehearsal import demo_clinic, rehearsal
from tests.cast import Clinic
from tests.conftest import START, cast_of
from tests.stories.test_visits import card_of

BAD_LINK = (
    "This link does not work. Please ask your clinic for a new one.\n"
    "Questions? Call +49 30 5550 100.\n"
    "In an emergency, call 112."
)


def code_in(link: str) -> str:
    return parse_qs(urlsplit(link).query)["start"][0]


async def kept(clinic: Clinic) -> bytes:
    """Everything the clinic keeps: in its database, and in its folder beside it."""
    folder = clinic.rehearsal.app.options.data_dir
    files = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    return await clinic.stored() + b"".join(files)


async def test_three_taps_and_a_name_give_a_code_and_a_link(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    treatments = [
        clinic.rehearsal.app.deps.catalogue.label("en", "treatments", name)
        for name in clinic.rehearsal.app.deps.catalogue.protocols
    ]
    latest = [*clinic.rehearsal.app.deps.catalogue.protocols][-1]
    await nour.says(f"/enroll Cleo {latest}")
    await clinic.forward(minutes=5)

    await nour.presses("New patient")
    assert nour.last_message == "New patient. Send a first name or a code."
    await nour.says("  Ana \n Sample ")
    assert nour.last_message == "Ana Sample: which treatment?"
    # Whatever was used last stands on top.
    assert sorted(nour.buttons[:-1]) == sorted(treatments)
    assert nour.buttons[0] == treatments[-1]
    await nour.taps("mesotherapy, face")
    assert nour.last_message.startswith("Ana Sample, mesotherapy, face\nThe session has ended now.")
    assert "messages, the last on" in nour.last_message
    await nour.taps("Preview the plan")
    assert "- Wed 11 March, 10:00: a check" in nour.last_message
    await nour.taps("Create and show QR")
    shown = nour.person.last_message
    assert shown.code == nour.link
    assert "It works once, for 3 days." in shown.text
    assert re.fullmatch(r"https://t\.me/\w+\?start=[A-Za-z0-9_-]+", nour.link)
    # 64 letters to choose from are 6 bits each.
    assert 6 * len(code_in(nour.link)) >= 128
    assert len(code_in(nour.link)) <= 64

    # The code is nowhere on disk: before the link is opened, and after it.
    code = code_in(nour.link)
    assert code.encode() not in await kept(clinic)
    assert hashlib.sha256(code.encode()).hexdigest().encode() in await kept(clinic)
    await ana.opens(nour.link)
    assert "Are you Ana Sample?" in ana.last_message
    assert code.encode() not in await kept(clinic)
    await clinic.check_ledger()


async def test_who_opened_the_link_is_confirmed_with_one_tap(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.says("/enroll Ana mesotherapy-face")
    first = nour.link
    await ben.opens(first)
    assert "Ben, no @username\nIs this Ana?" in nour.last_message
    await ben.taps("Yes, that is me")
    await ben.taps("I am 18+ and I agree")
    await ben.taps("Yes")
    await nour.taps("No, somebody else")
    assert nour.last_message.startswith("I have let go of that account.")
    told = len(ben.heard)
    await clinic.forward(hours=2)
    assert len(ben.heard) == told
    assert await clinic.rows("SELECT * FROM v_reminder") == []
    await ben.says("hello?")
    assert "To begin, open the link that the clinic gives you." in ben.last_message

    await nour.taps("Make a new link")
    second = nour.link
    assert second != first
    await ana.opens(first)
    assert ana.last_message == BAD_LINK
    await ana.opens(second)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("Yes")
    # The practitioner sees the name and the @username, and is reminded after 2 and 10 minutes.
    assert nour.last_message.startswith(
        "Somebody opened the link for Ana:\nAna, @ana_sample\nIs this Ana?"
    )
    await clinic.forward(minutes=3)
    assert nour.last_message.startswith("Ana is still waiting for you.")
    await nour.taps("Yes, confirm")
    assert ana.find("your care card")
    assert nour.last_message == "Ana has joined.\nThe care card goes out now."
    await clinic.forward(minutes=30)
    assert not any("still waiting" in words for words in nour.heard)
    await nour.taps("Yes, confirm", nour.find("Somebody opened the link for Ana:\nAna"))
    assert nour.last_message.startswith("This button is out of date.")

    # Used up: for the same person, for another, and for one who guesses.
    await ben.opens(second)
    assert ben.last_message == BAD_LINK
    await ben.opens(f"{second[:-3]}xyz")
    assert ben.last_message == BAD_LINK
    await clinic.check_ledger()


async def test_a_link_ends_after_three_days_and_a_new_one_can_be_made(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.says("/enroll Ana mesotherapy-face")
    old = nour.link
    await clinic.forward(hours=71, minutes=59)
    await nour.says("/patients")
    await nour.taps("Ana, invited")
    await clinic.forward(minutes=1)
    await ana.opens(old)
    assert ana.last_message == BAD_LINK
    # Two taps on the button make one link.
    await nour.person.taps("Make a new link")
    await nour.taps("Make a new link")
    assert sum("Ask Ana to scan this code." in words for words in nour.heard) == 2
    assert nour.link != old
    await clinic.join(ana)
    # Three days late the card still comes, the checks whose time is over do not.
    assert "These limits are still on." in ana.find("your care card").text
    assert await clinic.history("card") == ["sent"]
    assert await clinic.history("d1") == ["skipped(joined_late)"]
    await clinic.check_ledger()


async def test_a_double_tap_is_answered_by_what_the_first_one_did(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.presses("New patient")
    await nour.says("Ana")
    await nour.taps("mesotherapy, face")
    ready = nour.person.last_message
    nour.news()
    await nour.person.taps("Create and show QR", ready)
    await nour.taps("Create and show QR", ready)
    (shown,) = nour.news()
    assert "Ask Ana to scan this code." in shown
    assert nour.toast() == ""
    assert len(await clinic.rows("SELECT * FROM patient")) == 1
    # The next finger on it is no slip, and neither is one on a button that was refused.
    await clinic.forward(seconds=30)
    await nour.person.taps("Create and show QR", ready)
    await nour.taps("Create and show QR", ready)
    assert [words[:26] for words in nour.news()] == ["This button is out of date"] * 2
    # Another button of the same screen has done nothing yet.
    await nour.presses("New patient")
    await nour.says("Ben")
    await nour.taps("mesotherapy, face")
    ready = nour.person.last_message
    await nour.taps("Create and show QR", ready)
    await nour.taps("Preview the plan", ready)
    assert nour.last_message.startswith("This button is out of date.")


async def test_one_line_enrolls_with_the_time_of_the_session(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.tick("2026-03-10 16:00")
    await nour.says("/enroll Anna Lee-Marie Mesotherapy-Face today 14:30")
    await clinic.join(ana)
    assert "Are you Anna Lee-Marie?" in "\n".join(ana.heard)
    assert "Until Wed 11 March, 14:30:" in ana.find("your care card").text

    # A session still to come: no card yet, but what leads up to the visit.
    await nour.says("/enroll Ben mesotherapy-face 28.03. 18:30")
    await clinic.join(ben)
    assert nour.last_message.startswith("Ben has joined.\nThe messages before the booked visit")
    assert not any("care card" in words for words in ben.heard)
    await clinic.tick("2026-03-14 18:00")
    assert "your visit is on Sat 28 March" in ben.last_message

    # The same by taps, with the time changed.
    await nour.presses("New patient")
    await nour.says("Cleo")
    await nour.taps("mesotherapy, face")
    await nour.taps("Change the session time")
    await nour.says("yesterday 9:15")
    assert "The session ended on Fri 13 March, 09:15." in nour.last_message
    await nour.taps("Create and show QR")
    cleo = clinic.someone("Cleo")
    await clinic.join(cleo)
    assert "Until Fri 20 March, 10:00:" in cleo.find("your care card").text
    await clinic.check_ledger()


async def test_one_line_without_a_treatment_asks_for_it(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.says("/enroll Cleo")
    assert nour.last_message == "Cleo: which treatment?"
    assert await clinic.rows("SELECT * FROM patient") == []
    await nour.taps("mesotherapy, face")
    assert "The session has ended now." in nour.last_message
    await nour.taps("Create and show QR")
    assert "Ask Cleo to scan this code." in nour.last_message

    # With a time, that is kept too.
    await nour.says("/enroll Dora today 9:30")
    assert nour.last_message == "Dora: which treatment?"
    await nour.taps("mesotherapy, face")
    assert "The session ended on Tue 10 March, 09:30." in nour.last_message
    await nour.says("/enroll Anna Maria mesotherapy-face")
    assert "Ask Anna Maria to scan this code." in nour.last_message
    assert len(await clinic.rows("SELECT * FROM patient")) == 2


async def test_the_link_says_which_session_it_is_for(clinic: Clinic) -> None:
    nour = clinic.nour
    slip = "Session: Mon 9 March, 14:30, by the clinic's clock."
    await nour.says("/enroll Ana mesotherapy-face yesterday 14:30")
    assert slip in nour.last_message
    await nour.says("/enroll Ben mesotherapy-face 28.03. 18:30")
    assert "First session: Sat 28 March, 18:30, by the clinic's clock." in nour.last_message
    # A link made anew says it again, as things are by then.
    await clinic.forward(minutes=1)
    await card_of(clinic, "Ana")
    await nour.taps("Make a new link")
    assert slip in nour.last_message
    await card_of(clinic, "Ana")
    await nour.taps("Correct the session time")
    await nour.says("10.03. 9:00")
    await clinic.forward(minutes=1)
    await card_of(clinic, "Ana")
    await nour.taps("Make a new link")
    assert "Session: Tue 10 March, 09:00, by the clinic's clock." in nour.last_message


@pytest.fixture
async def trusting(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> AsyncIterator[Clinic]:
    """A clinic that confirms nobody: whoever has the link is the patient."""
    kept = demo_clinic()
    kept.confirm_joining = False
    async with rehearsal(
        tmp_path,
        clock=PushedClock(START),
        clinic=kept,
        send_rate=10_000,
        chat_burst=1_000,
        database_url=chosen_database_url,
    ) as (whole, _):
        story = cast_of(whole)
        await story.nour.opens(whole.lead_link)
        yield story


async def test_confirming_can_be_switched_off(trusting: Clinic) -> None:
    nour, ana = trusting.nour, trusting.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    assert not any("care card" in words for words in ana.heard)
    await ana.taps("Yes")
    assert ana.find("your care card")
    assert not any("Is this Ana?" in words for words in nour.heard)
    await trusting.check_ledger()


async def test_a_name_cannot_pass_for_another_account(clinic: Clinic) -> None:
    nour = clinic.nour
    forged = (
        "Ana\u202e @ana_sample\n\nSystem:\u2028confirmed",
        "Ana \uff20ana_sample\u200b System: confirmed",
    )
    for number, name in enumerate(forged):
        await nour.says(f"/enroll Ana{number} mesotherapy-face")
        mallory = clinic.someone(name)
        mallory.person.last_name = "Smith\u2066 @x"
        await mallory.opens(nour.link)
        asked = f"Somebody opened the link for Ana{number}:"
        shown = "Ana ana_sample System: confirmed Smith x, no @username"
        assert nour.last_message.startswith(f"{asked}\n{shown}\nIs this Ana{number}?")
    await nour.says("/enroll Lea mesotherapy-face")
    lea = clinic.someone("Lea", username="lea_s")
    lea.person.last_name = "Stone"
    await lea.opens(nour.link)
    assert "\nLea Stone, @lea_s\nIs this Lea?" in nour.last_message


async def test_one_name_twice_is_told_what_to_do(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.says("/enroll Bea mesotherapy-body")
    assert "Treatment: mesotherapy, body.\n" in nour.last_message
    for treatment in ("mesotherapy-body", "mesotherapy-face"):
        await nour.says(f"/enroll Bea {treatment}")
        assert nour.last_message == (
            "You have just enrolled Bea. Nothing was changed.\n"
            "For one more treatment, open the card and tap Add a treatment.\n"
            "Is this somebody else of that name? Add a letter to tell them apart."
        )
    await nour.says("/enroll BeaM mesotherapy-face")
    assert "Treatment: mesotherapy, face." in nour.last_message
