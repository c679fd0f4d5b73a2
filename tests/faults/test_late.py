"""What people read after the bot, or the line to Telegram, was away for a while."""

import shutil
import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.demo.people import Person
from bot.domain.times import to_utc
from bot.services import outages, zone_data
from bot.services.planning import replan
from bot.services.turn import Account, Turn
from bot.services.typed_dates import MomentTyped
from bot.services.visits import set_visit
from bot.storage.queries import people, vitals
from bot.web.webhook import Watch
from tests.cast import Clinic
from tests.faults.test_outages import NOTICE, House, house
from tests.faults.world import add_patient, put_off


async def ana_joins(home: House, *, visit_in: timedelta | None = None) -> Person:
    """Ana had her first session just now, in the clinic's zone."""
    deps, now = home.whole.app.deps, home.clock.now()
    ana = home.whole.telegram.person("Ana")
    async with deps.database.write() as session:
        patient = await add_patient(session, deps, ana, home.practitioner, now)
        if visit_in is not None:
            clinic = await people.clinic(session, patient.clinic_id)
            nour = Account(home.nour.id)
            turn = Turn(session, deps, now, 0, clinic, nour, home.practitioner)
            await set_visit(turn, patient.ref, MomentTyped(now + visit_in, past=False))
        await replan(session, patient.id or 0, now)
    home.patients[patient.id or 0] = ana
    home.zones[ana.id] = "Europe/Berlin"
    deps.bells.ring()
    await home.whole.settle()
    return ana


async def test_one_message_one_notice_and_one_list(
    tmp_path: Path, failures: list[str], database_url: str
) -> None:
    async with house(tmp_path, database_url) as home:
        ana = await ana_joins(home, visit_in=timedelta(days=22))
        nour = home.nour
        heard, read = len(ana.received), len(nour.received)
        # 14:30 of the session's day to 00:30 of the ninth: day 1 and day 3 are past.
        await home.is_off_for(timedelta(days=8, hours=10))
        assert [each.text for each in ana.received[heard:]] == []
        told = nour.received[read:]
        (listed,) = [
            each for each in told if each.text.startswith("Not sent, or in doubt: 2 messages")
        ]
        assert "to 1 patient\n" in listed.text
        assert "- Ana: day 1 check, due Wed 11 March, 10:00: too late to be of use" in listed.text
        assert "Please phone the patients where it matters" in listed.text
        assert sum("The bot was offline" in each.text for each in told) == 1
        await home.whole.forward(timedelta(hours=10))
        notice, caught = sorted(ana.received[heard:], key=lambda each: NOTICE not in each.text)
        assert "from Tue 10 March, 14:30 to Thu 19 March, 00:30" in notice.text
        assert "call +49 30 5550 100" in notice.text
        # Day 7 leads; what prepares the visit stands below it, with its button.
        first, second = caught.text.index("day 7"), caught.text.index("your visit")
        assert first < second
        assert list(caught.labels) == ["OK", "Send a photo", "Skin is not calm", "Ask the clinic"]
        (row,) = await home.rows(
            "SELECT count(*) AS steps, min(step) AS step FROM v_reminder r JOIN v_message m"
            f" USING (message_id) WHERE m.telegram_message_id = {caught.id} AND r.state = 'sent'"
            " AND m.template = 'steps/mesotherapy-face/d7'"
        )
        assert row["steps"] == 2
        # The list stays reachable, from its message and from Today, with the card behind it.
        await nour.taps("See what was not sent", listed)
        await home.whole.settle()
        assert any("Not sent or in doubt, last 30 days: 2" in each.text for each in nour.received)
        await nour.says("/today")
        await home.whole.settle()
        assert "2 messages. Please phone" in nour.received[-1].text
        assert "See what was not sent" in nour.received[-1].labels
        count = len(nour.received)
        await home.whole.forward(timedelta(days=31))
        await nour.says("/today")
        await home.whole.settle()
        fresh = [each.text for each in nour.received[count:]]
        assert not any("Not sent, or in doubt: " in each for each in fresh)
        assert "not sent" not in fresh[-1].lower()
        assert sum(NOTICE in each.text for each in ana.received) == 1


async def test_what_piled_up_while_telegram_was_away_goes_as_one(both: Clinic) -> None:
    clinic, ana = both, both.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-13 17:00")
    server, app = clinic.rehearsal.server, clinic.rehearsal.app
    known = len(ana.heard)
    await server.goes_away()
    # Two steps fall due while the line is down; each waits in the outbox.
    await clinic.rehearsal.forward(timedelta(hours=1, minutes=2))
    async with app.deps.database.write() as session:
        # A visit makes its preparation due at once.
        patient = await people.patient_by_account(session, ana.person.id)
        nour = await people.practitioner_by_account(session, clinic.nour.person.id)
        assert patient is not None
        home = await people.clinic(session, patient.clinic_id)
        turn = Turn(session, app.deps, clinic.now, 0, home, Account(clinic.nour.person.id), nour)
        at = clinic.now + timedelta(days=1, hours=20)
        await set_visit(turn, patient.ref, MomentTyped(at, past=False))
    await clinic.rehearsal.forward(timedelta(minutes=20))
    await server.listens()
    await clinic.rehearsal.forward(timedelta(minutes=2))
    fresh = [words for words in ana.heard[known:] if "day 3" in words or "your visit" in words]
    assert len([words for words in fresh if "day 3" in words]) == 1
    assert await clinic.rows("SELECT * FROM v_message WHERE state = 'queued'") == []


