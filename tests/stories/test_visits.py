"""Sessions and visits: recorded, booked, moved, cancelled, corrected and taken back."""

from typing import Any

import icalendar

from bot.demo.chats import Message
from tests.cast import Clinic


def calendar_of(message: Message) -> dict[str, Any]:
    """What the calendar file under a message holds of its one entry."""
    assert message.document is not None
    assert (message.document.name, message.document.mime) == ("visit.ics", "text/calendar")
    for telling in (b"meso", b"Ana", b"Nour", b"skin", b"treatment"):
        assert telling.lower() not in message.document.data.lower()
    entry: Any
    (entry,) = icalendar.Calendar.from_ical(message.document.data).walk("VEVENT")
    return {
        "uid": str(entry["uid"]),
        "summary": str(entry["summary"]),
        "starts": entry["dtstart"].dt.isoformat(),
        "sequence": int(entry["sequence"]),
    }


async def card_of(clinic: Clinic, name: str) -> None:
    """Nour has the patient's card before her."""
    await clinic.nour.says("/patients")
    label = next(label for label in clinic.nour.buttons if label.startswith(f"{name}, "))
    await clinic.nour.taps(label)


async def book(clinic: Clinic, name: str, when: str) -> None:
    """Set or move the next visit."""
    await card_of(clinic, name)
    moves = "Move the visit" in clinic.nour.buttons
    await clinic.nour.taps("Move the visit" if moves else "Set the next visit")
    await clinic.nour.says(when)


