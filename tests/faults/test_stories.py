"""The whole bot when Telegram answers badly: what patients, practitioners and rows say then."""

import asyncio
from datetime import timedelta
from typing import Any

from bot.watch import Lookout
from tests.cast import Clinic
from tests.stories.test_visits import book, card_of

TWICE = "this message may reach you twice"


async def in_the_air(clinic: Clinic) -> None:
    """Wait until a message is in a sender's hands, which Telegram does not answer."""
    while True:
        if await clinic.rows("SELECT * FROM v_message WHERE state = 'sending'"):
            return
        await asyncio.sleep(0.01)


async def last(clinic: Clinic, template: str) -> dict[str, Any]:
    """The newest message row of that template."""
    sql = f"SELECT * FROM v_message WHERE template = '{template}' ORDER BY queued_at"
    return (await clinic.rows(sql))[-1]


async def test_a_tap_proves_that_an_unconfirmed_message_arrived(clinic: Clinic) -> None:
    ana, faults = clinic.ana, clinic.rehearsal.telegram.faults
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 09:59")
    faults.drop("sendMessage", chat=ana.person.id, delivered=True)
    await clinic.tick("2026-03-11 10:00")
    check = ana.find("day 1 check")
    row = await last(clinic, "steps/mesotherapy-face/d1")
    assert (row["state"], row["attempts"], row["maybe_copies"]) == ("queued", 1, 1)
    assert (await clinic.reminders())["d1"]["state"] == "planned"

    # Inside the minute she taps: it is proven, and the repeat never goes.
    await ana.taps("None of these", check)
    row = await last(clinic, "steps/mesotherapy-face/d1")
    assert (row["state"], row["attempts"]) == ("sent", 1)
    assert row["telegram_message_id"] == check.id
    assert (await clinic.reminders())["d1"]["state"] == "sent"
    assert ana.buttons[0] == "Better"
    await clinic.forward(minutes=10)
    assert sum("day 1 check" in words for words in ana.heard) == 1

    # Given up after two silences: the row says that nobody knows, until she taps.
    await clinic.tick("2026-03-13 17:59")
    faults.drop("sendMessage", chat=ana.person.id, times=2, delivered=True)
    await clinic.tick("2026-03-13 18:00")
    await clinic.forward(minutes=2)
    copies = [message for message in ana.person.received if "your day 3 limits" in message.text]
    assert [message.text.lower().startswith(f"lumen: {TWICE}") for message in copies] == [
        False,
        True,
    ]
    assert (await last(clinic, "steps/mesotherapy-face/d3"))["state"] == "unconfirmed"
    reminder = (await clinic.reminders())["d3"]
    assert (reminder["state"], reminder["reason"]) == ("undelivered", "unconfirmed")
    await ana.taps("Yes, it is calm", copies[0])
    assert (await last(clinic, "steps/mesotherapy-face/d3"))["state"] == "sent"
    reminder = (await clinic.reminders())["d3"]
    assert (reminder["state"], reminder["reason"]) == ("sent", None)
    # Either copy's answer counts.
    await ana.taps("Yes, it is calm", copies[1])
    assert "too old" not in ana.toast()


async def test_an_answer_is_not_repeated_into_a_conversation_that_went_on(clinic: Clinic) -> None:
    ana, faults = clinic.ana, clinic.rehearsal.telegram.faults
    await clinic.enroll(ana)
    faults.drop("sendMessage", chat=ana.person.id)
    await ana.says("My plan")
    silent = await last(clinic, "patient/plan")
    assert (silent["state"], silent["maybe_copies"]) == ("queued", 1)
    known = len(ana.heard)
    await ana.says("Limits still on")
    assert len(ana.heard) == known + 1
    await clinic.forward(minutes=3)
    assert len(ana.heard) == known + 1
    assert (await last(clinic, "patient/plan"))["state"] == "unconfirmed"

    # Nobody spoke meanwhile: the answer comes once more, without a word about it.
    faults.drop("sendMessage", chat=ana.person.id)
    await ana.says("My plan")
    assert len(ana.heard) == known + 1
    await clinic.forward(minutes=2)
    assert len(ana.heard) == known + 2
    assert TWICE not in ana.last_message
    assert (await last(clinic, "patient/plan"))["maybe_copies"] == 1


async def test_an_alert_is_repeated_until_somebody_has_it(clinic: Clinic) -> None:
    nour, ana, faults = clinic.nour, clinic.ana, clinic.rehearsal.telegram.faults
    await clinic.enroll(ana)
    silence = faults.restart("sendMessage", chat=nour.person.id, times=None, delivered=True)
    known = len(nour.heard)
    await ana.says("Something is wrong")
    await ana.taps("Pain, skin or weakness")
    await ana.taps("Hot and spreading")
    # The patient's own text never waits for the practitioner's line.
    assert ana.find("A person needs to look at this now.")
    await clinic.forward(minutes=3)
    heard = len(nour.heard) - known
    assert 4 <= heard <= 12
    # A copy that nobody confirmed carries its button all the same.
    await nour.taps("I am on it", nour.person.received[known])
    faults.take_off(silence)
    after = len(nour.heard)
    await clinic.forward(minutes=10)
    alerts = [words for words in nour.heard[after:] if "a hot area" in words]
    assert alerts == []
    assert "seen" in " ".join(ana.heard[-2:]).lower()


