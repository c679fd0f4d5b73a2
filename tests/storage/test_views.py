"""The views that other programs read: their columns, times and words, on both databases."""

import re

from sqlalchemy import text

from bot.storage import schema
from bot.storage.database import Database
from bot.storage.queries import vitals
from tests.cast import Clinic

COLUMNS = {
    "v_reminder": "reminder_id patient_ref visit_ref step due_at expires_at state reason "
    "message_id",
    "v_message": "message_id patient_ref lane template queued_at state attempts maybe_copies "
    "telegram_message_id sent_at",
    "v_update": "update_id received_at state",
    "v_alert": "alert_id patient_ref level state opened_at acked_by acked_at rounds",
    "v_consent": "patient_ref purpose text_version language given_at withdrawn_at",
    "v_health": "key value",
}
HEALTH = (
    "schema_version last_tick_at last_poll_ok_at held held_reason due_now unconfirmed "
    "expired_24h alerts_open"
)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
WORD = re.compile(r"[a-z][a-z0-9_]*")
REFERENCE = re.compile(r"[A-Za-z0-9_-]{12}")
STATES = ("state", "reason", "lane", "level", "purpose")


async def columns(database: Database, view: str) -> list[str]:
    async with database.read() as session:
        found = await (await session.connection()).execute(text(f"SELECT * FROM {view}"))
        return list(found.keys())


async def test_the_views_have_the_promised_columns_and_no_others(opened: Database) -> None:
    for view, promised in COLUMNS.items():
        assert await columns(opened, view) == promised.split(), view


async def test_a_new_database_says_of_itself_what_a_monitor_asks(opened: Database) -> None:
    async def health() -> dict[str, str | None]:
        async with opened.read() as session:
            found = await (await session.connection()).execute(text("SELECT * FROM v_health"))
            return {str(key): value for key, value in found}

    assert " ".join(await health()) == HEALTH
    assert await health() == {
        "schema_version": schema.newest(),
        **dict.fromkeys(("last_tick_at", "last_poll_ok_at", "held_reason")),
        **dict.fromkeys(("held", "due_now", "unconfirmed", "expired_24h", "alerts_open"), "0"),
    }
    async with opened.write() as session:
        await vitals.put(session, "held", "1")
        await vitals.put(session, "held_reason", "clock_jump")
    shown = await health()
    assert (shown["held"], shown["held_reason"]) == ("1", "clock_jump")


async def test_times_are_text_in_utc_and_states_are_small_words(both: Clinic) -> None:
    await both.enroll(both.ana)
    await both.ana.taps("Something is wrong", both.ana.find("your care card"))
    await both.ana.taps("Pain, skin or weakness")
    await both.ana.taps("Hot and spreading")
    (alert,) = await both.rows("SELECT * FROM v_alert")
    assert (alert["state"], alert["level"], alert["acked_by"]) == ("open", "urgent", None)
    await both.nour.taps("I am on it")
    await both.tick("2026-03-11 10:00")

    seen = 0
    for view in COLUMNS:
        rows = await both.rows(f"SELECT * FROM {view}")
        assert rows, view
        for row in rows:
            for column, value in row.items():
                if value is None:
                    continue
                if column.endswith("_at"):
                    assert INSTANT.fullmatch(value), (view, column, value)
                    seen += 1
                if column in STATES:
                    assert WORD.fullmatch(value), (view, column, value)
                if column.endswith("_ref") or column in ("reminder_id", "alert_id", "acked_by"):
                    assert REFERENCE.fullmatch(value), (view, column, value)
    assert seen > 50

    reminders = await both.reminders()
    assert reminders["d1"]["due_at"] == "2026-03-11T09:00:00.000Z"
    assert reminders["d1"]["expires_at"] == "2026-03-12T11:00:00.000Z"
    assert (reminders["d1"]["state"], reminders["d3"]["state"]) == ("sent", "planned")
    (consent,) = await both.rows("SELECT * FROM v_consent")
    assert consent["given_at"].startswith("2026-03-10T13:")
    (alert,) = await both.rows("SELECT * FROM v_alert")
    assert alert["state"] == "acknowledged"
    assert alert["acked_by"] is not None
    assert alert["opened_at"] <= alert["acked_at"]
    health = {row["key"]: row["value"] for row in await both.rows("SELECT * FROM v_health")}
    assert INSTANT.fullmatch(health["last_tick_at"])
    assert INSTANT.fullmatch(health["last_poll_ok_at"])
    assert health["alerts_open"] == "0"
    (count,) = await both.rows(
        "SELECT count(*) AS n FROM v_message m JOIN v_reminder r ON r.message_id = m.message_id"
    )
    assert count["n"] == 2