async def test_only_silence_is_an_outage(both: Clinic) -> None:
    database = both.rehearsal.app.deps.database
    now = both.now

    async def told() -> str | None:
        async with database.read() as session:
            return await vitals.get(session, "outages_to_tell")

    async def touch(hours: float, *, again: bool) -> None:
        async with database.write() as session:
            await outages.in_touch(session, now + timedelta(hours=hours), again=again)

    await touch(0, again=False)
    # A poll that simply waited while the clock was pushed by weeks.
    await touch(400, again=False)
    assert await told() is None
    await touch(419.9, again=True)
    assert await told() is None
    await touch(440.2, again=True)
    waiting = await told()
    assert waiting is not None
    assert waiting.count('"from"') == 1
    # A clinic that was only just made never had contact.
    async with database.write() as session:
        await vitals.forget(session, (outages.LAST_POLL_OK, "outages_to_tell"))
    await touch(1000, again=True)
    assert await told() is None


async def test_a_webhook_keeps_contact_too(clinic: Clinic) -> None:
    seen: list[bool] = []

    async def in_touch(again: bool) -> None:
        seen.append(again)

    telegram = clinic.rehearsal.telegram
    watch = Watch(clinic.telegram_bot, "", clinic.rehearsal.clock, in_touch)
    for revoked in (False, False, True, False, False):
        telegram.revoked = revoked
        await watch.look()
        await watch.note()
    assert seen == [True, False, True, False]


async def test_every_patient_is_told_in_batches_and_once(both: Clinic) -> None:
    deps = both.rehearsal.app.deps
    await both.enroll(both.ana)
    async with deps.database.write() as session:
        nour = await people.practitioner_by_account(session, both.nour.person.id)
        assert nour is not None
        # More than one batch.
        for number in range(60):
            person = both.rehearsal.telegram.person(f"P{number}")
            patient = await add_patient(session, deps, person, nour, both.now)
            patient.paused_until = both.now + timedelta(days=50) if number % 2 else None
            session.add(patient)
            # What else would come to them in these days is not asked here.
            await put_off(session, patient, both.now)
    await both.forward(days=2)
    now = both.now
    async with deps.database.write() as session:
        await outages.in_touch(session, now - timedelta(hours=30), again=False)
        await outages.in_touch(session, now - timedelta(minutes=1), again=True)
    # Beside the job of the running bot: whoever comes first tells.
    await outages.tell(deps, now)
    await outages.tell(deps, now)
    await both.settle()
    rows = await both.rows(
        "SELECT patient_ref, count(*) AS times FROM v_message"
        " WHERE template = 'patient/was_offline' AND state = 'sent' GROUP BY patient_ref"
    )
    assert len(rows) == 61
    assert {row["times"] for row in rows} == {1}
    late = both.someone("Late")
    await both.enroll(late, "Late")
    await both.forward(days=1)
    assert not any(NOTICE in words for words in late.heard)


@pytest.fixture
def zone_files(tmp_path: Path) -> Iterator[Path]:
    """A folder that the zones are read from before all others."""
    folder = tmp_path / "zones"
    (folder / "Europe").mkdir(parents=True)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([str(folder), *before])
    yield folder
    zoneinfo.reset_tzpath(before)
    ZoneInfo.clear_cache()


def data_of(zone: str) -> Path:
    """The file that the library has for a zone."""
    folders = [*map(Path, zoneinfo.TZPATH), Path(str(files("tzdata"))) / "zoneinfo"]
    return next(each / zone for each in folders if (each / zone).is_file())


async def test_new_data_of_a_zone_move_what_is_unsent(zone_files: Path, both: Clinic) -> None:
    ana, deps = both.ana, both.rehearsal.app.deps
    await both.enroll(ana)
    await both.tick("2026-03-11 12:00")
    before = await both.reminders()
    assert await zone_data.look(deps, both.now) == 0
    # From now on Berlin keeps the time of Moscow.
    shutil.copy(data_of("Europe/Moscow"), zone_files / "Europe" / "Berlin")
    assert await zone_data.look(deps, both.now) == 0
    await zone_data.look_again(deps)
    moved = await zone_data.look(deps, both.now)
    after = await both.reminders()
    changed = {step for step in after if after[step]["due_at"] != before[step]["due_at"]}
    assert len(changed) == moved > 0
    assert {"card", "d1"}.isdisjoint(changed)
    day = datetime.fromisoformat(before["d3"]["due_at"]).astimezone(UTC).date()
    wanted = to_utc(day, time(18), ZoneInfo("Europe/Moscow"))
    assert datetime.fromisoformat(after["d3"]["due_at"]) == wanted
    await zone_data.look_again(deps)
    assert await zone_data.look(deps, both.now) == 0