async def test_a_refused_token_is_survived_and_the_lead_learns_of_it(
    clinic: Clinic, failures: list[str]
) -> None:
    ana, app = clinic.ana, clinic.rehearsal.app
    telegram = clinic.rehearsal.telegram
    lookout = Lookout(app.deps, app.seen, [])
    await clinic.enroll(ana)
    assert app.signs().trouble is None
    telegram.revoked = True
    known = len(ana.heard)
    clinic.rehearsal.clock.push(timedelta(hours=20))
    app.deps.bells.ring()
    # The poll that waits ends with the next update; then the refusal is seen.
    await ana.person.says("My plan")
    async with asyncio.timeout(10):
        while True:
            if app.signs().trouble is not None and app.delivery.line.refused:
                break
            await asyncio.sleep(0.01)
    await lookout.look()
    assert len(ana.heard) == known
    states = {row["state"] for row in await clinic.rows("SELECT state FROM v_message")}
    assert not states & {"failed", "unconfirmed"}
    telegram.revoked = False
    clinic.rehearsal.clock.push(timedelta(seconds=30))
    app.deps.bells.ring()
    await ana.person.gets(known + 2, within=20)
    async with asyncio.timeout(10):
        while True:
            if app.signs().trouble is None:
                break
            await asyncio.sleep(0.01)
    await clinic.settle()
    assert any("day 1 check" in words for words in ana.heard[known:])
    assert not any(TWICE in words for words in ana.heard)
    assert clinic.nour.find("refused my key (the token)")
    states = {row["state"] for row in await clinic.rows("SELECT state FROM v_message")}
    assert not states & {"failed", "unconfirmed", "sending"}
    assert {line.split()[0] for line in failures} <= {"trouble", "refused"}
    failures.clear()


async def test_who_cannot_be_reached_any_more_is_told_to_a_person(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await clinic.enroll(ben, "Ben")
    await ana.does(ana.person.deletes_account)
    known = len(nour.heard)
    await clinic.tick("2026-03-11 10:00")
    told = [words for words in nour.heard[known:] if "phone Ana" in words]
    assert len(told) == 1
    rows = await clinic.rows(
        "SELECT r.state, r.reason FROM v_reminder r JOIN v_message m USING (message_id) "
        "WHERE m.state = 'failed'"
    )
    assert rows == [{"state": "undelivered", "reason": "deactivated"}]
    assert "day 1 check" in ben.last_message
    await clinic.forward(days=30)
    assert len([words for words in nour.heard[known:] if "phone Ana" in words]) == 1
    calls = clinic.rehearsal.telegram.calls_of("sendMessage", ana.person)
    assert sum(call.status == 403 for call in calls) == 1


async def test_a_refusal_of_an_account_that_was_let_go_leaves_the_new_one_alone(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    faults = clinic.rehearsal.telegram.faults
    await clinic.enroll(ana)
    await clinic.forward(minutes=5)
    await card_of(clinic, "Ana")
    await nour.taps("Make a new link")
    await nour.taps("Make a new link")
    held = faults.hang("sendMessage", chat=ana.person.id)
    await ana.person.says("/plan")
    await in_the_air(clinic)
    anew = clinic.someone("Ana", username="ana_anew")
    await anew.person.opens(nour.link)
    await anew.person.hears("Are you Ana?")
    # The old phone is reset only now; what was on its way to it comes back.
    ana.person.blocked = True
    nour.news()
    faults.take_off(held)
    await clinic.settle()
    assert (await last(clinic, "patient/plan"))["state"] == "failed"
    assert not any("phone Ana" in words for words in nour.heard)
    await anew.taps("Yes, that is me")
    await anew.taps("I am 18+ and I agree")
    await anew.taps("Yes")
    await nour.taps("Yes, confirm", nour.find("Ana, @ana_anew"))
    assert anew.find("your care card")
    await clinic.check_ledger()


async def test_who_declines_and_then_blocks_the_bot_stays_declined(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    faults = clinic.rehearsal.telegram.faults
    await nour.says("/enroll Ana mesotherapy-face")
    await ana.opens(nour.link)
    await ana.taps("Yes, that is me")
    held = faults.hang("sendMessage", chat=ana.person.id)
    await ana.person.taps("No, thanks")
    await in_the_air(clinic)
    ana.person.blocked = True
    faults.take_off(held)
    await clinic.settle()
    assert (await last(clinic, "patient/refused"))["state"] == "failed"
    assert nour.last_message.startswith("Ana read the consent and said no.")
    assert await clinic.rows("SELECT state FROM patient") == [{"state": "declined"}]


async def test_a_visit_whose_note_may_have_arrived_is_told_as_cancelled(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.forward(minutes=5)
    faults = clinic.rehearsal.telegram.faults
    faults.drop("sendDocument", chat=ana.person.id, delivered=True)
    await book(clinic, "Ana", "24.03.2026 15:00")
    assert ana.find("24 March").document is not None
    row = await last(clinic, "patient/visit_booked")
    assert (row["state"], row["maybe_copies"]) == ("queued", 1)
    ana.news()
    # Her calendar holds the visit; that it is over must reach her, its repeat must not.
    await card_of(clinic, "Ana")
    await nour.taps("Cancel the visit")
    await clinic.forward(minutes=10)
    (told,) = ana.news()
    assert "cancelled" in told
    assert (await last(clinic, "patient/visit_booked"))["state"] == "dropped"
