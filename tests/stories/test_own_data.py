"""A copy of everything that is held: on a page and for a program, at once, for whoever asks."""

import json
import re
from typing import Any

from bot.services import own_data, situation
from bot.storage.queries import people
from tests.cast import Actor, Clinic
from tests.demo.caller import PNG
from tests.stories.test_visits import book

BEGUN = "I am collecting your data. It takes less than a minute."
WORDS = "zanzibar <b>marmalade</b>"


def files(ana: Actor) -> tuple[str, dict[str, Any]]:
    """The newest page and the newest file for a program."""
    found = {
        message.attachment.name: message.attachment.data
        for message in ana.person.received
        if message.attachment is not None
    }
    return found["mydata.html"].decode(), json.loads(found["mydata.json"])


async def test_both_files_hold_everything_and_come_at_once(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, name="Ana & Co")
    await clinic.enroll(clinic.ben, "Ben Secret")
    await book(clinic, "Ana & Co", "07.04.2026 15:00")
    await clinic.tick("2026-03-11 10:00")
    await ana.taps("None of these")
    await ana.taps("Worse")
    await ana.says(WORDS)
    await ana.does(ana.person.sends_photo, PNG, "look")
    # The list that "Worse" opened is left alone: that counts as told.
    await clinic.forward(minutes=4)
    await ana.reports_danger()
    nour.news()
    ana.news()
    await ana.says("/mydata")
    assert ana.news() == [
        BEGUN,
        "Lumen: here is a copy of your data.\n"
        "It has your details, visits, answers and messages.\n"
        "Open it on your phone or computer. Keep it to yourself.",
        "Lumen: the same data for a computer program.",
    ]
    # It is hers alone: nobody hears of it.
    assert nour.news() == []
    page, held = files(ana)
    (details,) = held["details"]
    assert details["name"] == "Ana & Co"
    assert details["account_number"] == ana.person.id
    assert details["username"] == "ana_sample"
    assert details["practitioner"] == "Nour"
    assert details["time_zone"] == "Europe/Berlin"
    assert [each["purpose"] for each in held["consents"]] == ["reminders"]
    assert [each["treatment"] for each in held["courses"]] == ["mesotherapy-face"]
    assert [each["state"] for each in held["visits"]] == ["done", "planned"]
    assert held["visits"][1]["planned_at"] == "2026-04-07T13:00:00.000Z"
    assert {each["limit"] for each in held["limits"]} >= {"gym", "sauna_steam"}
    ledger = await clinic.rows(
        f"SELECT * FROM v_reminder WHERE patient_ref = '{details['reference']}'"
    )
    assert len(held["reminders"]) == len(ledger) > 5
    assert [each["answer"] for each in held["answers"]] == ["none_of_these", "worse"]
    assert [each["level"] for each in held["alerts"]] == ["tell_clinic", "urgent"]
    texts = [each["text"] for each in held["messages"]]
    assert any("day 1 check" in text for text in texts)
    assert any(f"sent a message:\n{WORDS}" in text for text in texts)
    sent = [(each["kind"], each["text"]) for each in held["sent_by_you"]]
    assert ("text", WORDS) in sent
    assert ("photo", "look") in sent

    # The page says the same in words, and shows what was typed as it was typed.
    assert "<h1>Your data</h1>" in page
    assert "<th>Name</th><td>Ana &amp; Co</td>" in page
    assert "zanzibar &lt;b&gt;marmalade&lt;/b&gt;" in page
    assert "<td>Tue 7 April, 15:00</td>" in page
    assert "<td>mesotherapy, face</td>" in page
    assert "<th>Answer</th><td>None of these</td>" in page
    assert "None</td>" not in page
    # Nobody else is in it.
    for each in (page, json.dumps(held)):
        assert "Ben Secret" not in each
        assert str(clinic.ben.person.id) not in each
    assert not re.search(r"<(script|img|link)", page)


async def test_it_is_given_after_stop_and_one_finger_gets_one_copy(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.says("/stop")
    await ana.taps("Stop")
    ana.news()
    await ana.says("/mydata")
    assert len(ana.news()) == 3
    await ana.says("/mydata")
    assert ana.news() == [BEGUN]
    await clinic.forward(minutes=2)
    await ana.says("/mydata")
    assert len(ana.news()) == 3
    assert files(ana)[1]["details"][0]["state"] == "stopped"


async def test_the_files_themselves_are_kept_nowhere(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.says("/mydata")
    assert b"<h1>Your data</h1>" not in await clinic.stored()
    rows = await clinic.rows("SELECT template, state FROM v_message ORDER BY queued_at")
    sent = [row["state"] for row in rows if str(row["template"]).startswith("patient/my_data")]
    assert sent == ["sent", "sent", "sent"]


async def test_an_account_that_nobody_has_confirmed_gets_nothing_of_the_patient(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.reports_danger()
    await clinic.forward(minutes=5)
    await nour.says("/patients")
    await nour.taps("Ana, active")
    await nour.taps("Make a new link")
    await nour.taps("Make a new link")
    # The link is opened by somebody else, who tries whatever there is.
    stranger = clinic.someone("Ana", username="ana_not")
    await stranger.opens(nour.link)
    for words in ("/mydata", "/erase", "/settings"):
        await stranger.says(words)
        assert "My name is wrong" not in stranger.buttons
    await stranger.forges("1:erase:yes", "1:erase:ever", "1:settings:name", "1:keepphotos:yes")
    assert not any(message.attachment for message in stranger.person.received)
    said = " ".join(stranger.heard)
    for secret in ("mesotherapy", "hot area", "Front", "erased your data"):
        assert secret not in said
    # Her card is there, with what she reported.
    await nour.presses("Today")
    assert "URGENT: Ana" in nour.last_message


async def test_a_file_that_would_be_too_large_leaves_out_the_oldest(clinic: Clinic) -> None:
    ana, deps = clinic.ana, clinic.rehearsal.app.deps
    await clinic.enroll(ana)
    for number in range(12):
        await ana.says(f"message number {number}. " + "x" * 500)
    async with deps.database.read() as session:
        patient = await people.patient_by_account(session, ana.person.id)
        assert patient is not None
        whole = await situation.read(session, patient.id or 0)
        everything = await own_data.collect(session, whole)
        for name in own_data.FILES:
            made = await own_data.file_of(
                session, deps.catalogue, patient, name, clinic.now, largest=16_000
            )
            assert len(made) <= 16_000
            assert b"message number 11" in made
            assert b"message number 0." not in made
            assert (b"left out" if name == own_data.PAGE else b"older_left_out") in made
        assert len(everything["sent_by_you"]) > 12
