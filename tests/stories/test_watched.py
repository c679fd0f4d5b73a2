"""Something is wrong: from the first tap to a person, minute by minute, in the very words."""

from bot.domain.triage import GROUPS, Group
from bot.services import holding
from bot.services.holding import Why
from bot.storage.queries import people
from tests.cast import Actor, Clinic

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
    which, level, note, asked = ana.news()
    assert which.startswith("You picked: cold, numb or blotchy skin.\nAnything else?")
    assert level.startswith("A person needs to look at this now.\nCall Lumen Clinic now on +49 30")
    assert note.startswith("Note for the doctor or nurse\nName: Ana\n")
    assert "Treatment: mesotherapy, face, Tue 10 March, 14:30" in note
    assert "Reported: cold, numb or blotchy skin" in note
    (alert,) = nour.news()
    assert alert.startswith("URGENT: Ana\nMesotherapy, face, day 1.\n")
    assert "Reported: cold, numb or blotchy skin, at Wed 11 March, 11:00." in alert
    assert asked.startswith("Can Lumen Clinic phone you about this?")
    nothing_reassures([which, level, note, asked])


async def colleague(clinic: Clinic, name: str) -> Actor:
    """One more of the team."""
    nour, member = clinic.nour, clinic.someone(name)
    await nour.says("/team")
    await nour.taps("Invite a colleague")
    await member.opens(nour.link)
    member.news()
    return member


async def on_duty(clinic: Clinic, name: str, duty: str) -> None:
    nour = clinic.nour
    await nour.says("/team")
    await nour.taps(name)
    await nour.taps(duty)


