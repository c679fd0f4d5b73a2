"""What a patient steers on one screen: quiet hours, zone, photos, pause, name, and who they are."""

import re
import shutil
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bot.domain.times import QUIET_OFFERED, QuietHours, is_quiet
from bot.outgoing.catalogue import load
from bot.parts import shipped_messages
from tests.cast import BERLIN, Clinic
from tests.stories.test_visits import book, card_of

SCREEN = """Your settings
Name: Ana
Quiet hours: 21:00 to 08:30
Time zone: Berlin. It is 14:30 there.
Photo requests: on

Send /mydata for a copy of your data.
Send /erase to delete it."""


async def test_one_screen_shows_what_is_set_and_is_edited_in_place(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.says("/settings")
    screen = ana.person.last_message
    assert screen.text == SCREEN
    assert list(screen.labels) == [
        "Change the quiet hours",
        "Change the time zone",
        "Ask for no photos",
        "Pause for 7 days",
        "My name is wrong",
        "This is not me",
    ]
    shown = len(ana.person.received)
    await ana.taps("Change the quiet hours", screen)
    assert screen.text == "When do you want it quiet? I send no reminders then."
    assert list(screen.labels) == [
        "21:00 to 08:30",
        "21:00 to 09:00",
        "20:00 to 08:30",
        "20:00 to 09:00",
        "Back to the settings",
    ]
    await ana.taps("20:00 to 09:00", screen)
    assert "Quiet hours: 20:00 to 09:00" in screen.text
    await ana.taps("Ask for no photos", screen)
    assert "Photo requests: off" in screen.text
    assert "Ask for photos again" in screen.labels
    assert len(ana.person.received) == shown
    # Its buttons stay good for ever, and show what holds by then.
    await clinic.tick("2026-06-20 12:00")
    await ana.taps("Ask for photos again", screen)
    assert "Photo requests: on" in screen.text
    assert "It is 12:00 there." in screen.text


@pytest.mark.parametrize("quiet", QUIET_OFFERED)
def test_no_choice_closes_the_day(quiet: QuietHours) -> None:
    nine = datetime(2026, 3, 10, 9, tzinfo=BERLIN)
    day = [nine + timedelta(minutes=each) for each in range(11 * 60)]
    assert not any(is_quiet(each, BERLIN, quiet) for each in day)
    assert is_quiet(nine.replace(hour=8), BERLIN, quiet)


async def test_wider_quiet_hours_hold_back_what_would_go_in_them(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.forges("1:quiet:08002000", "1:quiet:21000830:1", "1:settings:everything")
    assert all("out of date" in said for said in ana.heard[-3:])
    await ana.says("/settings")
    await ana.taps("Change the quiet hours")
    await ana.taps("20:00 to 09:00")
    # A note on a visit would go until nine and from half past eight on.
    await clinic.tick("2026-03-10 20:15")
    ana.news()
    await book(clinic, "Ana", "07.04.2026 15:00")
    await clinic.tick("2026-03-11 08:59")
    assert ana.news() == []
    await clinic.tick("2026-03-11 09:00")
    assert "your visit is booked" in ana.last_message.lower()
    await clinic.check_ledger()


async def test_another_zone_moves_local_hours_and_nothing_else(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await book(clinic, "Ana", "07.04.2026 15:00")
    before = await clinic.reminders()
    await ana.says("/settings")
    screen = ana.person.last_message
    await ana.taps("Change the time zone", screen)
    assert screen.text == "What time is it where you are now? Tap it."
    await ana.taps("13:30", screen)
    assert screen.text == "Which city is closest to you, or keeps the same time? Tap it."
    await ana.taps("Lisbon", screen)
    assert "Time zone: Lisbon. It is 13:30 there." in screen.text
    after = await clinic.reminders()
    # An hour later on the time line is the same hour on her wall.
    assert (before["d3"]["due_at"], after["d3"]["due_at"]) == (
        "2026-03-13T17:00:00.000Z",
        "2026-03-13T18:00:00.000Z",
    )
    assert after["card"] == before["card"]
    # Elapsed hours end when they end; a day's limit ends at her own hour.
    await ana.says("/limits")
    assert "Until Wed 11 March, 13:30 (24 hours left):\n- no touching" in ana.last_message
    assert re.search(r"Until Fri 13 March, 18:00 \(.* left\):\n- no gym", ana.last_message)
    # The visit is when it is, by the clinic's clock.
    await ana.says("/visits")
    assert "Tue 7 April, 15:00 (Berlin time): booked" in ana.last_message
    await ana.taps("Change the time zone", screen)
    await ana.taps("14:30", screen)
    await ana.taps("Berlin", screen)
    assert await clinic.reminders() == before
    nour.news()
    await clinic.check_ledger()


async def test_a_pause_begins_and_ends_on_the_screen(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    nour.news()
    await ana.says("/settings")
    screen = ana.person.last_message
    await ana.taps("Pause for 7 days", screen)
    paused = "Your reminders are paused until Wed 18 March. Safety checks still come."
    assert screen.text.splitlines()[1] == paused
    assert "Pause for 7 days" not in screen.labels
    assert nour.news() == [
        "Ana has paused the reminders until Wed 18 March. Safety checks still go out.\n"
        "You do not have to do anything."
    ]
    await clinic.tick("2026-03-13 19:00")
    ana.news()
    await ana.taps("End the pause", screen)
    assert "paused" not in screen.text
    # What is still of use goes now.
    assert "day 3 limits" in ana.news()[-1]
    # Her silence after the check of day 1 came first.
    assert nour.news()[-1:] == [
        "Ana has ended the pause. The reminders go on.\nYou do not have to do anything."
    ]
    await clinic.check_ledger()


async def test_a_pause_can_be_ended_where_it_is_shown(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.says("/stop")
    await ana.taps("Pause for 7 days")
    assert ana.buttons == ["End the pause", "Something is wrong"]
    told = ana.person.last_message
    await ana.says("/plan")
    assert ana.buttons == ["End the pause", "Something is wrong"]
    await ana.taps("End the pause")
    assert ana.last_message == (
        "Your reminders go on. I will not send what was only for the days between.\n"
        "Your next message comes on Fri 13 March."
    )
    await ana.taps("End the pause", told)
    assert "out of date" in ana.last_message


async def test_what_the_clinic_paused_the_clinic_resumes(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    await nour.taps("Pause the plan")
    await nour.taps("3 days")
    await ana.says("/settings")
    assert "End the pause" not in ana.buttons
    await ana.says("/plan")
    assert ana.buttons == ["Something is wrong"]
    await ana.forges("1:unpause")
    assert "out of date" in ana.last_message
    # Her own, which is longer, ends, and that of the clinic is left.
    await ana.says("/stop")
    await ana.taps("Pause for 7 days")
    await ana.taps("End the pause")
    await ana.says("/plan")
    assert "paused until Fri 13 March" in ana.last_message
    assert ana.buttons == ["Something is wrong"]


async def test_a_name_is_put_right_and_the_practitioner_hears_of_it(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana, name="Anna")
    nour.news()
    await ana.says("/settings")
    await ana.taps("My name is wrong")
    assert ana.last_message == "What is your name? Please write it here. I tell the clinic."
    await ana.says("  Ana <b>Maria</b> ")
    assert ana.last_message == (
        "Thank you. I call you Ana <b>Maria</b> from now on. The clinic can see it."
    )
    assert nour.news() == ["Ana <b>Maria</b> has put the name right. It was Anna until now."]
    await nour.says("/patients")
    assert "Ana <b>Maria</b>, active" in nour.buttons
    # The next words are for the clinic again.
    await ana.says("is this all right?")
    assert "is this all right?" in nour.news()[-1]


async def test_words_that_are_no_name_reach_a_person(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    for words, heard in (
        ("I cannot see", "Call 112 now if:"),
        ("stop", "Do you want to stop the reminders?"),
        ("My cheek has been sore since the day before yesterday, and it hurts more", "passed"),
    ):
        await ana.says("/settings")
        await ana.taps("My name is wrong")
        nour.news()
        ana.news()
        await ana.says(words)
        assert any(heard in said for said in ana.news()), words
        assert not any("put the name right" in said for said in nour.news())
    # Whoever goes on to something else is not asked any more, nor after a while.
    await ana.says("/settings")
    await ana.taps("My name is wrong")
    await ana.presses("My plan")
    await ana.says("hello there")
    assert "hello there" in nour.news()[-1]
    await ana.says("/settings")
    await ana.taps("My name is wrong")
    await clinic.forward(minutes=16)
    await ana.says("good evening")
    assert nour.news()[-1] == "Ana sent a message:\ngood evening"


async def test_this_is_not_me_unlinks_at_any_time(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    nour.news()
    await ana.says("/settings")
    screen = ana.person.last_message
    await ana.taps("This is not me", screen)
    assert screen.text == (
        "Are you not Ana? Then I will stop writing here and tell the clinic.\n"
        "If you are Ana, your reminders end. You then need a new link from the clinic."
    )
    await ana.taps("Back to the settings", screen)
    assert screen.text.startswith("Your settings")
    await ana.taps("This is not me", screen)
    await ana.taps("No, that is not me", screen)
    assert ana.last_message == (
        "Lumen: sorry about that. I will not write to you here again.\n"
        "The clinic now knows.\nIf you need care, call +49 30 5550 100."
    )
    assert nour.news() == [
        "Whoever has this account said: I am not Ana.\n"
        "I have let go of the account. No reminders go out for Ana now.\n"
        "Please phone Ana, and make a new link."
    ]
    # Somebody else has read what was meant for her: nothing goes before it.
    (row,) = await clinic.rows("SELECT * FROM v_message WHERE template = 'practitioner/let_go'")
    assert row["lane"] == "danger"
    assert not await clinic.member(ana)
    ana.news()
    await clinic.tick("2026-03-20 11:00")
    assert ana.news() == []
    # Only a new invitation links anybody again; the old link is used up.
    await ana.does(ana.person.starts)
    assert "open the link that the clinic gives you" in ana.last_message
    await nour.taps("Make a new link", nour.find("I am not Ana"))
    await clinic.join(ben)
    assert await clinic.member(ben)
    await clinic.check_ledger()


async def test_a_stranger_reads_where_to_call(clinic: Clinic) -> None:
    for words in ("/settings", "/mydata", "/erase"):
        await clinic.forward(minutes=1)
        await clinic.ben.says(words)
        assert "Questions? Call +49 30 5550 100." in clinic.ben.last_message
        assert "In an emergency, call 112." in clinic.ben.last_message
        await clinic.nour.says(words)
        assert "This is for patients who joined by a link" in clinic.nour.last_message


def test_a_language_is_offered_only_when_nothing_is_missing_in_it(tmp_path: Path) -> None:
    shipped = shipped_messages()
    assert load([shipped]).whole == ("en",)
    german = tmp_path / "de"
    shutil.copytree(shipped / "en", german)
    labels = german / "labels.toml"
    own = labels.read_text(encoding="utf-8").replace('en = "English"', 'de = "Deutsch"')
    labels.write_text(own, encoding="utf-8")
    assert load([shipped, tmp_path]).whole == ("en", "de")
    labels.write_text(own.replace('[toasts]\ngot_it = "Ticked off"\n', "[toasts]\n"))
    assert load([shipped, tmp_path]).whole == ("en",)
    labels.write_text(own, encoding="utf-8")
    (german / "patient" / "seen.html.j2").unlink()
    assert load([shipped, tmp_path]).whole == ("en",)


async def test_a_test_has_no_settings_of_its_own(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.presses("Team")
    await nour.taps("Read the protocols")
    await nour.taps("mesotherapy, face")
    while "Next page" in nour.buttons:
        await nour.taps("Next page")
    await nour.taps("I approve")
    await nour.taps("Send me a test course")
    await clinic.forward(minutes=1)
    # A button that no test carries, under a message of the test.
    below = nour.find("day 1 check")
    for act in ("show", "quiet", "notme", "name"):
        below.inline_keyboard = [[{"text": act, "callback_data": f"1:settings:{act}"}]]
        await nour.taps(act, below)
        assert nour.last_message.startswith("This is for patients who joined by a link"), act
