"""What a practitioner looks at and steers: today, patients, a card, its plan, a pause, an end."""

from datetime import timedelta

from bot.domain import schedule
from bot.domain.states import VisitState
from bot.services.deps import new_ref
from bot.services.planning import replan
from bot.storage import sealed
from bot.storage.queries import versions
from bot.storage.tables import Course, Patient, Visit
from tests.cast import BERLIN, Clinic
from tests.stories.test_visits import book, card_of


async def test_a_plan_shows_what_was_sent_and_why_the_rest_was_not(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await book(clinic, "Ana", "18.03. 9:00")
    await clinic.tick("2026-03-17 19:00")
    await ana.taps("I will come, no change")
    await card_of(clinic, "Ana")
    card = nour.last_message
    assert card.startswith(
        "Ana, active\n\nMesotherapy, face\nSessions: 1, the last on Tue 10 March"
    )
    assert "Next visit: Wed 18 March, 09:00, the patient said yes." in card
    assert "Until Tue 24 March, 10:00:\n- no peel, laser or other procedure there" in card
    await nour.taps("See the plan")
    plan = nour.last_message
    assert "- Tue 10 March, 14:30, care card: sent\n" in plan
    assert "- Wed 11 March, 10:00, a check: sent\n" in plan
    assert ", limits that end: not sent, the next visit is near" in plan
    assert ", getting ready for your visit: not sent, the visits are close together" in plan
    assert ", a late check: planned\n" in plan
    await nour.taps("Open the card")
    await nour.taps("See what was sent")
    sent = nour.last_message
    assert "- Tue 10 March, 14:30, care card: sent\n" in sent
    assert "- Fri 13 March, 18:00, day 3 limits: sent\n" in sent
    assert "visit booked: sent\n" in sent

    # Moved to another hour in the night: the note that waited gave way to a newer one.
    await clinic.tick("2026-03-17 22:00")
    await book(clinic, "Ana", "18.03. 10:00")
    await book(clinic, "Ana", "18.03. 11:00")
    await clinic.tick("2026-03-18 08:35")
    await nour.taps("Open the card")
    await nour.taps("See what was sent")
    assert "visit moved: not sent, a newer message replaced it\n" in nour.last_message
    await clinic.check_ledger()


async def test_what_was_sent_is_read_page_by_page(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    for _ in range(28):
        await ana.says("/limits")
    await card_of(clinic, "Ana")
    await nour.taps("See what was sent")
    assert nour.last_message.count("\n- ") == 15
    assert nour.buttons == ["Older messages", "Open the card"]
    screen = nour.person.last_message
    pages = [screen.text]
    for _ in range(2):
        await nour.taps("Older messages", screen)
        pages.append(screen.text)
    assert nour.person.last_message is screen
    assert "Tue 10 March, 14:30, hello: sent" in pages[-1]
    assert list(screen.labels) == ["Newer messages", "Open the card"]
    rows = await clinic.rows(
        "SELECT * FROM message WHERE patient_id IS NOT NULL AND practitioner_id IS NULL"
    )
    assert sum(page.count("\n- ") for page in pages) == len(rows) > 30

    # Days later the old screen still turns its pages, and nothing is missing in between.
    await clinic.tick("2026-03-18 10:00")
    await nour.taps("Newer messages", screen)
    assert screen.text == pages[1]
    assert list(screen.labels) == ["Older messages", "Newer messages", "Open the card"]
    await nour.taps("Newer messages", screen)
    assert list(screen.labels) == ["Older messages", "Newer messages", "Open the card"]
    await nour.taps("Newer messages", screen)
    assert screen.text.count("\n- ") == 15
    assert "- Tue 17 March, 10:00, day 7 limits: sent" in screen.text
    assert list(screen.labels) == ["Older messages", "Open the card"]

    # A page of somebody else's messages is none.
    await clinic.enroll(clinic.ben, "Ben")
    ana_ref, ben_ref = (r["ref"] for r in await clinic.rows("SELECT ref FROM patient ORDER BY id"))
    edge = rows[-1]["ref"]
    for data in (f"1:older:{ben_ref}:{edge}", f"1:newer:{ana_ref}:x", f"1:older:{ana_ref}:"):
        await nour.forges(data)
        assert nour.last_message.startswith("This button is out of date."), data


async def test_times_of_two_clocks_are_marked(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    marks = "Times of messages and limits are Ana's (Lisbon). Visits are the clinic's (Berlin)."
    await nour.says("/enroll Ana mesotherapy-face")
    await card_of(clinic, "Ana")
    assert "Berlin" not in nour.last_message
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("No, change it")
    await ana.taps("13:30")
    await ana.taps("Lisbon")
    await nour.taps("Yes, confirm", nour.find("Ana, @ana_sample"))
    await card_of(clinic, "Ana")
    assert marks in nour.last_message
    assert "the last on Tue 10 March, 14:30" in nour.last_message
    assert "Until Wed 11 March, 13:30:" in nour.last_message
    await nour.taps("See the plan")
    assert marks in nour.last_message
    assert "- Tue 10 March, 13:30, care card" in nour.last_message
    await nour.taps("Open the card")
    await nour.taps("See what was sent")
    assert "All times are by the clinic's clock (Berlin)." in nour.last_message
    assert "- Tue 10 March, 14:30, care card" in nour.last_message


async def test_a_pause_holds_everything_but_safety_checks(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    await nour.taps("Pause the plan")
    await nour.taps("3 days")
    assert "Paused until Fri 13 March. Safety checks still go out." in nour.last_message
    await clinic.tick("2026-03-12 12:00")
    assert await clinic.history("d1") == ["sent"]
    await clinic.tick("2026-03-13 18:00")
    # It ended with that morning's quiet hours.
    assert await clinic.history("d3") == ["sent"]
    await card_of(clinic, "Ana")
    assert "Paused" not in nour.last_message

    await nour.taps("Pause the plan")
    await nour.taps("Until I resume it")
    assert "Paused until you resume." in nour.last_message
    # A session during a pause: its limits hold from now on, so its card goes out.
    await clinic.tick("2026-04-20 10:00")
    assert await clinic.history("d7") == ["expired(paused)"]
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    assert await clinic.history("card") == ["sent", "sent"]
    await clinic.tick("2026-04-24 10:00")
    assert await clinic.history("d1") == ["sent", "sent"]
    assert await clinic.history("d3") == ["sent", "planned"]
    await card_of(clinic, "Ana")
    await nour.person.taps("Resume the plan")
    await nour.taps("Resume the plan")
    assert not any("out of date" in words for words in nour.heard[-2:])
    # What is still of use goes now; what was missed is not made up for.
    assert await clinic.history("d3") == ["sent", "sent"]
    assert await clinic.history("d7") == ["expired(paused)", "planned"]
    await nour.says("/undo")
    await card_of(clinic, "Ana")
    assert "Paused until you resume." in nour.last_message
    await ana.says("/plan")
    assert "The clinic has paused your reminders." in ana.last_message
    await clinic.check_ledger()


async def test_an_ended_plan_says_no_more(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await card_of(clinic, "Ana")
    await nour.taps("End the plan")
    assert nour.last_message.startswith("End the plan of Ana?")
    asked = nour.person.last_message
    await nour.person.taps("End the plan")
    await nour.taps("End the plan", asked)
    assert not any("out of date" in words for words in nour.heard)
    assert ana.last_message.startswith("Lumen: your plan has ended.")
    told = len(ana.heard)
    await clinic.tick("2026-04-10 12:00")
    assert len(ana.heard) == told
    assert await clinic.history("d1") == ["cancelled(course_stopped)"]
    await card_of(clinic, "Ana")
    assert "Mesotherapy, face, ended" in nour.last_message
    assert not {"Set the next visit", "Pause the plan", "End the plan"} & set(nour.buttons)
    await nour.says("/undo")
    assert nour.last_message.startswith("There is nothing that I can take back.")
    # A session takes it up again, and taken back it leaves the plan as it was: ended.
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    assert await clinic.history("d1") == ["cancelled(course_stopped)", "planned"]
    await nour.taps("Undo")
    await card_of(clinic, "Ana")
    assert "Mesotherapy, face, ended" in nour.last_message
    assert await clinic.history("d1") == ["cancelled(course_stopped)"] * 2

    # In trouble she still reaches a person.
    await ana.reports_danger()
    assert "Reported: a hot area that spreads" in nour.last_message
    # Treated again, she is cared for again.
    await card_of(clinic, "Ana")
    await nour.taps("Session done")
    assert any("your care card" in heard for heard in ana.heard[told:])
    await clinic.check_ledger()


async def test_today_shows_who_needs_somebody(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.presses("Today")
    assert nour.last_message.endswith("Nobody is waiting for you, and no visit is booked.")
    await clinic.enroll(ana)
    await nour.says(f"/enroll {'Cleopatra ' * 6}mesotherapy-face")
    await clinic.enroll(ben, "Ben")
    await ben.reports_danger()
    await ana.does(ana.person.blocks)
    await book(clinic, "Ben", "11.03. 9:00")
    await clinic.tick("2026-03-11 08:00")
    await nour.presses("Today")
    today = nour.last_message
    assert today.startswith("Today, Wed 11 March\n\nWaiting for you\n- URGENT: Ben, Tue 10 March")
    assert "Visits\n- 09:00 Ben, booked" in today
    assert "Telegram does not reach them\nAna" in today
    assert "Not joined yet\nCleopatra Cleopatra Cleo…" in today
    assert "No next visit planned" not in today
    assert [label.split()[0] for label in nour.buttons] == [
        *("Ben", "Ana", "Cleopatra"),
        *("See", "Add"),
    ]

    # Ana has another phone by now: a new link brings her plan to it, and only there.
    anew = clinic.someone("Ana", username="ana_anew")
    await nour.taps("Ana")
    await nour.taps("Make a new link")
    await clinic.join(anew)
    await clinic.tick("2026-03-11 10:00")
    assert anew.last_message.startswith("Lumen: day 1 check.")
    await ana.does(ana.person.unblocks)
    await ana.says("/plan")
    assert ana.last_message.startswith("This is for patients who joined by a link")

    # The visit passed and nobody recorded a session: it is not forgotten.
    await clinic.tick("2026-03-12 09:00")
    await nour.presses("Today")
    assert "No next visit planned\nBen" in nour.last_message
    await clinic.check_ledger()


async def test_today_begins_with_what_is_most_urgent(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await clinic.tick("2026-03-13 18:00")
    await ana.taps("Not yet")
    await ben.reports_danger()
    await nour.presses("Today")
    waiting = nour.last_message.split("\n\n")[1].splitlines()
    assert waiting == [
        "Waiting for you",
        "- URGENT: Ben, Fri 13 March, 18:00",
        "- Please answer: Ana, Fri 13 March, 18:00",
    ]
    # What does not fit is counted.
    for _ in range(12):
        await clinic.forward(minutes=1)
        await ben.reports_danger()
    await nour.presses("Today")
    waiting = nour.last_message.split("\n\n")[1].splitlines()
    assert {line[:13] for line in waiting[1:13]} == {"- URGENT: Ben"}
    assert waiting[13:] == ["2 more"]


async def test_a_long_list_of_patients_has_pages(clinic: Clinic) -> None:
    nour = clinic.nour
    async with clinic.rehearsal.app.deps.database.write() as session:
        for number in range(45):
            patient = Patient(ref=new_ref(), clinic_id=1, practitioner_id=1, created_at=clinic.now)
            sealed.write(session, patient, {"name": f"P{number:02}"})
            session.add(patient)
    await nour.presses("Patients")
    assert nour.buttons[0] == "P44, invited"
    assert nour.buttons[19:] == ["P25, invited", "Next page", "Add a patient"]
    await nour.taps("Next page")
    await nour.taps("Next page")
    assert nour.buttons == [
        *(f"P{n:02}, invited" for n in (4, 3, 2, 1, 0)),
        "Previous page",
        "Add a patient",
    ]
    await nour.taps("P00, invited")
    assert nour.last_message.startswith("P00, invited")
    await nour.presses("Today")
    assert "P44, P43" in nour.last_message
    assert "and 33 more" in nour.last_message


async def test_two_courses_share_the_caps_and_the_stricter_limit(clinic: Clinic) -> None:
    ana, database = clinic.ana, clinic.rehearsal.app.deps.database
    await clinic.enroll(ana)
    # A second treatment of the same patient, a day later.
    async with database.write() as session:
        approved = await versions.approved_protocols(session, 1)
        face = next(row for row in approved if row.name == "mesotherapy-face")
        course = Course(
            ref=new_ref(),
            clinic_id=1,
            patient_id=1,
            protocol_version_id=face.id or 0,
            created_at=clinic.now,
        )
        session.add(course)
        await session.flush()
        done_at = clinic.now + timedelta(hours=20)
        visit = Visit(
            ref=new_ref(),
            clinic_id=1,
            patient_id=1,
            course_id=course.id or 0,
            state=VisitState.DONE,
            done_at=done_at,
            done_date=done_at.astimezone(BERLIN).date(),
            recorded_at=done_at,
            created_at=clinic.now,
        )
        session.add(visit)
        whole = await replan(session, 1, clinic.now)
    assert len(whole.courses) == 2
    gym = whole.limits(clinic.now)["gym"]
    assert gym.astimezone(BERLIN).isoformat() == "2026-03-14T18:00:00+01:00"
    await clinic.tick("2026-07-20 12:00")
    unasked = await clinic.rows(
        "SELECT sent_at FROM v_message WHERE template LIKE 'steps/%' AND state = 'sent'"
        " AND template <> 'steps/warning-card'"
    )
    days = [row["sent_at"][:10] for row in unasked]
    assert max(days.count(day) for day in days) <= schedule.DAILY_CAP
    # Checks of one half of a day went as one message.
    assert await clinic.history("d28") == ["sent", "sent"]
    await clinic.check_ledger()
