"""Somebody learns of it: what goes wrong with the bot itself reaches a lead, once an hour."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.domain.states import Cause, Lane, MessageState, ReminderState
from bot.services import dispatch, holding, outbox, trouble
from bot.storage.queries import plans, vitals
from bot.watch import Lookout, Seen
from tests.faults.world import Post, add_practitioner, post

START = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)
WELL = Seen(trouble=None, conflicts=0, rounds=0)


@dataclass(slots=True)
class Hill:
    """A lookout over a bot whose loops are played by the story."""

    post: Post
    lookout: Lookout
    seen: Seen = WELL
    real_s: float = 5_000.0
    jobs_run: bool = True

    async def goes_on(self, seconds: float, **seen: object) -> None:
        """So much time passes on every clock, with a look each five seconds."""
        self.seen = replace(self.seen, **seen)  # type: ignore[arg-type] # fields of its own
        for _ in range(int(seconds / 5)):
            self.real_s += 5
            self.post.clock.passes(5)
            if self.jobs_run:
                self.seen = replace(self.seen, rounds=self.seen.rounds + 1)
            await self.lookout.look()

    async def told(self) -> list[str]:
        """What the lead has heard of trouble."""
        await self.post.flow()
        return [message.text for message in self.post.nour.received]

    async def queued(self) -> dict[str, int]:
        """How many messages of each cause were ever queued."""
        rows = await self.post.rows(
            "SELECT template, count(*) AS count FROM v_message"
            " WHERE template LIKE 'practitioner/trouble%' GROUP BY template"
        )
        return {row["template"].rpartition("_")[2]: row["count"] for row in rows}


@asynccontextmanager
async def hill(folder: Path, database_url: str, least_free: float = 0.0) -> AsyncIterator[Hill]:
    async with post(folder, START, database_url=database_url) as office:
        whole: Hill

        lookout = Lookout(
            office.deps,
            lambda: whole.seen,
            [folder],
            least_free=least_free,
            monotonic=lambda: whole.real_s,
        )
        whole = Hill(office, lookout)
        await lookout.begin()
        yield whole


@pytest.fixture
async def watched(
    tmp_path: Path, failures: list[str], chosen_database_url: str
) -> AsyncIterator[Hill]:
    async with hill(tmp_path, chosen_database_url) as whole:
        yield whole
    # Each trouble is an error in the log, and nothing else is.
    assert {line.split()[0] for line in failures} <= {"trouble", "watch_failed"}
    failures.clear()


async def test_telegram_that_is_gone_for_five_minutes_is_told_when_it_is_back(
    watched: Hill,
) -> None:
    await watched.goes_on(290, trouble="unreachable")
    assert await watched.queued() == {}
    await watched.goes_on(40)
    assert await watched.queued() == {"unreachable": 1}
    # Three days on nothing more has gathered, and it still goes: what it says stays true.
    for _ in range(3):
        watched.post.clock.passes(timedelta(days=1).total_seconds())
        await watched.goes_on(60)
    assert await watched.queued() == {"unreachable": 1}
    await watched.goes_on(5, trouble=None)
    (said,) = await watched.told()
    assert "could not reach Telegram" in said
    assert "from Tue 10 March, 14:30 to Fri 13 March, 14:3" in said


async def test_a_short_outage_is_not_worth_a_message(watched: Hill) -> None:
    for _ in range(5):
        await watched.goes_on(280, trouble="unreachable")
        await watched.goes_on(20, trouble=None)
    assert await watched.told() == []


@pytest.mark.parametrize(
    ("sign", "cause", "words"),
    [
        ("refused", "refused", "refused my key (the token)"),
        ("InvalidToken", "refused", "refused my key (the token)"),
        ("webhook", "conflict", "A second bot uses the same token."),
        ("stalled", "unreachable", "could not reach Telegram"),
    ],
)
async def test_each_trouble_of_the_line_has_its_words_once_an_hour(
    watched: Hill, sign: str, cause: str, words: str
) -> None:
    await watched.goes_on(420, trouble=sign)
    assert words in (await watched.told())[0]
    await watched.goes_on(2_800)
    assert await watched.queued() == {cause: 1}
    await watched.goes_on(1_000)
    assert await watched.queued() == {cause: 2}


async def test_one_refused_poll_is_told_though_the_next_one_is_answered(watched: Hill) -> None:
    await watched.goes_on(100)
    await watched.goes_on(5, conflicts=1)
    await watched.goes_on(60)
    (said,) = await watched.told()
    assert "A second bot uses the same token." in said
    await watched.goes_on(600, conflicts=20)
    assert len(await watched.told()) == 1


async def test_a_full_disk_is_told(tmp_path: Path, chosen_database_url: str) -> None:
    async with hill(tmp_path, chosen_database_url, least_free=1.0) as whole:
        await whole.goes_on(60)
        (said,) = await whole.told()
        assert "The disk of the computer is nearly full." in said
        assert whole.lookout.causes == {Cause.DISK}


async def test_jobs_that_stand_still_for_a_minute_are_told_and_a_pushed_clock_is_not(
    watched: Hill,
) -> None:
    await watched.goes_on(10)
    # Demo and stories push days in a moment.
    watched.post.clock.passes(timedelta(days=9).total_seconds())
    await watched.goes_on(60)
    assert await watched.queued() == {}
    watched.jobs_run = False
    await watched.goes_on(100)
    (said,) = await watched.told()
    assert "I did not work for a while." in said
    assert "from Thu 19 March, 14:31 to Thu 19 March, 14:3" in said
    assert watched.post.nour.last_message.labels == ("See who needs you",)


async def test_a_start_after_an_hour_says_for_how_long_nobody_was_at_work(
    watched: Hill, failures: list[str]
) -> None:
    post_ = watched.post
    async with post_.deps.database.write() as session:
        await vitals.put_instant(session, "last_tick_at", post_.clock.now())
    post_.clock.passes(3_600)
    again = Lookout(post_.deps, lambda: WELL, [], monotonic=lambda: 0.0)
    await again.begin()
    await again.look()
    assert again.last_outage_s == 3_600
    (said,) = await watched.told()
    assert "from Tue 10 March, 14:30 to Tue 10 March, 15:30" in said
    # A start soon after another outage within the hour does not repeat it.
    post_.clock.passes(600)
    third = Lookout(post_.deps, lambda: WELL, [], monotonic=lambda: 0.0)
    await third.begin()
    await third.look()
    assert await watched.queued() == {"gap": 1}


async def expire(watched: Hill, steps: int) -> None:
    """So many steps of a new patient are too late from now on."""
    post_ = watched.post
    _, patient = await post_.patient(f"Late {post_.clock.now()}")
    post_.clock.passes(1)
    now = post_.clock.now()
    async with post_.deps.database.write() as session:
        rows = [
            row
            for row in await plans.reminders(session, [patient.id or 0])
            if row.state is ReminderState.PLANNED
        ]
        for row in rows[:steps]:
            row.expires_at, row.outlook = now, None
            session.add(row)
    await dispatch.dispatch_due(post_.deps, now)


async def test_expired_steps_are_counted_and_each_is_told_once(watched: Hill) -> None:
    await watched.goes_on(40)
    await expire(watched, 2)
    await watched.goes_on(60)
    (said,) = await watched.told()
    assert "2 messages were too late and not sent." in said
    await expire(watched, 1)
    await watched.goes_on(1_800)
    assert len(await watched.told()) == 1
    await watched.goes_on(1_900)
    first, second = await watched.told()
    assert first == said
    assert "1 message was too late and not sent." in second
    await watched.goes_on(7_200)
    assert len(await watched.told()) == 2


async def test_what_expires_while_the_message_waits_is_counted_in_it(watched: Hill) -> None:
    await expire(watched, 2)
    await watched.goes_on(30)
    await expire(watched, 1)
    await watched.goes_on(30)
    assert await watched.queued() == {"expired": 1}
    (said,) = await watched.told()
    assert "3 messages were too late and not sent." in said


async def test_a_pause_of_the_patients_own_is_no_trouble(watched: Hill) -> None:
    async with watched.post.deps.database.write() as session:
        await session.exec(  # type: ignore[call-overload] # plain SQL
            text("UPDATE reminder SET state = 'expired', reason = 'paused'")
        )
    await watched.goes_on(60)
    assert await watched.told() == []


@pytest.mark.parametrize(
    ("state", "maybe_copies", "told"),
    [
        (MessageState.QUEUED, 1, True),
        (MessageState.UNCONFIRMED, 3, True),
        (MessageState.FAILED, 0, True),
        (MessageState.QUEUED, 0, False),
        (MessageState.SENT, 2, False),
        (MessageState.DROPPED, 1, False),
    ],
)
async def test_an_urgent_message_to_the_team_that_is_unsure_is_told(
    watched: Hill, state: MessageState, maybe_copies: int, told: bool
) -> None:
    post_ = watched.post
    now = post_.clock.now()
    async with post_.deps.database.write() as session:
        row = await outbox.to_practitioner(
            session,
            post_.practitioner,
            "practitioner/reached_again",
            now,
            language="en",
            lane=Lane.DANGER,
        )
        assert row is not None
        row.state, row.maybe_copies = state, maybe_copies
        row.lease_until = now + timedelta(days=2)
        session.add(row)
    await watched.goes_on(50)
    assert await watched.queued() == ({"unconfirmed": 1} if told and state != "queued" else {})
    await watched.goes_on(60)
    said = await watched.told()
    assert [each for each in said if "1 urgent message to the team may not" in each] == (
        said if told else []
    )
    assert bool(said) is told


@pytest.mark.sqlite
async def test_a_database_that_takes_nothing_is_told_when_it_does_again(watched: Hill) -> None:
    database = watched.post.deps.database
    async with database.write() as session:
        await session.exec(text("ALTER TABLE vital RENAME TO gone"))  # type: ignore[call-overload]
    await watched.goes_on(60)
    assert watched.lookout.causes == {Cause.DATABASE}
    async with database.write() as session:
        await session.exec(text("ALTER TABLE gone RENAME TO vital"))  # type: ignore[call-overload]
    await watched.goes_on(60)
    (said,) = await watched.told()
    assert "I could not save anything for a while." in said
    assert "from Tue 10 March, 14:30 to Tue 10 March, 14:31" in said
    assert not watched.lookout.causes


async def test_while_restored_what_the_restore_brings_is_told_to_nobody(watched: Hill) -> None:
    database, now = watched.post.deps.database, watched.post.clock.now()
    await expire(watched, 2)
    async with database.write() as session:
        await holding.hold(session, holding.Why.RESTORED, now)
    await watched.goes_on(60)
    assert await watched.queued() == {}
    await watched.goes_on(60, trouble="refused")
    assert await watched.queued() == {"refused": 1}
    async with database.write() as session:
        await holding.end(session)
    await watched.goes_on(60)
    assert await watched.queued() == {"refused": 1, "expired": 1}


@pytest.mark.parametrize(
    ("cause", "values", "words"),
    [
        (
            Cause.CLOCK,
            {"since_at": START, "until_at": START + timedelta(days=2), "held": True},
            "from Tue 10 March, 14:30 to Thu 12 March, 14:30",
        ),
        (Cause.FUSE, {"patient": "Ana", "how_many": 12}, "more than 12 in one hour"),
    ],
)
async def test_a_service_raises_a_trouble_of_its_own(
    watched: Hill, cause: Cause, values: Mapping[str, object], words: str
) -> None:
    now = watched.post.clock.now()
    async with watched.post.deps.database.write() as session:
        for _ in range(2):
            assert await trouble.raise_(session, cause, now, values)
    watched.post.clock.passes(3_590)
    (said,) = await watched.told()
    assert words in said
    async with watched.post.deps.database.write() as session:
        assert not await trouble.raise_(session, cause, watched.post.clock.now(), values)


async def test_a_colleague_hears_of_it_when_no_lead_can_be_reached(watched: Hill) -> None:
    post_ = watched.post
    other = post_.telegram.person("Olga")
    async with post_.deps.database.write() as session:
        colleague = await add_practitioner(session, other, post_.clock.now())
        colleague.role = "practitioner"
        post_.practitioner.unreachable_at = post_.clock.now()
        session.add_all([colleague, post_.practitioner])
    await watched.goes_on(60, trouble="refused")
    assert await watched.told() == []
    assert "refused my key" in other.last_message.text
