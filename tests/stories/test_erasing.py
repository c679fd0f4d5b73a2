"""Erased is erased: at once, everywhere, for ever, and help is still one tap away."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import SQLModel, select

from bot import parts, upkeep
from bot.services import erasing, holding
from bot.services.holding import Why
from bot.storage import erased, sealed
from tests.cast import Actor, Clinic
from tests.demo.caller import PNG
from tests.stories.test_visits import book, card_of

WORDS = "zanzibar marmalade"
ASKED = """This deletes your data from this bot: your name, answers and photos.
It does not delete the clinic's own records.
You cannot undo this."""
OPEN = "You have an open report. Please call the clinic on +49 30 5550 100 first."
DONE = """I have erased your data. I will not write to you again.
What stays is a list of times. It shows that the bot did its work. Your name and your words are not in it.
Old messages stay in this chat. To remove them, delete this chat in Telegram.
If you need care, call Lumen Clinic on +49 30 5550 100.
In an emergency, call 112."""  # noqa: E501 - as it is read
NAME = "Xenia-Quillfeather"
SEALED: tuple[Any, ...] = tuple(
    each.class_
    for each in SQLModel._sa_registry.mappers  # all tables, also those to come
    if "sealed" in each.columns
)


async def life(clinic: Clinic, ana: Actor) -> None:
    """Everything that leaves something behind: a name, words, a photo, answers, a visit."""
    nour = clinic.nour
    await clinic.enroll(ana, name=NAME)
    await book(clinic, NAME, "07.04.2026 15:00")
    await card_of(clinic, NAME)
    await nour.taps("Area and product")
    await nour.says(WORDS)
    await nour.says(WORDS)
    await clinic.tick("2026-03-11 10:00")
    await ana.taps("None of these")
    await ana.taps("Worse")
    await ana.says(WORDS)
    await ana.does(ana.person.sends_photo, PNG, WORDS)
    await ana.presses("Ask the clinic")
    await ana.reports_danger()
    await nour.presses("Today")
    await nour.says("/patients")


def numbers(ana: Actor) -> list[bytes]:
    """The chat's number as text, and as a database keeps it."""
    number: int = ana.person.id
    kept = next(each for each in (4, 6, 8) if number < 2 ** (8 * each - 1))
    return [str(number).encode(), number.to_bytes(kept, "big")]


async def everything(clinic: Clinic) -> bytes:
    """The database with its files, and whatever else lies in the data folder."""
    held = bytearray(await clinic.stored())
    for file in clinic.rehearsal.app.options.data_dir.rglob("*"):
        if file.is_file():
            held += file.name.encode() + file.read_bytes()
    return bytes(held)


async def erases(ana: Actor) -> None:
    await ana.says("/erase")
    await ana.taps("Erase my data")
    await ana.taps("Erase for ever")


async def test_after_two_taps_nothing_is_left_of_her(both: Clinic) -> None:
    clinic, nour, ana = both, both.nour, both.ana
    await life(clinic, ana)
    await clinic.enroll(clinic.ben, "Ben")
    held = await everything(clinic)
    assert numbers(ana)[0] in held
    # The files hold it as a number.
    assert not clinic.rehearsal.app.deps.database.is_sqlite or numbers(ana)[1] in held
    unsealed = await opened(clinic)
    assert NAME in unsealed
    assert WORDS in unsealed
    nour.news()
    await ana.says("/erase")
    assert ana.last_message == f"{OPEN}\n\n{ASKED}"
    assert ana.buttons == ["Erase my data", "Keep my data", "Something is wrong"]
    await ana.taps("Erase my data")
    assert ana.last_message.endswith(
        "Do you want to erase it all? Your reminders end. No more safety checks come."
    )
    assert ana.buttons == ["Erase for ever", "Keep my data", "Something is wrong"]
    await ana.taps("Erase for ever")
    await clinic.settle()
    assert ana.last_message == DONE
    assert nour.news() == [
        "A patient erased their data. I cannot say who it was.\nYou do not have to do anything."
    ]

    left = await everything(clinic)
    for trace in (NAME.encode(), WORDS.encode(), *numbers(ana)):
        assert trace not in left, trace
    unsealed = await opened(clinic)
    assert NAME not in unsealed
    assert WORDS not in unsealed
    assert "Ben" in unsealed
    # The bare ledger stays, and the views go on working.
    assert await clinic.history("d1") == ["sent", "planned"]
    assert await clinic.history("d28") == ["cancelled(erased)", "planned"]
    await clinic.check_ledger()
    for view in ("v_message", "v_update", "v_alert", "v_consent", "v_health"):
        assert await clinic.rows(f"SELECT * FROM {view}")
    withdrawn = await clinic.rows("SELECT * FROM v_consent WHERE withdrawn_at IS NOT NULL")
    assert len(withdrawn) == 1
    ana.news()
    await clinic.tick("2026-04-10 12:00")
    assert ana.news() == []
    await clinic.check_ledger()


