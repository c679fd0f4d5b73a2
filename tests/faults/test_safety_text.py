"""Danger reported while the database does not answer: the phone numbers at once, the rest later."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
)
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from bot import founding
from bot.clock import PushedClock
from bot.demo.telegram import LocalTelegram
from bot.rehearsal import demo_clinic, local_settings, rehearsal
from bot.storage.database import Database, Priority, sqlite_file
from bot.storage.queries import people
from tests.begun import begin
from tests.cast import Actor, Clinic
from tests.conftest import START, cast_of
from tests.faults.world import add_patient, add_practitioner
from tests.web.test_webhook import PATH, SECRET, free_port, running

NOT_SAVED = "I could not save what you sent, so the clinic does not know of it yet."
# What else may fail while nothing can be written; every one of them is tried again.
SHAKEN = {"inbox_failed", "outbox_failed", "job_failed"}
RECORDS = "SELECT * FROM v_message WHERE template = 'patient/not_saved'"

# One database is enough where only the words, the rule or SQLite's own faults matter.
# Whoever says no more after "Something is wrong" is asked for by then.
HALF_WAY = {"minutes": 3, "seconds": 1}
SQLITE = pytest.mark.parametrize("database_url", [""], ids=["sqlite"])


@pytest.fixture
async def story(
    tmp_path: Path, failures: list[str], database_url: str, one_processor: None
) -> AsyncIterator[Clinic]:
    """The usual clinic on either database, with a bot that waits a second and no longer."""
    await begin(tmp_path, database_url)
    async with rehearsal(
        tmp_path,
        clock=PushedClock(START),
        send_rate=10_000,
        chat_burst=1_000,
        database_url=database_url,
    ) as (whole, _):
        story = cast_of(whole)
        await story.nour.opens(whole.lead_link)
        yield story
    assert {line.split()[0] for line in failures} <= SHAKEN
    failures.clear()


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another program holds the inbox: nothing can be stored until it lets go."""
    file = sqlite_file(database.url)
    with ExitStack() as stack:
        if file is not None:
            other = sqlite3.connect(file, isolation_level=None)
            stack.callback(other.close)
            other.execute("BEGIN IMMEDIATE")
        else:
            address = make_url(database.url)
            host = str(address.query["host"])
            with psycopg.connect(host=host, dbname=address.database, user="care") as connection:
                connection.execute("LOCK TABLE inbox IN ACCESS EXCLUSIVE MODE")
                yield
            return
        yield


async def pragma(clinic: Clinic, statement: str) -> int:
    """Set something on the bot's own writing connection."""
    async with clinic.rehearsal.app.deps.database.write(Priority.INBOX) as session:
        found = await session.exec(text(f"PRAGMA {statement}"))  # type: ignore[call-overload] # plain SQL
        return int((found.first() or [0])[0]) if found.returns_rows else 0


async def until(done: Callable[[], bool]) -> None:
    """Wait for something that no bell of ours announces."""
    async with asyncio.timeout(30):
        while True:
            if done():
                return
            await asyncio.sleep(0.01)


async def looked_at(clinic: Clinic) -> None:
    """Wait until all that waits at Telegram has been given to the bot, and given again."""
    telegram = clinic.rehearsal.telegram
    wanted = len(telegram.calls_of("getUpdates")) + 3
    await until(lambda: len(telegram.calls_of("getUpdates")) >= wanted)


def told(person: Actor) -> int:
    """How often this phone has shown the safety text."""
    return sum(NOT_SAVED in words for words in person.heard)


