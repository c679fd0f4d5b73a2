"""A token that Telegram refuses while the bot runs: nothing is marked failed, and all goes on."""

import asyncio

from bot.watch import Lookout
from tests.cast import Clinic


async def test_nothing_is_failed_by_a_refused_token_and_the_lead_learns_of_it(
    clinic: Clinic, failures: list[str]
) -> None:
    await clinic.enroll(clinic.ana, when="2026-03-10 14:00")
    running, telegram = clinic.rehearsal.app, clinic.rehearsal.telegram
    lookout = Lookout(running.deps, running.seen, [])
    heard = len(clinic.ana.heard)
    telegram.revoked = True
    async with asyncio.timeout(40):
        while running.poller.trouble != "refused":  # noqa: ASYNC110 - it has no bell
            await asyncio.sleep(0.02)
    await lookout.look()
    await clinic.ana.person.says("Is anybody there?")
    async with asyncio.timeout(10):
        while running.delivery.line.refused is None:  # noqa: ASYNC110 - it has no bell
            await asyncio.sleep(0.02)
    states = {row["state"] for row in await clinic.rows("SELECT state FROM v_message")}
    assert not states & {"failed", "unconfirmed"}
    assert len(clinic.ana.heard) == heard

    telegram.revoked = False
    async with asyncio.timeout(60):
        while running.poller.trouble or running.delivery.line.refused:  # noqa: ASYNC110 - it has no bell
            await asyncio.sleep(0.02)
    await clinic.settle()
    assert "I passed your message" in clinic.ana.last_message
    assert "refused my key (the token)" in clinic.nour.find("refused my key").text
    states = {row["state"] for row in await clinic.rows("SELECT state FROM v_message")}
    assert not states & {"failed", "unconfirmed", "sending"}
    assert {line.split()[0] for line in failures} <= {"trouble", "refused"}
    failures.clear()
