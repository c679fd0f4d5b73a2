"""A patient opens the link, agrees, is confirmed; before that nothing of the plan is said."""

import re

from tests.cast import Actor, Clinic
from tests.stories.test_visits import card_of

OF_THE_PLAN = re.compile(
    r"mesotherapy|skin|gym|sauna|limit|alcohol|sunscreen|treatment|session|day 1|March", re.I
)
THE_TREATMENT = re.compile(r"mesotherapy|gym|sauna|alcohol|treatment|session", re.I)
BAD_LINK = (
    "This link does not work. Please ask your clinic for a new one.\n"
    "Questions? Call +49 30 5550 100.\n"
    "In an emergency, call 112."
)


def but_warnings(heard: list[str]) -> list[str]:
    """What was heard beside the texts that anybody may read who is in trouble or asks."""
    promise = "They aim to reply by"
    return [
        "\n".join(line for line in text.splitlines() if not line.startswith(promise))
        for text in heard
        if not text.startswith("Call 112")
    ]


async def test_nothing_of_the_plan_is_said_before_the_yes_and_the_confirmation(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    assert "Are you Ana?" in ana.last_message
    await ana.says("/plan")
    assert "Are you Ana?" in ana.last_message
    await ana.taps("Yes, that is me")
    await ana.says("/limits")
    await ana.taps("Yes, that is me")
    await ana.taps("Read more")
    assert "The clinic deletes your data 365 days after your last visit." in ana.last_message
    assert await clinic.rows("SELECT * FROM v_consent") == []

    await ana.taps("I am 18+ and I agree")
    assert "is it 14:30 where you are now?" in ana.last_message
    await ana.taps("I am 18+ and I agree")
    assert "is it 14:30 where you are now?" in ana.last_message
    await ana.taps("Yes")
    assert "The clinic must now check that it is you." in ana.last_message
    for words in ("/plan", "/limits", "/visits", "Limits still on", "/start", "Yes"):
        await (ana.taps(words) if words == "Yes" else ana.says(words))
        assert "The clinic must now check that it is you." in ana.last_message
    await ana.says("can I go to the sauna?")
    assert "so I passed your message to Lumen Clinic" in ana.last_message
    assert "can I go to the sauna?" in nour.last_message
    assert not any(map(OF_THE_PLAN.search, but_warnings(ana.news())))
    await ana.reports_danger()
    assert ana.heard[-2].startswith("A person needs to look at this now.")
    assert "Nobody has confirmed yet that this account is Ana: Ana, @ana_sample" in nour.heard[-1]
    # The lists of signs speak of skin; the treatment is named by none of it.
    assert not any(map(THE_TREATMENT.search, ana.news()))

    await nour.taps("Yes, confirm")
    welcome, card, warning = ana.person.received[-3:]
    assert "you are all set" in welcome.text
    assert "Until Wed 11 March, 14:30:\n- no touching" in card.text
    assert "Until Fri 13 March, 18:00:\n- no gym" in card.text
    assert "Until Tue 17 March, 10:00:\n- no sauna" in card.text
    assert "Until Tue 24 March, 10:00:\n- no peel" in card.text
    assert len(re.findall(r"^- no ", card.text, re.M)) == 12
    assert (card.silent, warning.silent) == (False, True)
    assert "Call the clinic now on +49 30 5550 100" in warning.text
    assert "Ana has joined.\nThe care card goes out now." in nour.heard
    (consent,) = await clinic.rows("SELECT * FROM v_consent")
    assert (consent["purpose"], consent["language"]) == ("reminders", "en")
    assert re.fullmatch(r"[0-9a-f]{12}", consent["text_version"])
    assert consent["given_at"].startswith("2026-03-10T13:3")
    assert consent["withdrawn_at"] is None


async def test_a_patient_far_away_tells_the_clock_and_the_city(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(clinic.nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("No, change it")
    clocks = ana.buttons
    assert clocks[:2] == ["03:30", "05:30"]
    assert len(set(clocks)) == len(clocks)
    await ana.taps("09:30")
    assert "New York" in ana.buttons
    await ana.taps("New York")
    await nour.taps("Yes, confirm", nour.find("Ana, @ana_sample"))
    assert "Until Fri 13 March, 18:00:\n- no gym" in ana.heard[-2]
    assert "(or your local emergency number)" in ana.last_message

    # Wednesday 10:00 in New York is 15:00 in Berlin.
    await clinic.tick("2026-03-11 14:59")
    assert "day 1 check" not in ana.last_message
    await clinic.tick("2026-03-11 15:00")
    assert "day 1 check" in ana.last_message
    # What was told is settled: an old button does not move it.
    await ana.taps("Yes", ana.find("is it 14:30"))
    assert "This button is out of date." in ana.last_message


async def test_who_leaves_the_time_zone_open_gets_the_clinic_s_after_ten_minutes(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await nour.taps("Yes, confirm")
    await clinic.forward(minutes=9)
    assert "is it 14:30 where you are now?" in ana.last_message
    await clinic.forward(minutes=2)
    assert "your care card" in ana.heard[-2]
    # It can still be put right, and the plan follows.
    await ana.taps("No, change it")
    await ana.taps("22:41")
    await ana.taps("Tokyo")
    assert "now follow the time in Tokyo" in ana.last_message
    await ana.says("/plan")
    assert "- Wed 11 March, 10:00: a check" in ana.last_message
    await clinic.tick("2026-03-11 02:00")
    assert "day 1 check" in ana.last_message


async def test_a_patient_whom_nobody_confirms_waits_with_the_danger_path_open(
    clinic: Clinic,
) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await nour.says("/enroll Ben mesotherapy-face")
    await ben.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("Yes")
    assert "Until then I send no reminders. Questions? Call +49 30 5550 100." in ana.last_message
    assert "You do not have to wait." in ana.last_message
    await nour.taps("Yes, confirm", nour.find("Somebody opened the link for Ben"))
    nour.news()
    await clinic.forward(seconds=100)
    assert nour.news() == []
    await clinic.forward(seconds=20)
    (nudge,) = nour.news()
    assert nudge.startswith("Ana is still waiting for you.")
    assert "Ana, @ana_sample" in nudge
    await ana.says("/wrong")
    await ana.taps("Faint, chest, weak side")
    assert ana.heard[-2].startswith("Call 112 now. Do not wait for a reply here.")
    assert nour.news()[-1].startswith("EMERGENCY: Ana")
    await clinic.forward(minutes=8)
    assert nour.find("Ana is still waiting for you.")
    await nour.taps("Yes, confirm")
    assert "when to get help" in ana.last_message
    nour.news()
    await clinic.forward(minutes=30)
    assert not any("still waiting" in text for text in nour.news())


async def test_a_link_opens_once_and_every_other_gets_the_same_words(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.says("/enroll Ana mesotherapy-face")
    ana_s = nour.link
    # The practitioner's own look at it does not use it up.
    await nour.opens(ana_s)
    assert nour.last_message == "This link is for a patient. Please pass it on. It still works."
    await ana.opens(ana_s)
    assert "Are you Ana?" in ana.last_message
    for link in (
        ana_s,
        ana_s[:-1] + ("A" if ana_s[-1] != "A" else "B"),
        clinic.rehearsal.lead_link,
    ):
        await ben.opens(link)
        assert ben.news() == [BAD_LINK]
        await clinic.forward(seconds=11)
    await ana.opens(ana_s)
    assert ana.last_message == BAD_LINK

    await nour.says("/enroll Ben mesotherapy-face")
    await clinic.forward(hours=73)
    await ben.opens(nour.link)
    assert ben.news() == [BAD_LINK]
    # Whoever is a patient already keeps their plan; the link stays good for the other.
    await nour.says("/enroll Cleo mesotherapy-face")
    await ana.opens(nour.link)
    assert "I have told them that you opened a new link." in ana.last_message
    assert "Ana opened a link for a new patient, but has a card here." in nour.last_message
    await ben.opens(nour.link)
    assert "Are you Cleo?" in ben.last_message


async def test_the_wrong_person_is_let_go_and_the_right_one_joins(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.says("/enroll Ana mesotherapy-face")
    await ben.opens(nour.link)
    await ben.taps("No, wrong person")
    assert "This link is now closed. I have kept no data about you." in ben.last_message
    assert "I am not Ana" in nour.last_message
    await ben.says("hello?")
    assert "This bot is for patients of Lumen Clinic." in ben.last_message
    assert "112" in ben.last_message
    await clinic.forward(seconds=11)
    await ben.taps("Yes, that is me")
    assert "This button is out of date." in ben.last_message
    first = nour.find("No care message goes out before you confirm.")
    await clinic.forward(minutes=1)
    await nour.taps("Make a new link")
    nour.news()
    await ana.opens(nour.link)
    # The first screen showed Ben: confirming there would confirm an account never seen.
    await nour.taps("Yes, confirm", first)
    assert "This button is out of date." in nour.last_message
    nour.news()
    await clinic.forward(seconds=80)
    assert nour.news() == []

    # Somebody else at the phone: the practitioner says no, also after the patient's yes.
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await nour.taps("No, somebody else", nour.find("Ana, @ana_sample"))
    (consent,) = await clinic.rows("SELECT * FROM v_consent")
    assert consent["withdrawn_at"] is not None
    await ana.taps("Yes")
    assert "This button is out of date." in ana.last_message
    assert "card" not in " ".join(ana.heard)


async def test_no_thanks_is_taken_at_once_and_even_after_the_yes(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    await ana.taps("I am 18+ and I agree")
    await ana.taps("No, thanks")
    assert "I will not send reminders." in ana.last_message
    assert "Questions? Call +49 30 5550 100." in ana.last_message
    assert "Ana read the consent and said no." in nour.last_message
    (consent,) = await clinic.rows("SELECT * FROM v_consent")
    assert consent["withdrawn_at"] is not None
    ana.news()
    await nour.taps("Yes, confirm")
    assert "This button is out of date." in nour.last_message
    await clinic.forward(days=2)
    assert ana.news() == []
    assert await clinic.rows("SELECT * FROM v_reminder") == []
    # A change of mind is a new link.
    await nour.says("/patients")
    await nour.taps("Ana, said no")
    await nour.taps("Make a new link")
    await clinic.join(ana)
    assert "when to get help" in ana.last_message


async def _joins(clinic: Clinic, name: str, session: str) -> Actor:
    person = clinic.someone(name)
    await clinic.enroll(person, name, session)
    return person


async def _ledger(clinic: Clinic, first_step_at: str) -> dict[str, tuple[str, str | None]]:
    """Each step's state and reason, of the patient whose card was nominally due then."""
    rows = await clinic.rows(
        "SELECT * FROM v_reminder WHERE visit_ref = (SELECT visit_ref FROM v_reminder "
        f"WHERE step = 'd3' AND due_at = '{first_step_at}')"
    )
    return {row["step"]: (row["state"], row["reason"]) for row in rows}


async def test_who_joins_late_gets_what_still_holds(clinic: Clinic) -> None:
    # 20 hours: the 24-hour limits are still on, and the check of 10:00 comes at once.
    ana = await _joins(clinic, "Ana", "2026-03-09 18:30")
    card, *others = ana.heard[-3:]
    assert "These limits are still on." in card
    assert "Until Tue 10 March, 18:30:\n- no touching" in card
    assert "Wear sunscreen each day" in card
    assert any("when to get help" in text for text in others)
    assert any("day 1 check" in text for text in others)
    assert await _ledger(clinic, "2026-03-12T17:00:00.000Z") == {
        "card": ("sent", None),
        "d1": ("sent", None),
        "d3": ("planned", None),
        "d7": ("planned", None),
        "d28": ("planned", None),
        "maint": ("planned", None),
        "maint-2": ("planned", None),
    }
    # 4 days: what ended is not on the card, and the ledger says why each step was not sent.
    ben = await _joins(clinic, "Ben", "2026-03-06 14:30")
    assert "gym" not in ben.heard[-2]
    assert "Until Fri 13 March, 10:00:\n- no sauna" in ben.heard[-2]
    assert "when to get help" in ben.last_message
    ledger = await _ledger(clinic, "2026-03-09T17:00:00.000Z")
    assert ledger["card"] == ("sent", None)
    assert ledger["d1"] == ("skipped", "joined_late")
    assert ledger["d3"] == ("skipped", "folded")
    assert ledger["d7"] == ("planned", None)
    # 30 days: no limit is left, so there is no card; the late check is still of use.
    await clinic.nour.says("/enroll Cleo mesotherapy-face 2026-02-10 18:30")
    await clinic.forward(hours=48)
    cleo = clinic.someone("Cleo")
    await clinic.join(cleo)
    assert "care card" not in " ".join(cleo.heard)
    assert "4-week check" in cleo.last_message
    assert "The limits of the last session are over" in clinic.nour.last_message
    ledger = await _ledger(clinic, "2026-02-13T17:00:00.000Z")
    assert ledger["card"] == ("skipped", "joined_late")
    assert ledger["d28"] == ("sent", None)
    await cleo.says("/plan")
    assert "Limits still on" not in cleo.last_message
    assert "Tue 5 May, 11:00: a new visit, if you like" in cleo.last_message


async def test_who_joins_the_next_morning_still_gets_the_day_one_check_at_ten(
    clinic: Clinic,
) -> None:
    await clinic.nour.says("/enroll Ana mesotherapy-face")
    await clinic.tick("2026-03-11 09:00")
    await clinic.join(clinic.ana)
    assert "These limits are still on." in clinic.ana.heard[-2]
    assert "Until Wed 11 March, 14:30" in clinic.ana.heard[-2]
    assert "when to get help" in clinic.ana.last_message
    await clinic.tick("2026-03-11 10:00")
    assert "day 1 check" in clinic.ana.last_message


async def test_a_patient_with_a_new_phone_joins_again_by_a_new_link(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 09:00")
    await card_of(clinic, "Ana")
    await nour.taps("Make a new link")
    assert nour.last_message.startswith("Ana has joined already.")
    await nour.taps("Make a new link")
    # Until it is opened, the old phone goes on.
    await clinic.tick("2026-03-11 10:00")
    assert ana.last_message.startswith("Lumen: day 1 check.")
    told = len(ana.heard)

    anew = clinic.someone("Ana", username="ana_anew")
    await anew.opens(nour.link)
    assert "Ana, @ana_anew" in nour.last_message
    # Nothing of the plan is shown before both have said yes, not even to an own question.
    for words in ("/plan", "/limits", "can I go to the gym?"):
        await anew.says(words)
    assert not any("gym or hard" in words or "sauna" in words for words in anew.heard)
    await anew.taps("Yes, that is me", anew.find("Are you Ana?"))
    await anew.taps("I am 18+ and I agree")
    await anew.taps("Yes")
    await nour.taps("Yes, confirm", nour.find("Ana, @ana_anew"))
    assert anew.find("your care card")
    consents = await clinic.rows("SELECT withdrawn_at FROM v_consent ORDER BY given_at")
    assert [row["withdrawn_at"] is None for row in consents] == [False, True]
    await clinic.tick("2026-03-17 12:00")
    assert anew.find("day 7 limits")
    assert await clinic.history("d7") == ["cancelled(not_active)", "sent"]
    assert len(ana.heard) == told
    # On the old phone nobody is known any more; whoever needs help reads the numbers.
    await ana.says("/plan")
    assert ana.last_message.startswith("This is for patients who joined by a link")
    await clinic.check_ledger()


async def test_after_an_ended_plan_a_new_link_begins_the_next(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.forward(minutes=5)
    await nour.says("/enroll Ana mesotherapy-face")
    # While a plan runs, its card is the place for a session.
    await ana.opens(nour.link)
    assert ana.last_message.startswith("You are with Lumen Clinic already.")
    old = (await clinic.rows("SELECT ref FROM patient ORDER BY id"))[0]["ref"]
    await nour.forges(f"1:stopcourse:{old}")
    assert ana.last_message.startswith("Lumen: your plan has ended.")

    # Not hers: the account goes back to the card that it came from.
    await ana.opens(nour.link)
    await ana.taps("No, wrong person")
    await ana.says("/plan")
    assert ana.last_message.startswith("Your plan has ended.")
    await ana.reports_danger()
    assert nour.last_message.startswith("URGENT: Ana")

    await clinic.forward(minutes=1)
    await nour.taps("Make a new link", nour.find("said: I am not Ana"))
    await clinic.join(ana)
    assert sum("your care card" in words for words in ana.heard) == 2
    await clinic.tick("2026-03-11 10:00")
    assert ana.last_message.startswith("Lumen: day 1 check.")
    assert await clinic.history("d1") == ["cancelled(course_stopped)", "sent"]
    await nour.presses("Today")
    assert "Not joined yet" not in nour.last_message
    await clinic.check_ledger()


async def test_a_session_recorded_while_the_account_was_set_aside_is_planned_when_it_is_back(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 12:00")
    old = (await clinic.rows("SELECT ref FROM patient"))[0]["ref"]
    await nour.forges(f"1:stopcourse:{old}")
    await nour.says("/enroll Anna mesotherapy-face")
    await ana.opens(nour.link)
    await nour.forges(f"1:session:{old}")
    assert "session 2 is saved" in nour.last_message
    ana.news()
    await clinic.tick("2026-03-14 12:00")
    assert ana.news() == []
    # The link was meant for a namesake: her own card's plan goes on, with its limits.
    await ana.taps("No, wrong person")
    sorry, *card = ana.news()
    assert sorry.startswith("Lumen: sorry about that.")
    assert "your care card" in card[0]
    await clinic.tick("2026-03-18 12:00")
    assert await clinic.history("d7") == ["cancelled(course_stopped)", "sent"]
    # What fell due without an account is recorded, not replayed.
    assert await clinic.history("d1") == ["sent", "skipped(joined_late)"]
    await clinic.check_ledger()


async def test_a_stranger_is_answered_once_in_ten_seconds(clinic: Clinic) -> None:
    mallory = clinic.someone("Mallory")
    for number in range(30):
        await mallory.person.says(f"hello {number}")
    await clinic.settle()
    assert len(mallory.news()) == 1
    await clinic.forward(seconds=11)
    await mallory.says("hello again")
    assert len(mallory.news()) == 1
    # What is not answered is on record all the same.
    rows = await clinic.rows("SELECT count(*) AS n FROM v_update WHERE state = 'handled'")
    assert rows[0]["n"] >= 31


async def test_guessed_links_are_answered_five_times_in_fifteen_minutes(clinic: Clinic) -> None:
    nour, mallory = clinic.nour, clinic.someone("Mallory")
    await clinic.enroll(clinic.ana)
    clinic.ana.news()
    for guesser in (mallory, clinic.ana):
        heard = []
        for number in range(12):
            await clinic.forward(seconds=11)
            guesser.news()
            await guesser.says(f"/start guess{number:027}")
            heard += guesser.news()
        assert heard == [BAD_LINK] * 5, guesser.person
    # A link that works is no guess, and a quarter of an hour later one may be wrong again.
    await nour.says("/enroll Lea mesotherapy-face")
    await mallory.opens(nour.link)
    assert "Are you Lea?" in mallory.last_message
    stranger = clinic.someone("Omar")
    for wait in (*[11] * 6, 900):
        stranger.news()
        await clinic.forward(seconds=wait)
        await stranger.says("/start wrong")
    assert stranger.news() == [BAD_LINK]