async def test_a_report_is_answered_at_once_and_reaches_the_clinic_later(
    story: Clinic, caplog: pytest.LogCaptureFixture
) -> None:
    nour, ana, ben = story.nour, story.ana, story.ben
    await story.enroll(ana, "Ana Secret")
    await story.enroll(ben, "Ben")
    card = ana.find("your care card")
    for person in (nour, ana, ben):
        person.news()
    with locked(story.rehearsal.app.deps.database), caplog.at_level(logging.INFO):
        await ben.person.says("My plan")
        # It waits behind what somebody else said, and is seen all the same.
        await ana.person.presses("Something is wrong")
        await ana.person.hears(NOT_SAVED)
        (said,) = ana.news()
        assert said.startswith("Call 112 now if:")
        assert "Call the clinic now on +49 30 5550 100 if:" in said
        assert "If no one answers, call 116 117 or go to the emergency department" in said
        assert "I am telling" not in said
        # Another button of hers, and whatever else comes again and again: no second text.
        await ana.person.taps("Something is wrong", card)
        await looked_at(story)
        assert [*ana.news(), *ben.news(), *nour.news()] == []
        assert len(story.rehearsal.telegram.updates.waiting) == 3
    await story.settle()

    await story.forward(**HALF_WAY)
    # The report is handled as any other, once; the plan was late, and is there.
    assert len(await story.rows("SELECT * FROM v_alert")) == 1
    (alert,) = nour.news()
    assert alert.startswith("URGENT: Ana Secret")
    assert ana.find("A person needs to look at this now.")
    assert len(ben.news()) == 1
    assert told(ana) == 1
    (row,) = await story.rows(RECORDS)
    (patient,) = await story.rows(
        "SELECT DISTINCT patient_ref FROM v_message WHERE template = 'patient/pick'"
    )
    assert row["telegram_message_id"] == ana.find(NOT_SAVED).id
    assert (row["state"], row["lane"], row["attempts"]) == ("sent", "danger", 1)
    assert row["patient_ref"] == patient["patient_ref"]
    # The log names it by its references and nobody by name.
    logged = [each for each in caplog.records if "safety_text" in getattr(each, "action", "")]
    assert [each.__dict__["message_id"] for each in logged] == [row["message_id"]]
    everything = " ".join(str(each.__dict__) for each in caplog.records)
    assert "Secret" not in everything
    assert str(ana.person.id) not in everything


@SQLITE
async def test_danger_is_known_by_every_sign_of_it_and_by_no_other(story: Clinic) -> None:
    nour, ana, ben = story.nour, story.ana, story.ben
    await story.enroll(ana)
    await story.enroll(ben, "Ben")
    await story.tick("2026-03-11 10:00")
    await story.rehearsal.app.safety.refresh()
    cleo, dora, emma = (story.someone(name) for name in ("Cleo", "Dora", "Emma"))
    with locked(story.rehearsal.app.deps.database):
        await ana.person.taps("Yes, I have one", ana.find("day 1 check"))
        await ben.person.says("my lip turned WHITE")
        # Nobody's patient, as far as the bot knows without its database.
        await cleo.person.says("/wrong")
        await dora.person.says("Something is wrong")
        await emma.person.says("My plan")
        # A practitioner writes of patients.
        await nour.person.says("a patient with a blister")
        for person in (ana, ben, cleo, dora):
            await person.person.hears(NOT_SAVED)
        await looked_at(story)
        assert (told(nour), told(emma)) == (0, 0)
    await story.settle()
    assert [told(person) for person in (ana, ben, cleo, dora, emma, nour)] == [1, 1, 1, 1, 0, 0]
    assert len(await story.rows(RECORDS)) == 4
    await story.forward(**HALF_WAY)
    assert len(await story.rows("SELECT * FROM v_alert")) == 2
    assert ana.find("A person needs to look at this now.")


@SQLITE
async def test_worse_and_not_sure_are_danger_and_better_is_not(story: Clinic) -> None:
    ana, ben, cleo = story.ana, story.ben, story.someone("Cleo")
    await story.enroll(ana)
    await story.enroll(ben, "Ben", treatment="dermal-filler")
    await story.enroll(cleo, "Cleo")
    await story.tick("2026-03-11 10:00")
    for person in (ana, cleo):
        await person.taps("None of these", person.find("day 1 check"))
    check = next(each for each in ben.person.received if "Not sure" in each.labels)
    with locked(story.rehearsal.app.deps.database):
        await cleo.person.taps("Better")
        await ana.person.taps("Worse")
        await ben.person.taps("Not sure", check)
        for person in (ana, ben):
            await person.person.hears(NOT_SAVED)
        await looked_at(story)
        assert [told(person) for person in (ana, ben, cleo)] == [1, 1, 0]
    await story.settle()
    await story.forward(**HALF_WAY)
    assert len(await story.rows("SELECT * FROM v_alert")) == 2


@SQLITE
async def test_the_keys_of_a_report_are_danger_and_its_milder_ones_are_not(story: Clinic) -> None:
    ana, ben, nour = story.ana, story.ben, story.nour
    await story.enroll(ana)
    await story.enroll(ben, "Ben")
    await ana.presses("Something is wrong")
    await ben.presses("Something is wrong")
    nour.news()
    with locked(story.rehearsal.app.deps.database):
        await ana.person.taps("Faint, chest, weak side")
        await ben.person.taps("Something milder")
        await ana.person.hears(NOT_SAVED)
        await looked_at(story)
        assert (told(ana), told(ben)) == (1, 0)
    await story.settle()
    # What was tapped counts as soon as it is stored.
    assert nour.news()[0].startswith("EMERGENCY: Ana")
    assert ana.find("Call 112 now. Do not wait for a reply here.")


