"""Many reminders at once: who goes first, how fast, and that nobody starves behind them."""

from collections.abc import Awaitable, Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

from bot.domain.states import Lane
from bot.services import reporting, reports
from bot.services.turn import Account, Turn
from bot.storage.queries import alerts, people
from bot.storage.tables import Patient
from tests.conftest import START
from tests.faults.world import Post, post

CROWD = 500
RATE = 28


async def test_an_answer_does_not_wait_for_the_morning_burst(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, rate=RATE, chat_burst=4, database_url=chosen_database_url
    ) as sending:
        ana, patient = await sending.patient("Ana")
        ben, other = await sending.patient("Ben")
        crowd = await sending.crowd(CROWD)
        began = sending.clock.monotonic()
        for _ in range(40):
            sending.clock.passes(await sending.pump())
        await sending.queue(patient, Lane.REPLY)
        await sending.queue(other, Lane.DANGER)
        asked = sending.clock.now()
        for _ in range(30):
            sending.clock.passes(await sending.pump())
        sent = sum(len(person.received) for person in crowd)
        assert sent < CROWD / 4
        # Danger first, then the answer: each at the very next place.
        assert (ben.last_message.date - asked).total_seconds() <= 1 / RATE + 0.001
        assert (ana.last_message.date - asked).total_seconds() <= 2 / RATE + 0.001

        # As many have left as the rate allows, and in no second more than Telegram's thirty.
        took = sending.clock.monotonic() - began
        assert sent + 2 >= took * RATE - 2
        at = [call.at for call in sending.telegram.calls_of("sendMessage")]
        seconds = [(late - early).total_seconds() for early, late in zip(at, at[30:], strict=False)]
        assert seconds
        assert min(seconds) >= 1


async def test_one_chat_is_never_pressed_and_never_in_the_way(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, rate=RATE, chat_burst=4, database_url=chosen_database_url
    ) as sending:
        ana, patient = await sending.patient("Ana")
        # More than one look takes, and more urgent than what waits behind it.
        for _ in range(12):
            await sending.queue(patient, Lane.REPLY)
        crowd = await sending.crowd(20)
        await sending.flow()
        began = ana.received[0].date
        seconds = [(message.date - began).total_seconds() for message in ana.received]
        assert len(seconds) == 12
        assert seconds[3] < 0.5
        assert min(late - early for early, late in pairwise(seconds[4:])) >= 0.999
        assert seconds[-1] < 9
        behind = max(person.last_message.date for person in crowd)
        assert (behind - began).total_seconds() < 1.2


async def acts(sending: Post, patient: Patient, act: Callable[[Turn], Awaitable[None]]) -> None:
    """The patient does something, in a turn of its own."""
    async with sending.deps.database.write() as session:
        clinic = await people.clinic(session, patient.clinic_id)
        fresh = await people.patient(session, patient.id or 0)
        account = Account(patient.telegram_id or 0)
        await act(Turn(session, sending.deps, sending.clock.now(), 0, clinic, account, None, fresh))


async def reports_danger(turn: Turn) -> None:
    """Something that is urgent, picked from the lists."""
    assert turn.patient is not None
    await reporting.something_wrong(turn)
    report = await alerts.open_report(turn.session, turn.patient.id or 0)
    assert report is not None
    await reporting.pick(turn, report.ref, "hot_spreading")


async def test_one_patients_chat_does_not_delay_anothers_alert(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, rate=RATE, chat_burst=4, database_url=chosen_database_url
    ) as sending:
        _, ana = await sending.patient("Ana")
        _, ben = await sending.patient("Ben")
        for number in range(60):
            said = f"message {number}"
            await acts(sending, ana, partial(reports.pass_on, kind="text", text=said))
        await sending.after(5)
        asked = sending.clock.now()
        await acts(sending, ben, reports_danger)
        while not any("URGENT: Ben" in message.text for message in sending.nour.received):
            sending.clock.passes(await sending.pump())
        # At the next place in that chat, before fifty messages that have waited longer.
        assert (sending.nour.last_message.date - asked).total_seconds() <= 2
        await sending.flow()
        passed = [message for message in sending.nour.received if "message " in message.text]
        assert len(passed) == 60


async def test_an_alert_goes_before_what_was_written(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> None:
    async with post(
        tmp_path, START, rate=RATE, chat_burst=4, database_url=chosen_database_url
    ) as sending:
        _, ana = await sending.patient("Ana")
        _, ben = await sending.patient("Ben")
        for number in range(8):
            said = f"I cannot see, {number}"
            await acts(sending, ana, partial(reports.pass_on, kind="text", text=said))
        await acts(sending, ben, reports_danger)
        await sending.flow()
        heard = [message.text.splitlines()[0] for message in sending.nour.received]
        # Eight times she is one patient in danger: one alert, and Ben's is the next.
        assert heard == ["URGENT: Ana", "URGENT: Ben"] + ["Ana sent a message:"] * 8
