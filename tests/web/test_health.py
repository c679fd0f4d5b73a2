"""The health pages: ready only while database, tick, Telegram and sending are all well."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest
from starlette.applications import Starlette

from bot.services import holding
from bot.web.health import Health
from tests.cast import Clinic
from tests.faults.test_safety_text import locked, pragma

WELL = {"database": True, "tick": True, "telegram": True, "sending": True}


def pages(clinic: Clinic) -> httpx.AsyncClient:
    """A supervisor's view of the running bot."""
    running = clinic.rehearsal.app
    health = Starlette(routes=Health(running.deps, running.signs, "1.2.3").routes())
    transport = httpx.ASGITransport(app=health, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://bot.local")


async def run_sql(clinic: Clinic, sql: str) -> None:
    async with clinic.rehearsal.app.deps.database.write() as session:
        await (await session.connection()).exec_driver_sql(sql)


async def test_a_bot_that_is_well_says_so_and_counts_its_work(clinic: Clinic) -> None:
    await clinic.enroll(clinic.ana)
    async with pages(clinic) as http:
        assert (await http.get("/healthz")).text == "ok\n"
        ready = await http.get("/readyz")
        assert ready.status_code == 200
        assert ready.json() == {
            "ready": True,
            "checks": WELL,
            "held": False,
            "trouble": None,
            "version": "1.2.3",
        }
        metrics = (await http.get("/metrics")).text
    sent = len(await clinic.rows("SELECT * FROM v_message WHERE state = 'sent'"))
    planned = len(await clinic.rows("SELECT * FROM v_reminder WHERE state = 'planned'"))
    assert planned > 5
    assert f'aftercare_messages{{state="sent"}} {sent}.0' in metrics
    assert f'aftercare_reminders{{state="planned"}} {planned}.0' in metrics
    assert "aftercare_alerts_open 0.0" in metrics
    assert "aftercare_messages_due 0.0" in metrics
    assert "aftercare_tick_age_seconds " in metrics
    assert "aftercare_poll_age_seconds " in metrics
    assert "Ana" not in metrics


async def test_metrics_say_what_an_operator_alarms_on(clinic: Clinic, failures: list[str]) -> None:
    await clinic.enroll(clinic.ana)
    async with pages(clinic) as http:
        metrics = (await http.get("/metrics")).text
        for line in (
            "aftercare_held 0.0",
            "aftercare_database_readable 1.0",
            'aftercare_trouble{cause="unreachable"} 0.0',
            "aftercare_messages_unconfirmed 0.0",
            "aftercare_sends_unanswered 0.0",
            "aftercare_expired_24h 0.0",
            "aftercare_updates_quarantined 0.0",
            "aftercare_polls_refused 0.0",
        ):
            assert f"\n{line}\n" in metrics
        numbers = dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line[0] != "#")
        assert float(numbers["aftercare_database_bytes"]) > 100_000
        assert 0 < float(numbers["aftercare_disk_free_ratio"]) < 1

        # What is known without the database is still served while it cannot be read.
        await run_sql(clinic, "ALTER TABLE alert RENAME TO gone")
        broken = await http.get("/metrics")
        await run_sql(clinic, "ALTER TABLE gone RENAME TO alert")
        assert broken.status_code == 200
        assert "\naftercare_database_readable 0.0\n" in broken.text
        assert "aftercare_disk_free_ratio " in broken.text
        assert "aftercare_messages" not in broken.text


async def test_it_is_not_ready_while_sending_is_held_or_the_database_is_gone(
    clinic: Clinic,
) -> None:
    async with pages(clinic) as http:
        database = clinic.rehearsal.app.deps.database
        async with database.write() as session:
            await holding.hold(session, holding.Why.RESTORED, clinic.now)
        held = await http.get("/readyz")
        assert held.status_code == 503
        assert held.json()["checks"] == WELL | {"sending": False}
        assert held.json()["held"] is True

        async with database.write() as session:
            await holding.end(session)
        assert (await http.get("/readyz")).status_code == 200

        await run_sql(clinic, "ALTER TABLE vital RENAME TO gone")
        gone = await http.get("/readyz")
        assert gone.status_code == 503
        assert gone.json()["checks"] == WELL | {"database": False, "sending": False}
        assert (await http.get("/healthz")).status_code == 200
        await run_sql(clinic, "ALTER TABLE gone RENAME TO vital")
        assert (await http.get("/readyz")).status_code == 200


async def test_a_database_that_cannot_be_written_is_named_and_said_in_full_once(
    clinic: Clinic, failures: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    running = clinic.rehearsal.app
    if not running.deps.database.is_sqlite:
        pytest.skip("a lock of SQLite's")
    await clinic.enroll(clinic.ana)
    await pragma(clinic, "busy_timeout=20")
    caplog.clear()

    def said() -> Counter[tuple[str, str, bool]]:
        return Counter(
            (each.__dict__.get("action", ""), each.__dict__.get("job", ""), bool(each.exc_info))
            for each in caplog.records
        )

    async with pages(clinic) as http:
        with locked(running.deps.database):
            # The day's check falls due, and cannot be handed over.
            clinic.rehearsal.clock.push(timedelta(days=1))

            async def again() -> bool:
                running.deps.bells.ring()
                await clinic.nour.person.says("/help")
                every = [("job_failed", "dispatch_due", False), ("inbox_failed", "", False)]
                return all(said()[each] >= 2 for each in every)

            await until(again)
            broken = await http.get("/readyz")
            assert broken.status_code == 503
            assert broken.json()["checks"] == WELL | {"database": False}
            assert broken.json()["trouble"] == "storage"
        await clinic.settle()
        assert (await http.get("/readyz")).json()["checks"] == WELL
    in_full = {each[:2]: count for each, count in said().items() if each[2]}
    assert in_full[("job_failed", "dispatch_due")] == 1
    assert max(in_full.values()) == 1
    causes = {each.__dict__["cause"] for each in caplog.records if "job" in each.__dict__}
    assert causes == {"OperationalError: database is locked"}
    failures.clear()


async def until(true: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(300):
        if await true():
            return
        await asyncio.sleep(0.02)
    pytest.fail("it never came to be")


async def test_it_is_not_ready_while_telegram_is_down_or_refuses_the_token(clinic: Clinic) -> None:
    telegram, server = clinic.rehearsal.telegram, clinic.rehearsal.server
    async with pages(clinic) as http:

        async def trouble() -> str | None:
            ready = await http.get("/readyz")
            said: str | None = ready.json()["trouble"]
            well = ready.json()["checks"] == WELL | {"telegram": said is None}
            assert ready.status_code == (200 if said is None else 503)
            assert well
            return said

        async def unreachable() -> bool:
            return await trouble() == "unreachable"

        async def refused() -> bool:
            return await trouble() == "refused"

        async def well_again() -> bool:
            return await trouble() is None

        assert await well_again()
        await server.goes_away()
        await until(unreachable)
        telegram.revoked = True
        await server.listens()
        await until(refused)
        telegram.revoked = False
        await until(well_again)


async def test_it_is_not_ready_when_its_loops_have_stopped(clinic: Clinic) -> None:
    async with pages(clinic) as http:
        clinic.rehearsal.clock.push(timedelta(minutes=3))
        late = await http.get("/readyz")
        assert late.status_code == 503
        assert late.json()["checks"] == WELL | {"tick": False, "telegram": False}
        await clinic.nour.says("/help")
        assert (await http.get("/readyz")).status_code == 200