@SQLITE
async def test_the_text_holds_the_numbers_of_today_and_the_patients_zone(story: Clinic) -> None:
    ana, ben, safety = story.ana, story.ben, story.rehearsal.app.safety
    await story.enroll(ana)
    await story.enroll(ben, "Ben")
    database = story.rehearsal.app.deps.database
    async with database.write() as session:
        clinic = await people.the_clinic(session)
        patient = await people.patient_by_account(session, ana.person.id)
        assert clinic is not None
        assert patient is not None
        clinic.phone, patient.timezone = "+49 30 5550 200", "America/New_York"
        session.add_all([clinic, patient])
    await safety.refresh()
    with locked(database):
        await ana.person.presses("Something is wrong")
        await ben.person.presses("Something is wrong")
        hers = await ana.person.hears(NOT_SAVED)
        his = await ben.person.hears(NOT_SAVED)
        assert hers.text.startswith("Call 112 (or your local emergency number) now if:")
        assert his.text.startswith("Call 112 now if:")
        assert "Call +49 30 5550 200 yourself." in hers.text
        assert "Call +49 30 5550 200 yourself." in his.text
    await story.settle()


@SQLITE
async def test_what_comes_again_and_again_is_answered_once(
    story: Clinic, failures: list[str]
) -> None:
    ana, whole = story.ana, story.rehearsal
    await story.enroll(ana)
    # Storing fails at once, so the same update is fetched and refused without end.
    await pragma(story, "busy_timeout=20")
    with locked(whole.app.deps.database):
        # Telegram itself has the first one wait.
        whole.telegram.faults.flood("sendMessage", 1, chat=ana.person.id)
        await ana.person.presses("Something is wrong")
        await ana.person.hears(NOT_SAVED)
        assert whole.app.poller.trouble == "storage"
        whole.clock.push(timedelta(minutes=11))
        await looked_at(story)
        assert told(ana) == 1
        # What she reports ten minutes later is a report of its own.
        await ana.person.presses("Something is wrong")
        await until(lambda: told(ana) == 2)
        await looked_at(story)
    await story.settle()
    assert told(ana) == 2
    assert len(await story.rows(RECORDS)) == 2
    assert whole.app.poller.trouble is None
    # Once the report is stored the rule starts afresh for nobody: nothing is said twice.
    await ana.presses("Something is wrong")
    assert told(ana) == 2
    assert "inbox_failed" in {line.split()[0] for line in failures}


@SQLITE
async def test_a_full_database_holds_no_safety_text_back(story: Clinic) -> None:
    ana, ben, poller = story.ana, story.ben, story.rehearsal.app.poller
    telegram = story.rehearsal.telegram
    await story.enroll(ana)
    await pragma(story, f"max_page_count={await pragma(story, 'page_count')}")
    # The last free pages take a few more words.
    while poller.trouble is None:
        await ben.person.says("x" * 4000)
        await until(lambda: poller.trouble is not None or not telegram.updates.waiting)
    await ana.person.presses("Something is wrong")
    await ana.person.hears(NOT_SAVED)
    await pragma(story, "max_page_count=1000000")
    await story.settle()
    assert told(ana) == 1
    assert told(ben) == 0
    assert [row["state"] for row in await story.rows(RECORDS)] == ["sent"]
    await story.forward(**HALF_WAY)
    assert len(await story.rows("SELECT * FROM v_alert")) == 1


@asynccontextmanager
async def read_only(clinic: Clinic, _file: Path) -> AsyncIterator[None]:
    """Nothing may be written, as on a file system that was mounted anew after an error."""
    await pragma(clinic, "query_only = ON")
    yield
    # Past the beginning of a transaction, which is refused by now.
    async with clinic.rehearsal.app.deps.database._writer.connect() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        await raw.driver_connection.execute("PRAGMA query_only = OFF")


@asynccontextmanager
async def a_damaged_page(clinic: Clinic, file: Path) -> AsyncIterator[None]:
    """The page that the inbox begins with holds what nobody wrote."""
    size = await pragma(clinic, "page_size")
    with sqlite3.connect(file) as other:
        ((page,),) = other.execute("SELECT rootpage FROM sqlite_master WHERE name = 'inbox'")
        # Busy while anybody reads: then the log would still hold the page.
        while other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
            continue
    other.close()
    at = (page - 1) * size
    with file.open("r+b") as opened:
        opened.seek(at)
        sound = opened.read(size)
        opened.seek(at)
        opened.write(b"\xa5" * size)
    # What it has read before it would go on to believe.
    await pragma(clinic, "shrink_memory")
    yield
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(sound)
    await pragma(clinic, "shrink_memory")