async def test_at_night_nobody_acknowledges_and_the_backup_does(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    maya = await colleague(clinic, "Maya")
    omar = await colleague(clinic, "Omar")
    await on_duty(clinic, "Maya", "Make backup")
    assert nour.last_message.endswith("Backup: gets what nobody has taken after 10 minutes.")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 02:10")
    for each in (ana, nour, maya, omar):
        each.news()
    await ana.reports("Pain, skin or weakness", "Strong or growing pain")
    level = next(words for words in ana.news() if words.startswith("A person"))
    assert level == (
        "A person needs to look at this now. The clinic is closed.\n"
        "Call 116 117 now or go to the emergency department of the nearest hospital.\n"
        "Show them the note that follows. I am telling Nour too.\n"
        "If you cannot breathe, see or speak clearly, call 112 now."
    )
    (alert,) = nour.news()
    assert alert.startswith("URGENT: Ana\nMesotherapy, face, day 1.")
    assert "The bot told the patient to call 116 117 or go to the emergency department" in alert
    assert maya.news() == []
    await clinic.forward(minutes=5)
    (again,) = nour.news()
    assert again.startswith("URGENT, nobody has taken it: Ana\nIt has waited 5 minutes.")
    assert maya.news() == []
    await clinic.forward(minutes=5)
    assert [len(each.news()) for each in (nour, maya, omar)] == [1, 1, 0]
    await maya.taps("I am on it")
    assert maya.last_message.startswith("You are on it. Ana sees that you have seen the report.")
    assert ana.last_message.startswith("Lumen: Maya has seen your report.")
    ana.news()
    nour.news()
    await clinic.forward(hours=3)
    assert nour.news() == []
    assert ana.news() == []
    await nour.taps("I am on it", nour.find("nobody has taken it"))
    assert nour.last_message == "Maya is on it already: Ana."
    (row,) = await clinic.rows("SELECT * FROM v_alert")
    assert (row["level"], row["state"], row["rounds"]) == ("urgent", "acknowledged", 3)


async def test_nobody_at_all_takes_it_and_the_patient_is_sent_on(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.reports("Pain, skin or weakness", "Hot and spreading")
    ana.news()
    nour.news()
    await clinic.forward(minutes=14, seconds=50)
    assert ana.news() == []
    await clinic.forward(seconds=10)
    (sent_on,) = ana.news()
    assert sent_on == (
        "Lumen: please do not wait for us.\n"
        "Nobody of the clinic has taken your report yet.\n"
        "Call 116 117 now or go to the emergency department of the nearest hospital. "
        "Show them the note that I sent.\n"
        "If you cannot breathe, see or speak clearly, call 112 now."
    )
    assert len(nour.news()) == 3
    await clinic.forward(hours=3)
    assert len(nour.news()) == 8
    assert ana.news() == []
    (row,) = await clinic.rows("SELECT state, rounds FROM v_alert")
    assert row == {"state": "open", "rounds": 12}


async def test_an_emergency_acts_on_the_tap_and_asks_whether_help_was_reached(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    ana.news()
    nour.news()
    await ana.reports("My sight")
    _, level, note = ana.news()
    assert level == (
        "Call 112 now. Do not wait for a reply here.\n"
        "Tell them: I had mesotherapy, face on Tue 10 March, 14:30.\n"
        "I am telling Lumen Clinic now.\n"
        "Show the note that follows to whoever helps you."
    )
    assert "Reported: trouble with sight" in note
    assert nour.news()[0].startswith("EMERGENCY: Ana\n")
    await nour.taps("I am on it")
    ana.news()
    # Whether help was reached is asked although somebody is on it.
    await clinic.forward(minutes=10)
    (asked,) = ana.news()
    assert asked.startswith("Lumen: a question to you.\nHave you reached help?")
    await ana.taps("No, not yet")
    assert ana.news()[0].startswith("Call 112 now. Do not wait for a reply here.")
    # Whoever is on it hears so, once.
    (told,) = [said for said in nour.news() if said.startswith("EMERGENCY: Ana")]
    assert "has not reached help yet" in told
    await ana.taps("No, not yet", ana.find("Have you reached help?"))
    assert not any("EMERGENCY" in said for said in nour.news())
    # Closed, it is nobody's any more: a "no" begins anew, and claims nobody.
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    ana.news()
    await ana.taps("I need the number again", ana.find("Call 112 now. Do not wait"))
    assert not any("I am telling" in said for said in ana.news())
    await ana.taps("No, not yet", ana.find("Have you reached help?"))
    assert ana.last_message.startswith("Call 112 now if you cannot breathe")


async def test_no_one_answers_reaches_whoever_has_taken_it(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await ana.reports_danger()
    await nour.taps("I am on it")
    nour.news()
    ana.news()
    await ana.taps("No one answers", ana.find("A person needs to look at this now."))
    (said,) = ana.news()
    assert "Nobody of the clinic has taken" not in said
    assert "Call 116 117 now or go to" in said
    (told,) = nour.news()
    assert "nobody answers the phone" in told


async def test_a_typed_sign_of_an_emergency_is_answered_as_one(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    catalogue = clinic.rehearsal.app.deps.catalogue
    groups = (Group.BREATHING, Group.SIGHT, Group.FAINT)
    for sign in (each for group in groups for each in GROUPS[group]):
        await clinic.forward(minutes=1)
        await ana.presses("Something is wrong")
        ana.news()
        await ana.says(catalogue.label("en", "sign_buttons", sign))
        assert ana.news()[0].startswith("Call 112 now. Do not wait for a reply here."), sign


async def test_a_question_left_open_stays_said_whatever_is_tapped_next(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.presses("Something is wrong")
    first = ana.person.last_message
    nour.news()
    await ana.taps("Fever or I feel ill", first)
    await ana.taps("Something milder", first)
    await ana.taps("Itch")
    await ana.taps("Done")
    # A fever, whatever kind it is, is urgent; an itch alone would be expected.
    assert nour.news()[0].startswith("URGENT: Ana")


async def test_two_beginnings_at_once_are_the_more_urgent_one(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    check = ana.find("day 1 check")
    nour.news()
    await ana.taps("Not sure", check)
    await ana.taps("Yes, I have one", check)
    await clinic.forward(minutes=3, seconds=1)
    assert nour.news()[0].startswith("URGENT: Ana")
    # What was begun and left for another one is not forgotten either.
    await ana.reports("Something milder", "Redness")
    await clinic.forward(minutes=1)
    await ana.presses("Something is wrong")
    await ana.taps("I tapped by mistake")
    assert any("redness" in said for said in nour.news())


async def test_a_sign_said_after_the_alert_was_closed_is_a_new_alert(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await ana.reports_danger()
    which = ana.find("You picked: a hot area that spreads")
    await nour.taps("I am on it")
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    nour.news()
    await ana.taps("Blisters, pus, dark skin", which)
    assert nour.news()[0].startswith("URGENT: Ana")


async def test_words_of_danger_wake_whoever_is_on_call_with_the_words(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    omar = await colleague(clinic, "Omar")
    await on_duty(clinic, "Omar", "Put on call")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 02:10")
    for each in (ana, nour, omar):
        each.news()
    await ana.says("my lip turned white")
    (told,) = omar.news()
    assert "my lip turned white" in told
    assert any(said.startswith("Note for the doctor or nurse") for said in ana.news())
    # However often it is said: one patient in danger is one alert.
    for _ in range(5):
        await ana.says("it turned white, and there is pus")
    assert omar.news() == []
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 1


async def test_what_was_taken_stays_on_the_lists_and_goes_to_the_heir(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    maya = await colleague(clinic, "Maya")
    await clinic.enroll(ana)
    await ana.reports_danger()
    await on_duty(clinic, "Maya", "Make backup")
    await clinic.forward(minutes=10)
    await maya.taps("I am on it")
    await nour.presses("Today")
    assert "- URGENT: Ana, Tue 10 March, 14:30, Maya is on it" in nour.last_message
    nour.news()
    await nour.says("/team")
    await nour.taps("Maya")
    await nour.taps("Remove from the team")
    assert any(said.startswith("You are on it. Ana sees") for said in nour.news())
    await nour.presses("Today")
    assert "Nour is on it" in nour.last_message
    await nour.taps("Ana")
    await nour.taps("Close: how did it end")
    await nour.taps("Seen in the clinic")
    await nour.presses("Today")
    assert "URGENT" not in nour.last_message


async def test_a_duty_is_set_as_its_button_says_however_often_it_is_tapped(clinic: Clinic) -> None:
    nour = clinic.nour
    await nour.says("/team")
    await nour.taps("Nour")
    data = nour.person.last_message.inline_keyboard
    assert data is not None
    wished = data[0][0]["callback_data"]
    await nour.taps("Put on call")
    await nour.forges(wished)
    assert "On call" in nour.last_message
    assert "Take off call" in nour.buttons


async def test_a_slip_is_no_answer_to_a_check(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    await ana.presses("Something is wrong")
    await ana.taps("I tapped by mistake")
    ana.news()
    await clinic.tick("2026-03-11 14:05")
    assert any("day 1 check" in said or "Do you have any" in said for said in ana.news())
    await clinic.tick("2026-03-11 19:00")
    await nour.presses("Today")
    assert "No answer to a safety check, please phone\nAna" in nour.last_message
    await nour.taps("Ana")
    await nour.taps("I phoned")
    await nour.presses("Today")
    assert "No answer to a safety check" not in nour.last_message


async def test_a_report_that_stops_half_way_counts_at_what_it_reached(clinic: Clinic) -> None:
    ana, ben, nour = clinic.ana, clinic.ben, clinic.nour
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await clinic.tick("2026-03-11 11:00")
    ana.news()
    nour.news()
    await ana.reports()
    await clinic.forward(minutes=2, seconds=59)
    assert nour.news() == []
    await clinic.forward(seconds=2)
    assert nour.news()[0].startswith("URGENT: Ana")
    assert "something is wrong, not said what" in nour.heard[-1]
    await ben.reports("Something milder", "Redness")
    ben.news()
    await clinic.forward(minutes=3, seconds=1)
    # Redness is expected on day 1; that he stopped there is not.
    assert ben.news()[0].startswith("Thank you for telling us. I have told Lumen Clinic.")
    assert nour.news()[0].startswith("Please answer: Ben")


async def test_what_is_expected_is_said_as_a_general_fact_and_nothing_more(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    nour.news()
    await ana.reports("Something milder", "Redness", "Swelling")
    ana.news()
    await ana.taps("Done")
    (said,) = ana.news()
    assert said.startswith("Thank you.\nMild redness, small bumps and sore skin are common")
    nothing_reassures([said])
    assert nour.news() == []
    # More than before is a report of its own, on the same day and under the old list.
    await ana.taps("Cold sore", ana.find("You picked: redness"))
    ana.news()
    await ana.taps("Done")
    assert ana.news()[0].startswith("Thank you for telling us.")
    assert "Reported: a cold sore" in nour.news()[0]


async def test_a_slip_ends_a_report_and_only_before_anything_was_said(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    nour.news()
    await ana.reports("I tapped by mistake")
    assert ana.last_message.startswith("I have noted that it was a slip.")
    await clinic.forward(minutes=10)
    assert nour.news() == []
    await ana.reports("Pain, skin or weakness")
    await ana.taps("I tapped by mistake", ana.find("What is it?"))
    assert "out of date" in ana.last_message
    await clinic.forward(minutes=4)
    assert nour.news()[0].startswith("URGENT: Ana")


async def test_tell_clinic_is_held_to_opening_time_and_its_promise_is_kept(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 20:00")
    ana.news()
    nour.news()
    await ana.reports("Something milder", "Cold sore", "Done")
    assert "They aim to reply by Thu 12 March, 13:00." in ana.last_message
    assert nour.news() == []
    await clinic.tick("2026-03-12 09:00")
    assert nour.news()[-1].startswith("Please answer: Ana")
    ana.news()
    await clinic.tick("2026-03-12 13:00")
    (late,) = ana.news()
    assert late.startswith("Lumen: your message to the clinic.\nThe clinic has not replied yet.")
    assert nour.news()[-1].startswith("Please answer, nobody has taken it: Ana")


async def test_routine_messages_rest_until_it_is_closed_and_a_day_after(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-12 11:00")
    await ana.reports("Pain, skin or weakness", "Hot and spreading", "Done")
    await nour.taps("I am on it")
    ana.news()
    # Day 3 would lift limits at 18:00; the report is open.
    await clinic.tick("2026-03-14 10:00")
    assert ana.news() == []
    await nour.taps("Close: how did it end")
    await nour.taps("Seen in the clinic")
    assert nour.last_message == "Ana: closed, seen in the clinic."
    await clinic.tick("2026-03-15 09:59")
    assert ana.news() == []
    await clinic.tick("2026-03-15 10:05")
    assert "your day 3 limits." in ana.news()[0]
    await clinic.check_ledger()


async def test_after_an_emergency_somebody_has_to_say_that_it_goes_on(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-12 11:00")
    await ana.reports("Faint, chest, weak side")
    await nour.taps("I am on it")
    await nour.taps("Close: how did it end")
    await nour.taps("Sent to hospital")
    assert nour.last_message == (
        "Ana: closed, sent to hospital.\nReminders to Ana rest until you resume the plan."
    )
    ana.news()
    await clinic.tick("2026-03-16 10:00")
    assert ana.news() == []
    await nour.taps("Resume the plan")
    await clinic.tick("2026-03-17 10:05")
    assert "your day 7 limits." in ana.news()[0]


async def test_a_safety_check_without_an_answer_is_asked_once_more_and_then_phoned(
    clinic: Clinic,
) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    ana.news()
    nour.news()
    await clinic.tick("2026-03-11 14:00")
    (nudge,) = ana.news()
    assert nudge.startswith("Lumen: I have no answer from you yet.")
    assert "Do you have any of these now?" in nudge
    assert ana.buttons == ["None of these", "Yes, I have one", "Not sure"]
    await clinic.tick("2026-03-11 18:01")
    assert nour.news() == [
        "Ana has not answered a safety check, asked twice.\n"
        "No answer does not mean that all is well. Please phone today."
    ]
    await nour.says("/today")
    assert "No answer to a safety check, please phone\nAna" in nour.last_message
    await nour.taps("I phoned", nour.find("asked twice"))
    await nour.says("/today")
    assert "No answer" not in nour.last_message
    await clinic.tick("2026-03-12 20:00")
    assert ana.news() == []


async def test_an_answer_in_time_ends_the_wait(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    await ana.taps("None of these")
    ana.news()
    nour.news()
    await clinic.tick("2026-03-12 12:00")
    assert ana.news() == []
    assert nour.news() == []
    await nour.says("/today")
    assert "No answer" not in nour.last_message


async def test_answers_may_be_typed(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    nour.news()
    await ana.reports()
    await ana.says("pain, skin or weakness")
    await ana.says("Strong or growing pain!")
    assert "A person needs to look at this now." in "\n".join(ana.news())
    assert nour.news()[0].startswith("URGENT: Ana")


async def test_the_chain_is_tried_before_the_first_patient(clinic: Clinic) -> None:
    nour = clinic.nour
    maya = await colleague(clinic, "Maya")
    async with clinic.rehearsal.app.deps.database.write() as session:
        found = await people.the_clinic(session)
        assert found is not None
        found.live_at = None
        session.add(found)
    await nour.says("/enroll Ana mesotherapy-face")
    assert nour.last_message.startswith("The alerts were never tested.")
    await nour.says("/team")
    assert nour.last_message.endswith("Before the first patient: test the alerts.")
    maya.news()
    await nour.taps("Test the alerts")
    (alert,) = maya.news()
    assert alert.startswith("URGENT (TEST): Test alert\n")
    assert "a test of the alerts, nobody is ill" in alert
    await clinic.forward(seconds=90)
    await maya.taps("I am on it")
    # Nobody would read what is written to the patient of a drill.
    assert "Write to the patient" not in maya.buttons
    assert "Close: how did it end" in maya.buttons
    shown = nour.find("Test of the alerts").text
    assert "- Nour: not yet" in shown
    assert "- Maya: took it after 90 seconds" in shown
    await nour.says("/enroll Ana mesotherapy-face")
    assert "scan this code" in nour.last_message
    # A drill is nobody's illness: no list shows it, no plan rests for it.
    await nour.says("/today")
    assert "Test alert" not in nour.last_message


async def test_that_no_one_answers_is_told_also_while_nobody_has_taken_it(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.reports_danger()
    nour.news()
    await ana.taps("No one answers", ana.find("A person needs to look at this now"))
    (again,) = nour.news()
    assert again.startswith("URGENT, nobody has taken it: Ana")
    assert "Reported: a hot area that spreads and nobody answers the phone" in again


async def test_words_instead_of_a_tap_are_the_same_report(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    # A milder list, so that nothing but the words is urgent.
    await ana.reports("Something milder", "Redness")
    ana.news()
    nour.news()
    await ana.says("my lip turned white and it hurts")
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 1
    said = ana.news()
    assert said[0].startswith("Call 112 now if:")
    assert not any("They aim to reply by" in words for words in said)
    (note,) = [words for words in said if words.startswith("Note for the doctor")]
    assert "\nReported: redness and wrote a word from the danger list\n" in note
    assert "\nIn the patient's words: my lip turned white and it hurts\n" in note
    nothing_reassures(said)
    alert = nour.find("URGENT: Ana").text
    assert "Reported: redness and wrote a word from the danger list" in alert
    assert "my lip turned white and it hurts" in alert
    await nour.taps("I am on it", nour.find("URGENT: Ana"))
    ana.news()
    # Nothing of it is left that could say, after that, that nobody has taken it.
    await clinic.forward(minutes=30)
    assert ana.news() == []


async def test_words_while_an_alert_waits_reach_whoever_is_on_call(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    omar = await colleague(clinic, "Omar")
    await on_duty(clinic, "Omar", "Put on call")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.reports("Pain, skin or weakness", "Cold, numb, blotchy skin")
    for person in (ana, nour, omar):
        person.news()
    await ana.says("I can not breathe")
    (words,) = nour.news()
    assert words.startswith("Ana sent a message:\nI can not breathe")
    (again,) = omar.news()
    assert again.startswith("URGENT: Ana")
    assert "wrote a word from the danger list" in again
    assert "I can not breathe" in again
    numbers, note = ana.news()
    assert numbers.startswith("Call 112 now if:")
    assert "In the patient's words: I can not breathe" in note
    await ana.says("and I feel faint")
    assert len(ana.news()) == 1
    # Ten words are one patient in danger: the rest comes with the next push.
    assert omar.news() == []
    await clinic.forward(minutes=5)
    assert "I can not breathe\nand I feel faint" in omar.last_message
    ana.news()
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 1
    # What is worse than the alert that waits is an alert of its own.
    await ana.reports("My sight")
    await ana.says("something is wrong, I cannot see")
    levels = await clinic.rows("SELECT level FROM v_alert WHERE state = 'open' ORDER BY level")
    assert levels == [{"level": "emergency"}, {"level": "urgent"}]
    assert "Call 112 now" in "".join(ana.heard[-3:])


async def test_who_is_on_it_has_all_that_is_urgent_and_no_worse(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.reports("Something milder", "Done")
    await clinic.forward(minutes=1)
    await ana.reports_danger()
    await clinic.forward(minutes=1)
    await ana.reports("Pain, skin or weakness", "Strong or growing pain", "Done")
    await clinic.forward(minutes=1)
    await ana.reports("Breathing, throat, speech")
    await clinic.forward(minutes=1)
    nour.news()
    ana.news()
    await nour.taps("I am on it", nour.find("URGENT: Ana"))
    (seen,) = ana.news()
    assert seen.startswith("Lumen: Nour has seen your report.")
    rows = await clinic.rows("SELECT level, state FROM v_alert ORDER BY level, alert_id")
    assert sorted((row["level"], row["state"]) for row in rows) == [
        ("emergency", "open"),
        # It has a promise of its own.
        ("tell_clinic", "open"),
        ("urgent", "acknowledged"),
        ("urgent", "acknowledged"),
    ]
    await nour.taps("Close: how did it end")
    await nour.taps("Spoke by phone")
    assert "Still open: " in nour.last_message
    assert "Close: how did it end" in nour.buttons


async def test_nothing_is_called_common_while_a_report_is_open(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    check = ana.person.last_message
    await ana.taps("None of these", check)
    worse = ana.person.last_message
    await ana.taps("Worse", worse)
    await ana.taps("None of these", check)
    await ana.taps("Better")
    assert ana.last_message.startswith("Thank you.\nIf it gets worse")
    await clinic.forward(minutes=4)
    await ana.taps("None of these", check)
    await ana.taps("Better")
    assert ana.last_message.startswith("Thank you.\nIf it gets worse")


async def test_after_a_hospital_somebody_has_to_say_that_it_goes_on(clinic: Clinic) -> None:
    ana, nour = clinic.ana, clinic.nour
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.reports_danger()
    await nour.taps("I am on it")
    await nour.taps("Close: how did it end")
    await nour.taps("Sent to hospital")
    assert "Reminders to Ana rest until you resume the plan." in nour.last_message
    ana.news()
    await clinic.tick("2026-03-16 12:00")
    assert not any("day 3 limits" in words for words in ana.news())
    await nour.taps("Resume the plan", nour.find("closed, sent to hospital"))
    ana.news()
    await clinic.tick("2026-03-18 12:00")
    assert any("limits" in words for words in ana.news())
    # Also when what was reported was less than urgent.
    await ana.reports("Something milder", "Done")
    await nour.taps("I am on it")
    await nour.taps("Close: how did it end")
    await nour.taps("Sent to hospital")
    assert "Reminders to Ana rest until you resume the plan." in nour.last_message
    ana.news()
    await clinic.tick("2026-04-08 12:00")
    assert ana.news() == []


async def test_words_of_danger_begin_anew_where_nobody_is_pushed_any_more(clinic: Clinic) -> None:
    ana = clinic.ana
    omar = await colleague(clinic, "Omar")
    await on_duty(clinic, "Omar", "Put on call")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.says("there is pus")
    await clinic.forward(hours=3)
    # Two hours after the last push the alert is marked as one that reached nobody.
    assert [row["state"] for row in await clinic.rows("SELECT * FROM v_alert")] == ["open"]
    omar.news()
    ana.news()
    await ana.presses("Something is wrong")
    await ana.says("I cannot breathe")
    assert any(words.startswith("URGENT: Ana") for words in omar.news())
    await clinic.forward(minutes=40)
    assert any("please do not wait for us" in words for words in ana.news())
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 2


async def test_words_of_danger_begin_anew_on_a_restored_database(clinic: Clinic) -> None:
    ana = clinic.ana
    omar = await colleague(clinic, "Omar")
    await on_duty(clinic, "Omar", "Put on call")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.says("there is pus")
    await clinic.forward(minutes=1)
    async with clinic.rehearsal.app.deps.database.write() as session:
        await holding.hold(session, Why.RESTORED, clinic.now)
    before = len(await clinic.rows("SELECT * FROM v_alert"))
    await ana.person.presses("Something is wrong")
    await ana.person.says("I cannot breathe")
    await omar.person.hears(lambda shown: "I cannot breathe" in shown.text)
    assert len(await clinic.rows("SELECT * FROM v_alert")) == before + 1


async def test_words_that_end_a_second_list_reach_whoever_is_on_call_at_once(
    clinic: Clinic,
) -> None:
    ana = clinic.ana
    omar = await colleague(clinic, "Omar")
    await on_duty(clinic, "Omar", "Put on call")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.says("there is pus")
    await ana.presses("Something is wrong")
    await ana.taps("Something milder")
    omar.news()
    await ana.says("it turned white")
    assert any("it turned white" in words for words in omar.news())
    assert len(await clinic.rows("SELECT * FROM v_alert")) == 1


async def test_whoever_takes_one_report_reads_the_others_that_they_take(clinic: Clinic) -> None:
    ana = clinic.ana
    maya = await colleague(clinic, "Maya")
    await on_duty(clinic, "Maya", "Make backup")
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 11:00")
    await ana.reports("Pain, skin or weakness", "Strong or growing pain", "Done")
    await clinic.forward(minutes=10)
    await ana.reports("Pain, skin or weakness", "Cold, numb, blotchy skin", "Done")
    await clinic.forward(minutes=1)
    # The second has not reached the backup yet.
    assert not any("blotchy" in words for words in maya.news())
    await maya.taps("I am on it")
    news = maya.news()
    assert sum("blotchy" in words for words in news) == 1
    assert "You are on it." in news[-1]
    states = await clinic.rows("SELECT state FROM v_alert")
    assert [row["state"] for row in states] == ["acknowledged"] * 2