async def test_an_account_that_she_had_before_is_emptied_too(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await life(clinic, ana)
    # Asked for and never typed.
    await ana.presses("Ask the clinic")
    await card_of(clinic, NAME)
    await nour.taps("Make a new link")
    await nour.taps("Make a new link")
    later = clinic.someone("Ana")
    await clinic.join(later)
    assert not await clinic.member(ana)
    await later.says(WORDS)
    await clinic.enroll(clinic.ben, "Ben")
    await clinic.ben.says("of Ben")
    assert WORDS in await opened(clinic)
    await erases(later)
    await clinic.settle()
    assert later.last_message == DONE
    left = await everything(clinic)
    for trace in (NAME.encode(), WORDS.encode(), *numbers(ana), *numbers(later)):
        assert trace not in left, trace
    unsealed = await opened(clinic)
    assert NAME not in unsealed
    assert WORDS not in unsealed
    # What is somebody else's stays.
    assert "of Ben" in unsealed


async def test_an_account_that_is_somebody_elses_by_now_keeps_its_words(clinic: Clinic) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await nour.says("/enroll Ana mesotherapy-face")
    await ben.opens(nour.link)
    await nour.taps("No, somebody else")
    await clinic.forward(minutes=2)
    await nour.taps("Make a new link")
    await clinic.join(ana)
    await clinic.enroll(ben, "Ben")
    await ben.says("of Ben")
    await erases(ana)
    assert "of Ben" in await opened(clinic)
    assert await clinic.member(ben)


async def opened(clinic: Clinic) -> str:
    """Everything that the database holds sealed, read with its key."""
    found = []
    async with clinic.rehearsal.app.deps.database.read() as session:
        for table in SEALED:
            rows = (await session.exec(select(table))).all()
            found += [str(sealed.read(session, row)) for row in rows]
    return "\n".join(found)


async def test_while_sending_is_held_erased_is_erased_all_the_same(clinic: Clinic) -> None:
    ana = clinic.ana
    await life(clinic, ana)
    async with clinic.rehearsal.app.deps.database.write() as session:
        await holding.hold(session, Why.CLOCK, clinic.now)
    # What waits for the release is due all the while: nothing settles.
    await ana.person.says("/erase")
    await ana.person.hears(ASKED)
    await ana.person.taps("Erase my data")
    await ana.person.hears("Do you want to erase it all?")
    await ana.person.taps("Erase for ever")
    await ana.person.hears(DONE)
    async with asyncio.timeout(20):
        while await clinic.rows("SELECT 1 FROM vital WHERE key LIKE 'erased:%'"):
            clinic.rehearsal.app.deps.bells.ring()
            await asyncio.sleep(0.05)
    # Also outside the rows: the files of photos, the database's log, and the list for a restore.
    left = await everything(clinic)
    for trace in (NAME.encode(), WORDS.encode(), *numbers(ana)):
        assert trace not in left, trace
    assert len(erased.read(clinic.rehearsal.app.options.data_dir)) == 1


async def test_whoever_keeps_their_data_keeps_it(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    for taps in (("Keep my data",), ("Erase my data", "Keep my data")):
        await ana.says("/erase")
        for label in taps:
            await ana.taps(label)
        assert ana.last_message == "I have kept your data. Nothing was changed."
    await clinic.tick("2026-03-11 10:00")
    assert "day 1 check" in ana.last_message


async def test_with_an_open_report_she_is_told_to_call_and_it_is_still_done(
    clinic: Clinic,
) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await ana.presses("Something is wrong")
    # Begun is open, also before anything was picked.
    await ana.says("/erase")
    assert ana.last_message == f"{OPEN}\n\n{ASKED}"
    await ana.taps("Keep my data")
    await ana.reports_danger()
    nour.news()
    await ana.says("/erase")
    assert ana.last_message == f"{OPEN}\n\n{ASKED}"
    await ana.taps("Erase my data")
    assert ana.last_message.startswith(OPEN)
    await ana.taps("Erase for ever")
    assert ana.last_message == DONE
    assert nour.news() == [
        "A patient erased their data. I cannot say who it was.\nYou do not have to do anything."
    ]
    assert await clinic.rows("SELECT state FROM v_alert") == [{"state": "closed"}]
    await nour.presses("Today")
    assert "URGENT" not in nour.last_message


async def test_an_erased_account_still_reads_where_to_call(clinic: Clinic) -> None:
    nour, ana = clinic.nour, clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-11 10:00")
    check = next(each for each in ana.person.received if "Yes, I have one" in each.labels)
    await ana.says("/settings")
    settings = ana.person.last_message
    await erases(ana)
    again = next(each for each in ana.person.received if "Erase for ever" in each.labels)
    nour.news()
    for act, argument in (
        (ana.presses, "Something is wrong"),
        (ana.says, "/wrong"),
        (ana.says, "I cannot see"),
    ):
        await clinic.forward(minutes=1)
        ana.news()
        await act(argument)
        (said,) = ana.news()
        assert "+49 30 5550 100" in said
        assert "In an emergency, call 112." in said
    for label, message in (
        ("Yes, I have one", check),
        ("Something is wrong", again),
        ("Erase for ever", again),
        ("Pause for 7 days", settings),
    ):
        await clinic.forward(minutes=1)
        ana.news()
        await ana.taps(label, message)
        (said,) = ana.news()
        assert "+49 30 5550 100" in said, label
    assert nour.news() == []
    # Old buttons of the team lead nowhere, and a new link begins anew.
    await nour.taps("Open the card", nour.find("Ana has joined."))
    assert "out of date" in nour.last_message
    await clinic.enroll(ana, name="Anja")
    assert "when to get help" in ana.last_message
    await clinic.check_ledger()


async def test_after_stop_it_is_the_same_and_before_joining_the_account_is_let_go(
    clinic: Clinic,
) -> None:
    nour, ana, ben = clinic.nour, clinic.ana, clinic.ben
    await clinic.enroll(ana)
    await ana.says("/stop")
    await ana.taps("Stop")
    await erases(ana)
    assert ana.last_message == DONE
    await nour.says("/enroll Ben mesotherapy-face")
    link = nour.link
    await ben.opens(link)
    await ben.says("/erase")
    await ben.taps("No, that is not me")
    assert "I have kept no data about you." in ben.last_message
    for person in (ana, ben):
        assert not await clinic.member(person)
    # What was to be asked about him is asked no more.
    nour.news()
    await clinic.forward(minutes=15)
    assert nour.news() == []
    await nour.says("/undo")
    assert "nothing that I can take back" in nour.last_message or "out of date" in nour.last_message
    await nour.presses("Today")
    await nour.says("/patients")
    # His card is the clinic's, for a new link; hers is gone.
    assert nour.buttons == ["Ben, invited", "Add a patient"]
    await clinic.check_ledger()


async def test_an_old_button_never_erases_by_one_tap(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await ana.says("/erase")
    await ana.taps("Erase my data")
    armed = ana.person.last_message
    await ana.taps("Keep my data")
    await ana.taps("Erase for ever", armed)
    assert ana.last_message.startswith("Do you want to erase it all?")
    await clinic.forward(minutes=16)
    await ana.taps("Erase for ever", armed)
    assert ana.last_message.startswith("Do you want to erase it all?")
    await ana.taps("Erase for ever")
    assert ana.last_message == DONE


async def test_what_waits_for_the_line_is_gone_too(clinic: Clinic) -> None:
    ana = clinic.ana
    await clinic.enroll(ana)
    await clinic.tick("2026-03-10 20:59")
    await book(clinic, "Ana", "07.04.2026 15:00")
    await clinic.tick("2026-03-10 21:30")
    await ana.says("/erase")
    await ana.taps("Erase my data")
    await ana.taps("Erase for ever")
    ana.news()
    await clinic.tick("2026-03-11 12:00")
    assert ana.news() == []
    open_rows = "SELECT * FROM v_message WHERE state IN ('queued', 'sending')"
    assert await clinic.rows(open_rows) == []
    await clinic.check_ledger()


@pytest.mark.sqlite
async def test_an_older_copy_does_not_bring_her_back(clinic: Clinic, tmp_path: Path) -> None:
    ana, running = clinic.ana, clinic.rehearsal.app
    await life(clinic, ana)
    saved = tmp_path / "saved.db"
    await upkeep.save(running.options, saved, lambda _done, _total: None)
    assert numbers(ana)[1] in saved.read_bytes()
    (row,) = await clinic.rows("SELECT DISTINCT patient_ref FROM v_reminder")
    await erases(ana)
    await clinic.settle()
    assert erased.read(running.options.data_dir) == {row["patient_ref"]}
    kept = running.options.data_dir / "erased"
    assert kept.stat().st_mode & 0o777 == 0o600
    await running.stop()
    await upkeep.restore(running.options, saved, lambda _done, _total: None)
    file = running.options.data_dir / "aftercare.db"
    saved.unlink()
    for trace in numbers(ana):
        assert trace not in file.read_bytes()


@pytest.mark.sqlite
async def test_an_erasure_just_before_a_restore_is_not_forgotten(
    clinic: Clinic, tmp_path: Path
) -> None:
    ana, running = clinic.ana, clinic.rehearsal.app
    await clinic.enroll(ana)
    saved = tmp_path / "saved.db"
    await upkeep.save(running.options, saved, lambda _done, _total: None)
    (row,) = await clinic.rows("SELECT DISTINCT patient_ref FROM v_reminder")
    # The bot is stopped before what an erasure needs outside the database was done.
    await running.stop()
    deps = parts.open_deps(running.options, running.deps.clock)
    async with deps.database.write() as session:
        await erasing.again(session, [row["patient_ref"]], clinic.now)
    await deps.database.close()
    assert erased.read(running.options.data_dir) == set()
    await upkeep.restore(running.options, saved, lambda _done, _total: None)
    assert erased.read(running.options.data_dir) == {row["patient_ref"]}
    file = running.options.data_dir / "aftercare.db"
    for trace in numbers(ana)[1:]:
        assert trace not in file.read_bytes()


async def test_a_start_erases_again_what_any_program_has_put_back(both: Clinic) -> None:
    clinic, ana, deps = both, both.ana, both.rehearsal.app.deps
    await life(clinic, ana)
    (row,) = await clinic.rows("SELECT DISTINCT patient_ref FROM v_reminder")
    erased.add(deps.data_dir, [row["patient_ref"], "nobody"])
    erased.add(deps.data_dir, [row["patient_ref"]])
    await erasing.look_again(deps)
    assert not await clinic.member(ana)
    assert NAME not in await opened(clinic)
    # A second look finds nothing to do, and a list with a torn line is read all the same.
    with (deps.data_dir / "erased").open("a") as file:
        file.write("torn")
    await erasing.look_again(deps)
    assert erased.read(deps.data_dir) == {row["patient_ref"], "nobody", "torn"}