async def test_a_new_session_replaces_what_is_unsent_of_the_one_before(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    assert ana.last_message.startswith("Lumen: day 1 check.")
    await clinic.tick("2026-03-24 16:00")
    assert await clinic.history("d7") == ["sent"]

    await card_of(clinic, "Ana")
    assert "Sessions: 1, the last on Tue 10 March, 14:30 (day 14)." in nour.last_message
    before = len(ana.heard)
    await nour.person.taps("Session done")
    await nour.taps("Session done")
    assert "This session of Ana is on record already." in nour.last_message
    saved = nour.find("Ana: session 2 is saved").text
    assert "Time: Tue 24 March, 16:00." in saved
    card, warning = ana.person.received[before:]
    # The limits begin again; nothing is said twice.
    assert "Until Wed 25 March, 16:00:\n- no touching" in card.text
    assert "Until Tue 7 April, 10:00:\n- no peel" in card.text
    assert "when to get help" in warning.text
    assert await clinic.history("d28") == ["cancelled(new_session)", "planned"]
    assert await clinic.history("maint") == ["cancelled(new_session)", "planned"]
    assert await clinic.history("d3") == ["sent", "planned"]
    assert await clinic.history("card") == ["sent", "sent"]

    # Without a date to book for nobody is asked to book; Nour finds her in the list of Today.
    assert await clinic.history("book") == []
    await nour.presses("Today")
    assert "- 16:00 Ana, done" in nour.last_message
    assert "No next visit planned\nAna" in nour.last_message
    await nour.taps("In 3 weeks", nour.find("session 2 is saved"))
    assert "planned for around Tue 14 April" in nour.find("the next session is planned").text
    await nour.presses("Today")
    assert "No next visit planned" not in nour.last_message
    assert await clinic.history("book") == ["planned"]
    assert await clinic.history("book-2") == ["planned"]

    await clinic.tick("2026-04-28 12:00")
    for step, rounds in {
        "d1": ["sent", "sent"],
        "d3": ["sent", "sent"],
        "d7": ["sent", "sent"],
        "d28": ["cancelled(new_session)", "sent"],
        "book": ["sent"],
        "book-2": ["sent"],
    }.items():
        assert await clinic.history(step) == rounds, step
    await clinic.check_ledger()


async def test_booking_gives_way_to_a_visit_and_comes_back_without_it(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    await clinic.forward(minutes=6)
    await nour.taps("Session done")
    await nour.taps("In 3 weeks")
    # Booking falls due on 21 March; a visit is booked before that.
    await clinic.tick("2026-03-20 11:00")
    await book(clinic, "Ana", "04.04. 9:00")
    await clinic.tick("2026-03-25 12:00")
    assert await clinic.history("book") == ["skipped(booked)"]
    assert await clinic.history("book-2") == ["skipped(booked)"]
    assert not any("time to book" in words for words in ana.heard)

    await card_of(clinic, "Ana")
    await nour.taps("Cancel the visit")
    assert ana.find("your visit on Sat 4 April at 09:00")
    await clinic.tick("2026-03-27 12:00")
    assert await clinic.history("book") == ["skipped(booked)", "sent"]
    assert sum("time to book" in words for words in ana.heard) >= 1
    assert await clinic.history("prep2") == ["cancelled(visit_cancelled)"]

    # The late check gives way to a visit within 7 days, and comes back the same way.
    await book(clinic, "Ana", "10.04. 9:00")
    await clinic.tick("2026-04-07 12:00")
    assert await clinic.history("d28") == ["cancelled(new_session)", "skipped(not_latest)"]
    await card_of(clinic, "Ana")
    await nour.taps("Cancel the visit")
    await clinic.tick("2026-04-08 12:00")
    assert await clinic.history("d28") == [
        "cancelled(new_session)",
        "skipped(not_latest)",
        "sent",
    ]
    assert "a 4-week check" in "\n".join(ana.heard)
    await clinic.check_ledger()


async def test_a_visit_is_booked_moved_and_cancelled(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    # Nine days on: the day 7 message has no use, and two weeks' notice is none.
    await book(clinic, "Ana", "19.03. 9:00")
    assert nour.last_message.startswith("Ana: the visit is booked for Thu 19 March, 09:00.")
    told = ana.person.last_message
    assert told.text.startswith("Lumen: your visit is booked for Thu 19 March at 09:00.")
    booked = calendar_of(told)
    assert booked["summary"] == "Lumen Clinic"
    assert booked["starts"] == "2026-03-19T08:00:00+00:00"
    await book(clinic, "Ana", "19.03. 9:00")
    assert nour.last_message.startswith("The visit of Ana is booked for that time already.")
    assert ana.person.last_message is told

    await clinic.tick("2026-03-17 18:00")
    assert await clinic.history("d7") == ["skipped(next_visit_near)"]
    assert await clinic.history("prep2") == ["sent"]
    await ana.taps("I will come, no change")
    assert nour.last_message.startswith("Ana will come on Thu 19 March, 09:00.")

    # Moved by three weeks: told again, and what was delivered for the old date comes again.
    await clinic.tick("2026-03-18 08:45")
    await book(clinic, "Ana", "09.04. 11:00")
    moved, day7 = ana.person.received[-2:]
    assert moved.text.startswith("Lumen: your visit is now on Thu 9 April at 11:00.")
    # With the visit so far off, the day 7 message is of use again.
    assert day7.text.startswith("Lumen: your day 7 limits.")
    assert await clinic.history("d7") == ["skipped(next_visit_near)", "sent"]
    entry = calendar_of(moved)
    assert entry["uid"] == booked["uid"]
    assert entry["sequence"] > booked["sequence"]
    assert entry["starts"] == "2026-04-09T09:00:00+00:00"
    await nour.presses("Today")
    assert "you said yes" not in nour.last_message
    await clinic.tick("2026-03-20 12:00")
    assert await clinic.history("conf") == ["planned"]

    # Moved once more before anything was sent for that date: the rows follow, none is added.
    await book(clinic, "Ana", "10.04. 11:00")
    await clinic.tick("2026-03-27 18:00")
    assert await clinic.history("prep14") == ["skipped(gap_short)", "sent"]
    await clinic.tick("2026-04-08 18:00")
    assert await clinic.history("prep2") == ["sent", "sent"]
    assert "Fri 10 April" in ana.last_message
    # A replan for another reason repeats nothing.
    await ana.taps("I will come, no change")
    await clinic.tick("2026-04-09 20:00")
    assert await clinic.history("conf") == ["skipped(confirmed)"]
    assert await clinic.history("prep2") == ["sent", "sent"]

    await card_of(clinic, "Ana")
    await nour.person.taps("Cancel the visit")
    await nour.taps("Cancel the visit")
    assert not any("out of date" in words for words in nour.heard)
    assert sum("is cancelled" in words for words in ana.heard) == 1
    assert ana.person.last_message.document is None
    await clinic.check_ledger()


async def test_the_last_action_can_be_taken_back_for_ten_minutes(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-20 10:00")
    await book(clinic, "Ana", "02.04. 9:00")
    first = nour.person.last_message
    await book(clinic, "Ana", "03.04. 9:00")
    # The last one only, and each once.
    await nour.taps("Undo", first)
    assert nour.last_message.startswith("This button is out of date.")
    await clinic.forward(minutes=9)
    await nour.person.taps("Undo", nour.find("the visit is now on Fri 3 April"))
    await nour.taps("Undo", nour.find("the visit is now on Fri 3 April"))
    assert nour.last_message.startswith("This button is out of date.")
    assert ana.last_message.startswith("Lumen: your visit is now on Thu 2 April at 09:00.")
    # What to do before that visit was told already, and is not told again.
    assert await clinic.history("prep14") == ["sent", "cancelled(visit_moved)"]
    assert calendar_of(ana.person.last_message)["starts"] == "2026-04-02T07:00:00+00:00"
    # By now the first is the last, but its ten minutes are over.
    await clinic.forward(minutes=1, seconds=30)
    await nour.says("/undo")
    assert nour.last_message.startswith("There is nothing that I can take back.")
    await nour.taps("Undo", first)
    assert nour.last_message.startswith("There is nothing that I can take back.")

    # A session recorded by mistake: the card has gone out, so a correction follows it.
    await clinic.tick("2026-04-02 10:00")
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    assert "Until Fri 3 April, 10:00:" in "\n".join(ana.heard)
    assert await clinic.history("maint") == ["cancelled(new_session)", "planned"]
    await nour.taps("Undo")
    taken_back = "Taken back: the session of Thu 2 April, 10:00, recorded for Ana."
    assert nour.find(taken_back).text.endswith("Ana is told what holds now.")
    assert ana.last_message.startswith("Lumen: please ignore my last card.")
    assert await clinic.history("maint") == [
        "cancelled(new_session)",
        "cancelled(corrected)",
        "planned",
    ]
    await card_of(clinic, "Ana")
    assert "Sessions: 1, the last on Tue 10 March" in nour.last_message
    assert "Next visit: Thu 2 April, 09:00." in nour.last_message
    # Recorded again, with its time: the card comes again.
    await nour.taps("Session done earlier")
    await nour.says("9:30")
    assert "Ana: session 2 is saved" in nour.last_message
    assert "Until Fri 3 April, 09:30:" in ana.person.received[-2].text
    assert await clinic.history("card") == ["sent", "sent", "sent"]

    # What came later and cannot be taken back shields what came before it.
    await nour.says("/enroll Ben mesotherapy-face")
    await nour.says("/undo")
    assert nour.last_message.startswith("There is nothing that I can take back.")
    await nour.taps("Undo", nour.find("Ana: session 2 is saved"))
    assert nour.find("Taken back: the session of Thu 2 April, 09:30, recorded for Ana.")
    await clinic.check_ledger()


async def test_an_undo_names_what_it_took_back_and_whether_the_patient_is_told(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    told = "\nAna is told what holds now."

    async def undone() -> str:
        await nour.says("/undo")
        first, *_ = nour.last_message.splitlines()
        return first

    await clinic.enroll(ana)
    await clinic.tick("2026-03-20 10:00")
    for act, said, corrects in (
        ("02.04. 9:00", "Taken back: the visit on Thu 2 April, 09:00, booked for Ana.", True),
        ("Pause the plan", "Taken back: the pause in the plan of Ana.", False),
        ("Session done", "Taken back: the session of Fri 20 March, 10:00, recorded for Ana.", True),
    ):
        if act.startswith("0"):
            await book(clinic, "Ana", act)
        else:
            await card_of(clinic, "Ana")
            await nour.taps(act)
        if act == "Pause the plan":
            await nour.taps("3 days")
        assert await undone() == said
        assert nour.last_message.endswith(told) is corrects, said

    # At night the notes wait: the patient has heard of nothing, so there is nothing to correct.
    await book(clinic, "Ana", "02.04. 9:00")
    await clinic.tick("2026-03-20 22:00")
    ana.news()
    await book(clinic, "Ana", "03.04. 9:00")
    assert await undone() == "Taken back: the move to Fri 3 April, 09:00 of the visit of Ana."
    assert not nour.last_message.endswith(told)
    await card_of(clinic, "Ana")
    await nour.taps("Cancel the visit")
    assert (
        await undone()
        == "Taken back: the end of the visit on Thu 2 April, 09:00. Ana is booked again."
    )
    assert not nour.last_message.endswith(told)
    await book(clinic, "Ana", "04.04. 9:00")
    await book(clinic, "Ana", "05.04. 9:00")
    assert await undone() == "Taken back: the move to Sun 5 April, 09:00 of the visit of Ana."
    assert nour.last_message.endswith(told)
    await clinic.tick("2026-03-21 08:35")
    (note,) = ana.news()
    assert note.startswith("Lumen: your visit is now on Sat 4 April at 09:00.")
    await clinic.check_ledger()


async def test_a_wrong_session_time_is_put_right_with_one_card(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.tick("2026-03-10 19:00")
    await clinic.enroll(ana)
    assert "Until Wed 11 March, 19:00:" in ana.find("your care card").text
    await clinic.tick("2026-03-11 12:00")
    assert await clinic.history("d1") == ["sent"]

    # It was the evening before, after all.
    await card_of(clinic, "Ana")
    before = len(ana.heard)
    await nour.taps("Correct the session time")
    await nour.says("09.03. 18:00")
    assert nour.last_message.startswith("Ana: the session ended on Mon 9 March, 18:00.")
    assert "Ana gets one corrected care card." in nour.last_message
    card, _warning = ana.person.received[before:]
    assert card.text.startswith("Lumen: your corrected care card.")
    assert "Please use this one. The card before it was not right." in card.text
    assert "Until Thu 12 March, 18:00:\n- no gym" in card.text
    assert "touching" not in card.text
    due = {row["step"]: row["due_at"] for row in await clinic.rows("SELECT * FROM v_reminder")}
    assert due["d3"] == "2026-03-12T17:00:00.000Z"
    assert due["d7"] == "2026-03-16T09:00:00.000Z"
    assert due["d28"] == "2026-04-06T09:00:00.000Z"
    # The same time once more changes nothing.
    await card_of(clinic, "Ana")
    await nour.taps("Correct the session time")
    await nour.says("09.03. 18:00")
    assert nour.last_message.startswith("This session of Ana is on record already.")
    assert len(ana.heard) == before + 2

    # Taken back: the first time holds again, and the card on the phone says so.
    await clinic.forward(minutes=5)
    await nour.taps("Undo")
    assert ana.person.received[-2].text.startswith("Lumen: your corrected care card.")
    assert "Until Wed 11 March, 19:00:\n- no touching" in ana.person.received[-2].text
    await clinic.tick("2026-03-17 10:00")
    assert await clinic.history("card") == ["sent", "sent", "sent"]
    for step in ("d1", "d3", "d7"):
        assert await clinic.history(step) == ["sent"]

    # A time before the session before it is refused.
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    await card_of(clinic, "Ana")
    await nour.taps("Correct the session time")
    await nour.says("09.03. 18:00")
    assert nour.last_message.startswith("An earlier session of Ana is on record for that time")
    await clinic.check_ledger()


async def test_visits_set_at_night_are_told_in_the_morning_once(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-20 22:00")
    before = len(ana.heard)
    await book(clinic, "Ana", "16.04. 9:00")
    await book(clinic, "Ana", "17.04. 9:00")
    assert nour.last_message.endswith("A patient who has joined is told at 08:30 their time.")
    assert len(ana.heard) == before
    await clinic.tick("2026-03-21 08:30")
    (told,) = ana.person.received[before:]
    assert told.text.startswith("Lumen: your visit is booked for Fri 17 April at 09:00.")
    assert calendar_of(told)["starts"] == "2026-04-17T07:00:00+00:00"

    # Set and cancelled in one night: there is nothing to tell.
    ben = clinic.ben
    await clinic.enroll(ben, "Ben")
    await clinic.tick("2026-03-22 22:00")
    await book(clinic, "Ben", "29.04. 9:00")
    await card_of(clinic, "Ben")
    await nour.taps("Cancel the visit")
    assert nour.last_message.endswith("told at 08:30 their time.")
    await clinic.tick("2026-03-23 09:00")
    assert not any("29 April" in words for words in ben.heard)
    await clinic.check_ledger()


async def test_a_date_of_another_year_says_which(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.tick("2026-10-01 10:00")
    await clinic.enroll(ana)
    await book(clinic, "Ana", "04.01.2027 9:00")
    assert nour.last_message.startswith("Ana: the visit is booked for Mon, 4 January 2027, 09:00.")
    assert ana.find("Lumen: your visit is booked for Mon, 4 January 2027 at 09:00.")
    await clinic.tick("2027-01-01 10:00")
    await ana.says("/plan")
    assert "Next visit: Mon 4 January, 09:00." in ana.last_message
    await card_of(clinic, "Ana")
    assert "the last on Thu, 1 October 2026, 10:00" in nour.last_message


async def test_a_visit_moved_about_stays_within_the_daily_cap(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-20 10:00")
    for day in ("31.03.", "01.04.", "02.04."):
        await book(clinic, "Ana", f"{day} 9:00")
    # Each date was told, but how to prepare for it only twice on one day.
    assert sum("your visit is now on" in words for words in ana.heard) == 2
    assert await clinic.history("prep14") == ["sent", "sent", "skipped(cap)"]
    await clinic.check_ledger()


async def test_a_visit_booked_for_the_same_day_asks_once_whether_they_come(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-24 11:00")
    ana.news()
    await book(clinic, "Ana", "18:30")
    booked, prepare = ana.news()
    assert booked.startswith("Lumen: your visit is booked for Tue 24 March at 18:30.")
    assert "I will come, no change" in ana.buttons
    assert await clinic.history("prep2") == ["sent"]
    assert await clinic.history("conf") == ["skipped(folded)"]
    await ana.taps("I will come, no change", ana.find(prepare))
    assert nour.last_message.startswith("Ana will come on Tue 24 March, 18:30.")
    # Moved to another day, both are of use again.
    await book(clinic, "Ana", "27.03. 18:30")
    await clinic.tick("2026-03-26 12:00")
    assert await clinic.history("conf") == ["skipped(folded)", "sent"]
    await clinic.check_ledger()
