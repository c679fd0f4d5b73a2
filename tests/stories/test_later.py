""" "Remind me later": three hours on, once, while it is of use and nobody sleeps."""

from tests.cast import Actor, Clinic
from tests.stories.test_visits import book, card_of

LATER = "Remind me later"
AGAIN = "OK. I will ask again at 15:00."
NOT_TODAY = (
    "Not today. I cannot ask you again about this.\nPlease answer above, or call +49 30 5550 100."
)


async def asked_to_confirm(clinic: Clinic) -> Actor:
    """It is noon on the day before Ana's visit, and she is asked whether she comes."""
    ana = clinic.ana
    await clinic.enroll(ana)
    await book(clinic, "Ana", "27.03.2026 15:00")
    await clinic.tick("2026-03-26 12:00")
    assert ana.last_message == "Lumen: will you come on Fri 27 March at 15:00?"
    assert ana.buttons == ["Yes", "Change the time", "Cancel the visit", LATER]
    ana.news()
    return ana


async def test_it_comes_once_more_three_hours_on_with_the_same_buttons(clinic: Clinic) -> None:
    ana = await asked_to_confirm(clinic)
    asked = ana.person.last_message
    await ana.taps(LATER, asked)
    assert ana.news() == [AGAIN]
    # A second tap says the same, and queues nothing more.
    await clinic.forward(minutes=1)
    await ana.taps(LATER, asked)
    assert ana.news() == [AGAIN]
    await clinic.tick("2026-03-26 14:59")
    assert ana.news() == []
    # Three hours from the tap, which came some seconds after noon.
    await clinic.tick("2026-03-26 15:01")
    assert ana.news() == ["Lumen: will you come on Fri 27 March at 15:00?"]
    assert ana.buttons == ["Yes", "Change the time", "Cancel the visit"]
    # Once, then no more.
    again = ana.person.last_message
    await ana.taps(LATER, asked)
    assert ana.news() == [NOT_TODAY]
    await ana.taps("Yes", again)
    assert "Thank you" in ana.last_message or "27 March" in ana.last_message
    rows = await clinic.rows("SELECT due_at, state, reason FROM v_reminder WHERE step = 'conf'")
    assert [(row["state"], row["reason"]) for row in rows] == [("sent", None)]
    await clinic.tick("2026-03-26 22:00")
    await clinic.check_ledger()


async def test_an_answer_meanwhile_ends_it(clinic: Clinic) -> None:
    ana = await asked_to_confirm(clinic)
    asked = ana.person.last_message
    await ana.taps(LATER, asked)
    await ana.taps("Yes", asked)
    ana.news()
    await clinic.tick("2026-03-26 20:00")
    assert ana.news() == []
    # Answered is answered: it is not asked again.
    await ana.taps(LATER, asked)
    assert ana.news() == [NOT_TODAY]


async def test_a_moved_visit_and_a_stop_end_it(clinic: Clinic) -> None:
    ana = await asked_to_confirm(clinic)
    await ana.taps(LATER)
    await book(clinic, "Ana", "30.03.2026 15:00")
    ana.news()
    await clinic.tick("2026-03-26 16:00")
    assert not any("27 March" in said for said in ana.news())
    await clinic.tick("2026-03-29 12:00")
    assert ana.last_message == "Lumen: will you come on Mon 30 March at 15:00?"
    await ana.taps(LATER)
    await ana.says("/stop")
    await ana.taps("Stop")
    ana.news()
    await clinic.tick("2026-03-29 20:00")
    assert ana.news() == []
    rows = await clinic.rows("SELECT state FROM v_message WHERE template = 'steps/confirm'")
    assert [row["state"] for row in rows] == ["sent", "dropped", "sent", "dropped"]
    await clinic.check_ledger()


async def test_it_never_comes_in_quiet_hours_nor_when_it_is_of_no_use(clinic: Clinic) -> None:
    ana = await asked_to_confirm(clinic)
    asked = ana.person.last_message
    await clinic.tick("2026-03-26 18:01")
    await ana.taps(LATER, asked)
    assert ana.last_message == NOT_TODAY
    # It may go until three hours before the visit.
    await clinic.tick("2026-03-27 09:30")
    await ana.taps(LATER, asked)
    assert ana.last_message == NOT_TODAY


async def test_cards_checks_and_limits_have_no_later(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-04-08 12:00")
    seen = [message for message in ana.person.received if message.labels]
    assert {"card", "check", "limits"} <= {
        word for message in seen for word in ("card", "check", "limits") if word in message.text
    }
    assert all(LATER not in message.labels for message in seen)
    # A forged one leads nowhere, and nobody puts off what is another's.
    await ana.forges("1:later:nothing", "1:later")
    assert "out of date" in ana.last_message


async def test_a_button_of_another_phone_is_refused(clinic: Clinic) -> None:
    ana, ben = clinic.ana, clinic.ben
    await clinic.enroll(ben, "Ben")
    await asked_to_confirm(clinic)
    row = ana.person.last_message.inline_keyboard or []
    data = next(
        str(each["callback_data"]) for line in row for each in line if each["text"] == LATER
    )
    await ben.forges(data)
    assert "out of date" in ben.last_message
    await clinic.tick("2026-03-26 16:00")
    assert ana.news() == []
    await card_of(clinic, "Ana")