@SQLITE
@pytest.mark.parametrize("damage", [read_only, a_damaged_page])
async def test_a_database_that_takes_nothing_leaves_the_bot_up_and_says_so(
    story: Clinic, tmp_path: Path, damage: Callable[..., AbstractAsyncContextManager[None]]
) -> None:
    ana, ben, running_ = story.ana, story.ben, story.rehearsal.app
    await story.enroll(ana)
    async with damage(story, tmp_path / "aftercare.db"):
        ana.news()
        await ben.person.says("Hello?")
        await ana.person.presses("Something is wrong")
        await ana.person.hears(NOT_SAVED)
        await looked_at(story)
        # Telegram keeps both: the offset has not moved past what could not be stored.
        assert len(story.rehearsal.telegram.updates.waiting) == 2
        assert running_.signs().trouble == "storage"
        assert len(ana.news()) == 1
    await story.settle()
    assert running_.signs().trouble is None
    await story.forward(**HALF_WAY)
    assert len(await story.rows("SELECT * FROM v_alert")) == 1
    assert ana.find("A person needs to look at this now.")


@SQLITE
async def test_a_database_that_was_replaced_takes_nothing_until_it_is_put_back(
    story: Clinic, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ana, ben, app_ = story.ana, story.ben, story.rehearsal.app
    await story.enroll(ana)
    file = tmp_path / "aftercare.db"
    kept = file.rename(tmp_path / "kept")
    file.touch()
    ana.news()
    await ana.person.presses("Something is wrong")
    await ben.person.says("Hello?")
    await ana.person.hears(NOT_SAVED)
    await looked_at(story)
    # Telegram keeps what only the deleted file would have got, and hears of nothing else.
    assert len(story.rehearsal.telegram.updates.waiting) == 2
    assert len(ana.news()) == 1
    assert app_.signs().trouble == "storage"
    await until(lambda: "database_lost" in actions(caplog))
    assert await story.rows("SELECT * FROM v_alert") == []
    kept.rename(file)
    await until(lambda: "database_back" in actions(caplog))
    await story.settle()
    assert app_.signs().trouble is None
    await story.forward(**HALF_WAY)
    assert len(await story.rows("SELECT * FROM v_alert")) == 1
    assert ana.find("A person needs to look at this now.")
    (said,) = [each for each in caplog.records if each.__dict__.get("action") == "database_lost"]
    assert (said.levelname, "put the file back" in said.__dict__["cause"]) == ("ERROR", True)


def actions(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [getattr(each, "action", "") for each in caplog.records]


async def test_a_report_by_webhook_is_answered_at_once_too(
    tmp_path: Path, failures: list[str]
) -> None:
    clock = PushedClock(START)
    telegram = LocalTelegram(now=clock.now)
    telegram.webhook_pause = 0.02
    nour, ana = telegram.person("Nour"), telegram.person("Ana")
    at = f"127.0.0.1:{free_port()}"
    async with telegram.serve() as server:
        options = local_settings(server, telegram.token, tmp_path).model_copy(
            update={
                "webhook_url": f"http://{at}{PATH}",
                "webhook_secret": SecretStr(SECRET),
                "http_bind": at,
            }
        )
        await founding.init(options, demo_clinic(), clock)
        async with running(options, clock) as bot:
            async with bot.deps.database.write() as session:
                lead = await add_practitioner(session, nour, clock.now())
                await add_patient(session, bot.deps, ana, lead, clock.now())
            with locked(bot.deps.database):
                await ana.says("Something is wrong")
                await ana.hears(NOT_SAVED)
                # Not taken before it is stored: Telegram still keeps it.
                assert len(telegram.updates.waiting) == 1
            await ana.hears("What is it?")
            await ana.taps("My sight")
            await nour.hears("EMERGENCY: Ana")
            await ana.hears("Call 112 now. Do not wait for a reply here.")
            await telegram.wait_for(lambda: not telegram.updates.waiting)
            await until(lambda: bot.safety.idle)
            async with bot.deps.database.read() as session:
                rows = await session.exec(text(RECORDS))  # type: ignore[call-overload] # plain SQL
                assert [row.state for row in rows] == ["sent"]
    assert sum(NOT_SAVED in message.text for message in ana.received) == 1
    assert sum("EMERGENCY: Ana" in message.text for message in nour.received) == 1
    assert {line.split()[0] for line in failures} <= SHAKEN
    failures.clear()
