"""Several treatments of one patient: added without a new link, and asked for one by one."""

from tests.cast import Clinic
from tests.stories.test_filler import reassures_nobody
from tests.stories.test_practitioner_bad_input import STALE
from tests.stories.test_visits import card_of

FACE_TITLE, FILLER_TITLE = "mesotherapy, face", "dermal filler"


async def add(clinic: Clinic, when: str = "") -> None:
    """Nour adds the filler to what Ana has."""
    nour = clinic.nour
    await card_of(clinic, "Ana")
    await nour.taps("Add a treatment")
    await nour.taps(FILLER_TITLE)
    if when:
        await nour.taps("Change the session time")
        await nour.says(when)
    await nour.taps("Add this treatment")


async def test_a_treatment_is_added_without_a_new_link(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 08:00")
    before = await clinic.rows("SELECT * FROM v_consent")
    ana.news()

    await card_of(clinic, "Ana")
    await nour.taps("Add a treatment")
    assert nour.last_message == "Ana: which treatment?"
    # What runs already is not offered.
    assert nour.buttons == ["mesotherapy, body", FILLER_TITLE, "Cancel"]
    await nour.taps(FILLER_TITLE)
    ready, _, plan = nour.last_message.rpartition("\n")
    assert ready == "Ana, dermal filler\nThe session has ended now."
    assert plan.startswith("Plan: ")
    buttons = ["Add this treatment", "Change the session time", "Preview the plan", "Cancel"]
    assert nour.buttons == buttons
    await nour.taps("Preview the plan")
    assert nour.buttons == ["Add this treatment", "Cancel"]
    screen = nour.person.last_message
    (data,) = [
        row[0]["callback_data"]
        for row in screen.inline_keyboard or []
        if row[0]["text"] == "Add this treatment"
    ]
    await nour.person.taps("Add this treatment")
    await nour.taps("Add this treatment", screen)
    added = nour.find("the treatment is added")
    first, second, third = added.text.splitlines()
    assert first == "Ana (dermal filler): the treatment is added"
    assert second == "The session ended on Wed 11 March, 08:00."
    assert third.endswith(
        " messages are still to come. What falls together goes as one message. "
        "Where two treatments have the same limit, the later end counts."
    )
    assert list(added.labels) == ["Area and product", "Undo", "Open the card"]

    # She is asked nothing again, and gets one card with the limits of clinic.
    assert await clinic.rows("SELECT * FROM v_consent") == before
    assert len(await clinic.rows("SELECT * FROM invitation WHERE patient_id IS NOT NULL")) == 1
    assert len(await clinic.rows("SELECT * FROM course")) == 2
    card, warning = ana.news()
    assert "Until Thu 12 March, 08:00:\n- no touching, rubbing or pressing\n- no make-up" in card
    assert card.count("make-up") == 1
    assert "- no hot baths or hot showers" in card
    assert "when to get help" in warning
    await card_of(clinic, "Ana")
    shown = nour.last_message
    assert "\n\nMesotherapy, face\nSessions: 1, the last on Tue 10 March, 14:30 (day 1)." in shown
    assert "\n\nDermal filler\nSessions: 1, the last on Wed 11 March, 08:00 (day 0)." in shown
    await nour.taps("Add a treatment")
    assert nour.buttons == ["mesotherapy, body", "Cancel"]

    # The button of the old screen adds nothing any more; Undo says what it takes back.
    await nour.forges(data)
    assert nour.last_message.startswith(STALE)
    await nour.taps("Undo", added)
    assert added.text == (
        "Taken back: the treatment that was added for Ana (dermal filler).\n"
        "The plan follows what was on record before.\nAna (dermal filler) is told what holds now."
    )
    assert ana.last_message.startswith("Lumen: please ignore my last card.\nIt came by mistake.")
    await card_of(clinic, "Ana")
    assert "Dermal filler" not in nour.last_message
    assert "Until Wed 11 March, 14:30:\n- no touching" in nour.last_message
    assert "strong cold" not in nour.last_message
    assert await clinic.history("h3") == ["cancelled(course_stopped)"]
    await add(clinic)
    assert await clinic.history("h3") == ["cancelled(course_stopped)", "planned"]
    reassures_nobody(ana, nour)
    await clinic.check_ledger()


async def test_a_variant_is_asked_for_and_who_has_everything_is_offered_nothing(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await add(clinic)
    await card_of(clinic, "Ana")
    await nour.taps("Add a treatment")
    await nour.taps("mesotherapy, body")
    await nour.taps("Fat-dissolving")
    await nour.taps("Add this treatment")
    await card_of(clinic, "Ana")
    assert "at-dissolving" in nour.last_message
    await nour.taps("Add a treatment")
    assert nour.last_message == (
        "Ana has every treatment that is approved here. Nothing was changed."
    )
    assert await clinic.history("d14") != []


async def test_a_treatment_to_come_is_added_and_taken_back(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    ana.news()
    await add(clinic, "tomorrow 9:00")
    first, second, _ = nour.last_message.splitlines()
    assert first == "Ana (dermal filler): the treatment is added"
    assert second == "The first session is on Wed 11 March, 09:00."
    assert nour.buttons == ["Undo", "Open the card"]
    (note,) = ana.news()
    assert note.startswith("Lumen: your visit is booked for Wed 11 March at 09:00.")
    await nour.taps("Undo")
    assert nour.last_message.startswith(
        "Taken back: the treatment that was added for Ana (dermal filler)."
    )
    (note,) = ana.news()
    assert note.startswith("Lumen: your visit on Wed 11 March at 09:00")
    await clinic.tick("2026-03-12 12:00")
    assert not any("first check" in words for words in ana.heard)
    await clinic.check_ledger()


async def test_with_two_treatments_a_card_asks_which_one_is_meant(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await add(clinic)
    await clinic.tick("2026-03-20 10:00")

    async def picks(act: str, treatment: str) -> None:
        await card_of(clinic, "Ana")
        await nour.taps(act)
        assert nour.last_message == f"{act}\nAna: which treatment?"
        await nour.taps(treatment)

    await card_of(clinic, "Ana")
    assert "Move the visit" not in nour.buttons
    await nour.taps("Session done")
    assert nour.last_message == "Session done\nAna: which treatment?"
    assert nour.buttons == [FACE_TITLE, FILLER_TITLE, "Open the card"]
    fillers = nour.person.last_message.inline_keyboard or []
    filler_session = str(fillers[1][0]["callback_data"])
    await nour.taps(FACE_TITLE)
    assert nour.last_message.startswith("Ana (mesotherapy, face): session 2 is saved\n")
    saved = nour.person.last_message
    done = await clinic.rows(
        "SELECT count(*) AS sessions FROM visit WHERE state = 'done' GROUP BY course_id"
        " ORDER BY course_id"
    )
    assert [row["sessions"] for row in done] == [2, 1]

    # What follows a session is about the same treatment, with no question in between.
    weeks = str((saved.inline_keyboard or [])[0][1]["callback_data"])
    await nour.taps("Set the next visit", saved)
    assert nour.last_message.startswith("Ana (mesotherapy, face): when is the next visit?")
    await nour.says("04.04. 9:00")
    assert nour.last_message.startswith(
        "Ana (mesotherapy, face): the visit is booked for Sat 4 April, 09:00."
    )
    await nour.forges(weeks)
    assert nour.last_message.startswith(
        "Ana (mesotherapy, face): the next session is planned for around Fri 10 April."
    )
    await card_of(clinic, "Ana")
    assert "Cancel the visit" in nour.buttons
    await picks("Set or move a visit", FILLER_TITLE)
    assert nour.last_message.startswith("Ana (dermal filler): when is the next visit?")
    await nour.says("10.04. 9:00")
    assert nour.last_message.startswith(
        "Ana (dermal filler): the visit is booked for Fri 10 April, 09:00."
    )
    await card_of(clinic, "Ana")
    assert "Move the visit" in nour.buttons
    await picks("Cancel the visit", FILLER_TITLE)
    assert nour.last_message.startswith("Ana (dermal filler): the visit is cancelled.")
    assert "your visit on Fri 10 April at 09:00" in ana.last_message
    await nour.taps("Undo")
    assert nour.last_message.startswith(
        "Taken back: the end of the visit on Fri 10 April, 09:00. "
        "Ana (dermal filler) is booked again."
    )
    await picks("Correct the session time", FILLER_TITLE)
    assert nour.last_message.startswith(
        "Ana (dermal filler): when did the last session really end?"
    )
    await nour.says("10.03. 14:00")
    assert nour.last_message.startswith(
        "Ana (dermal filler): the session ended on Tue 10 March, 14:00."
    )
    await picks("Session done earlier", FILLER_TITLE)
    assert nour.last_message.startswith("Ana (dermal filler): when did the session end?")
    await nour.taps("Cancel")

    await picks("End the plan", FILLER_TITLE)
    assert nour.last_message.startswith("End the plan of Ana (dermal filler)?")
    await nour.taps("End the plan")
    assert nour.last_message.startswith("Ana (dermal filler): the plan has ended.")
    assert ana.last_message == (
        "Lumen: one of your plans has ended. It is the one for your dermal filler.\n"
        "I will send no more reminders for it. The others go on.\n"
        "If something feels wrong, tap Something is wrong or call +49 30 5550 100."
    )
    assert await clinic.history("d35") == ["cancelled(course_stopped)"]
    assert (await clinic.history("d28"))[-1] == "planned"
    # A button of the question from before: that treatment has ended, the other runs.
    await nour.forges(filler_session)
    assert nour.last_message.startswith(STALE)
    await card_of(clinic, "Ana")
    assert "Dermal filler, ended" in nour.last_message
    await nour.taps("Correct the session time")
    assert nour.last_message.startswith(
        "Ana (mesotherapy, face): when did the last session really end?"
    )
    reassures_nobody(ana, nour)
    await clinic.check_ledger()


async def test_a_button_from_before_the_second_treatment_asks_too(clinic: Clinic) -> None:
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    await card_of(clinic, "Ana")
    old = nour.person.last_message
    await nour.taps("Set the next visit", old)
    await add(clinic)
    # The question from before was left when the treatment was added.
    told = len(nour.heard)
    await nour.says("28.04. 18:30")
    assert nour.heard[told].startswith("I did not understand that.")
    await clinic.forward(minutes=10)
    patient = (await clinic.rows("SELECT ref FROM patient"))[0]["ref"]
    for act, words in {
        "session": "Session done",
        "sessionat": "Session done earlier",
        "setvisit": "Set or move a visit",
        "correct": "Correct the session time",
        "details": "Area and product",
        "pstop": "End the plan",
        "stopcourse": "End the plan",
    }.items():
        await nour.forges(f"1:{act}:{patient}")
        assert nour.last_message == f"{words}\nAna: which treatment?", act
    # Nothing is booked, and of another patient's course there is nothing to do.
    for data in (f"1:cancelvisit:{patient}", f"1:session:{patient}:x", f"1:session:{patient}:"):
        await nour.forges(data)
        assert nour.last_message.startswith(STALE), data
    assert len(await clinic.rows("SELECT * FROM visit")) == 2


async def test_where_all_is_ended_a_session_takes_up_the_treatment_that_is_picked(
    clinic: Clinic,
) -> None:
    nour = clinic.nour
    await clinic.enroll(clinic.ana)
    await add(clinic)
    for picked in (FACE_TITLE, ""):
        await card_of(clinic, "Ana")
        await nour.taps("End the plan")
        if picked:
            await nour.taps(picked)
        await nour.taps("End the plan")
    assert "Lumen: your plan has ended." in clinic.ana.last_message
    await clinic.forward(hours=2)
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    assert nour.buttons == [FACE_TITLE, FILLER_TITLE, "Open the card"]
    await nour.taps(FILLER_TITLE)
    assert nour.last_message.startswith("Ana (dermal filler): session 2 is saved\n")
    await nour.taps("Undo")
    assert nour.last_message.startswith(
        "Taken back: the session of Tue 10 March, 16:30, recorded for Ana (dermal filler)."
    )
    states = await clinic.rows("SELECT state FROM course ORDER BY id")
    assert [row["state"] for row in states] == ["stopped", "stopped"]
    await clinic.check_ledger()


async def test_who_is_nobody_here_adds_nothing(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    patient = (await clinic.rows("SELECT ref FROM patient"))[0]["ref"]
    for data in (f"1:addcourse:{patient}", "1:added:x", "1:product:x", f"1:details:{patient}"):
        await ana.forges(data)
        assert ana.last_message.startswith("You cannot do that here."), data
    await clinic.nour.forges("1:added:x")
    assert clinic.nour.last_message.startswith(STALE)
    # A new patient's button is none of an added treatment, and the other way round.
    await card_of(clinic, "Ana")
    await clinic.nour.taps("Add a treatment")
    await clinic.nour.taps(FILLER_TITLE)
    (row, *_) = clinic.nour.person.last_message.inline_keyboard or []
    draft = str(row[0]["callback_data"]).split(":")[2]
    await clinic.nour.forges(f"1:create:{draft}")
    assert clinic.nour.last_message.startswith(STALE)
    assert len(await clinic.rows("SELECT * FROM patient")) == 1
