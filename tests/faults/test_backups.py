"""``aftercare backup`` beside a bot that writes all the time; one of them comes back, held.

CI makes a few. The long form, and a failure once more:

    AFTERCARE_BACKUPS=50 python -m pytest tests/faults/test_backups.py
    AFTERCARE_SEED=12345 python -m pytest tests/faults/test_backups.py
"""

import asyncio
import logging
import os
import random
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.faults.process import Story, fill, running_story
from tests.faults.record import proved

log = logging.getLogger(__name__)

BACKUPS = int(os.environ.get("AFTERCARE_BACKUPS", "3"))
RESTORE_KILLS = int(os.environ.get("AFTERCARE_RESTORE_KILLS", "3"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
PATIENTS = 30
# What a look at a held bot takes, several times over.
QUIET_S = 5.0
ROWS = {"message": ("id", "state"), "inbox": ("update_id", "state")}
OVER = {"sent", "unconfirmed", "failed", "dropped", "handled", "quarantined"}

Rows = set[tuple[str, str, str]]


def environment(story: Story) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", ""),
        "TELEGRAM_BOT_TOKEN": story.telegram.token,
        "DATA_DIR": str(story.folder),
        "DATABASE_URL": story.deps.database.url,
    }


async def begins(story: Story, *arguments: str) -> asyncio.subprocess.Process:
    """A command of the operator, in a process of its own."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot", *arguments),
        cwd=story.folder,
        env=environment(story),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def does(story: Story, *arguments: str) -> str:
    process = await begins(story, *arguments)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


def committed(story: Story) -> Rows:
    """Every row of inbox and outbox, with its state where that is final."""
    found: Rows = set()
    for table, columns in ROWS.items():
        for key, state in story.ask(f"SELECT {', '.join(columns)} FROM {table}"):
            found.add((table, str(key), state if state in OVER else ""))
    return found


def saved_in(file: Path) -> Rows:
    """The same of a backup, read without the bot; it is sound, or this fails."""
    if file.suffix == ".db":
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert copy.execute("PRAGMA foreign_key_check").fetchall() == []
            read = {
                table: copy.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
                for table, columns in ROWS.items()
            }
    else:
        command = ["pg_restore", "--data-only", "--file=-", str(file)]
        sql = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        read = {table: _copied(sql, table, columns) for table, columns in ROWS.items()}
    return {
        (table, str(key), state if state in OVER else "")
        for table, rows in read.items()
        for key, state in rows
    }


def _copied(sql: str, table: str, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = re.search(rf"^COPY \S+\.{table} \(([^)]*)\) FROM stdin;\n(.*?)^\\\.$", sql, re.M | re.S)
    assert found is not None
    names = found.group(1).split(", ")
    rows = (line.split("\t") for line in found.group(2).splitlines())
    return [tuple(row[names.index(column)] for column in columns) for row in rows]


def missing(before: Rows, saved: Rows) -> Rows:
    """What was committed before and is not in the backup, or not as far."""
    keys = {each[:2] for each in saved}
    return {each for each in before if (each not in saved if each[2] else each[:2] not in keys)}


async def talk(story: Story, dice: random.Random) -> None:
    """People write all the time, and are answered."""
    number = 0
    while True:
        await dice.choice(story.patients).says(f"My note number {number}.")
        number += 1
        # A practitioner's chat takes one a second: what is said faster is waited for at the end.
        await asyncio.sleep(dice.uniform(0.05, 0.25))


def arrived(story: Story) -> int:
    return sum(len(person.received) for person in (*story.patients, *story.practitioners))


@pytest.mark.timeout(180 + 30 * BACKUPS)
async def test_backups_under_load_hold_every_row_and_come_back_held(
    tmp_path: Path, chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice = random.Random(SEED)  # noqa: S311 - dice
    ending = "dump" if chosen_database_url else "db"
    async with running_story(tmp_path, chosen_database_url) as story:
        await fill(story, PATIENTS)
        await story.starts()
        await story.telegram.wait_for(lambda: arrived(story) > 0, 30)
        talking = asyncio.ensure_future(talk(story, dice))
        checked = 0
        for number in range(BACKUPS):
            await asyncio.sleep(dice.uniform(0, 0.5))
            before = committed(story)
            await does(story, "backup", f"{number}.{ending}")
            assert len(committed(story)) > len(before), "the bot wrote meanwhile"
            lost = missing(before, saved_in(tmp_path / f"{number}.{ending}"))
            assert not lost, (number, sorted(lost)[:5])
            checked += len(before)
        talking.cancel()
        async with asyncio.timeout(120 + 20 * BACKUPS):
            while story.unfinished():  # noqa: ASYNC110 - another process has no bell of ours
                await asyncio.sleep(0.05)
        assert await story.stops() == 0

        # One comes back: whatever waited in it, or was in the air, was sent long ago.
        chosen = f"{dice.randrange(BACKUPS)}.{ending}"
        story.outside.dispose()
        await story.deps.database.close()
        await does(story, "restore", chosen, "--yes")
        # What had come in and was not answered yet is answered, as people who act are.
        (heard,) = story.ask("SELECT count(*) FROM inbox WHERE state = 'received'")
        waited = story.ask(
            "SELECT id, lane, report FROM message WHERE state IN ('queued','sending')"
        )
        was = arrived(story)
        await story.starts()
        for _ in range(int(QUIET_S / 0.05)):
            await asyncio.sleep(0.05)
            if not heard[0]:
                assert arrived(story) == was, "sent while held"
        ids = ", ".join(str(row[0]) for row in waited) or "0"
        still = story.ask(f"SELECT count(*) FROM message WHERE id IN ({ids}) AND state = 'queued'")
        recovered = story.ask(
            f"SELECT count(*) FROM message WHERE id IN ({ids}) AND state = 'unconfirmed'"
        )
        assert still[0][0] + recovered[0][0] == len(waited)
        await does(story, "release", "--yes")
        async with asyncio.timeout(120 + 20 * BACKUPS):
            while True:
                story.a_minute_goes_by()
                (left,) = story.ask(
                    f"SELECT count(*) FROM message WHERE id IN ({ids})"
                    " AND state IN ('queued', 'sending')"
                )
                if not left[0]:
                    break
                await asyncio.sleep(0.2)
        for key, lane, report in waited:
            ((state, copies),) = story.ask(
                f"SELECT state, maybe_copies FROM message WHERE id = {key}"
            )
            again = lane in ("danger", "care") or report is not None
            assert state in (("sent",) if again else ("unconfirmed",)), (key, lane, report)
            assert copies >= 1
        assert await story.stops() == 0
        figures: dict[str, int | float | str] = {
            "backups": BACKUPS,
            "rows looked for": checked,
            "rows missing": 0,
            "waited in the restored one": len(waited),
            "sent while held": 0,
            "seed": SEED,
        }
        log.warning("backups under load: %s", figures)
        proved("backups", figures, chosen_database_url)


def kept_in(folder: Path, name: str) -> Path:
    """The database before a restore, under a name that says less."""
    (kept,) = [*folder.glob("*.before-restore-*"), *folder.glob("backups/before-restore-*")]
    return kept.rename(folder / name)


@pytest.mark.timeout(120 + 30 * RESTORE_KILLS)
async def test_killed_in_a_restore_it_is_the_old_database_or_the_new_one_held(
    tmp_path: Path, chosen_database_url: str
) -> None:
    log.warning("AFTERCARE_SEED=%d replays this", SEED)
    dice = random.Random(SEED)  # noqa: S311 - dice
    ending = "dump" if chosen_database_url else "db"
    async with running_story(tmp_path, chosen_database_url) as story:
        await fill(story, 5)
        await does(story, "backup", f"one.{ending}")
        (new,) = story.ask("SELECT name FROM clinic")
        old = ("As it was before",)
        with story.outside.begin() as connection:
            connection.execute(text("UPDATE clinic SET name = 'As it was before'"))
        await story.deps.database.close()
        story.outside.dispose()
        began = asyncio.get_running_loop().time()
        # How long it takes, to kill it anywhere in that.
        await does(story, "restore", f"one.{ending}", "--yes")
        lasts_s = asyncio.get_running_loop().time() - began
        kept = kept_in(tmp_path, f"two.{ending}")
        ends = {old: 0, new: 0}
        for kill in range(RESTORE_KILLS):
            # From one to the other and back; a release in between shows whether it is held anew.
            (was,) = story.ask("SELECT name FROM clinic")
            story.outside.dispose()
            will = old if was == new else new
            await does(story, "release", "--yes")
            source = kept.name if will == old else f"one.{ending}"
            process = await begins(story, "restore", source, "--yes")
            await asyncio.sleep(dice.uniform(lasts_s * 0.3, lasts_s * 1.1))
            if process.returncode is None:
                process.kill()
            await process.communicate()
            (found,) = story.ask("SELECT name FROM clinic")
            held = story.ask("SELECT value FROM vital WHERE key = 'held'") == [("1",)]
            story.outside.dispose()
            assert (found, held) in ((was, False), (will, True)), kill
            ends[found] += 1
            if not held:
                await does(story, "restore", source, "--yes")
        log.warning("killed in a restore: %s", ends)
        assert sum(ends.values()) == RESTORE_KILLS
