"""What every story stands on: a running bot, the local Telegram, both databases."""

import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

os.environ["PTB_TIMEDELTA"] = "true"

from bot.clock import PushedClock
from bot.rehearsal import Rehearsal, rehearsal
from tests import postgres
from tests.begun import begin
from tests.cast import Actor, Clinic
from tests.postgres import PostgresServer

# A Tuesday afternoon in Berlin, three weeks before its clocks go forward.
START = datetime(2026, 3, 10, 13, 30, tzinfo=UTC)
# A story's safety text must not depend on how busy the machine is; its own stories ask for it.
LONG_S = 60.0
_UNEXPECTED = {"handler_failed", "job_failed", "text_failed", "outbox_failed", "inbox_failed"}
_UNEXPECTED |= {"photos_failed", "photo_failed", "photo_broken", "picture_failed"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--database",
        choices=["sqlite", "postgresql"],
        default="sqlite",
        help="the database of every test that does not ask for both; with postgresql only those"
        " run that a run without this option does not try there",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On PostgreSQL keep what can run there and a plain run has not run there already."""
    if config.getoption("--database") == "sqlite":
        return
    kept = [
        item
        for item in items
        if isinstance(item, pytest.Function)
        and "chosen_database_url" in item.fixturenames
        and item.get_closest_marker("sqlite") is None
    ]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer | None]:
    """The private PostgreSQL server of this run, if one is installed."""
    with postgres.running() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of each kind; ``""`` means SQLite in the story's own folder."""
    with _empty(request, request.param) as address:
        yield address


@pytest.fixture
def chosen_database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """An empty database of the kind that ``--database`` names."""
    with _empty(request, request.config.getoption("--database")) as address:
        yield address


@contextmanager
def _empty(request: pytest.FixtureRequest, kind: str) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    server: PostgresServer | None = request.getfixturevalue("postgres_server")
    if server is None:
        pytest.skip("no PostgreSQL server here; install Debian's package postgresql")
    with server.database() as address:
        yield address


class _Failures(logging.Handler):
    """Collects what the bot logs when something unexpected happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        action = getattr(record, "action", "")
        if action in _UNEXPECTED:
            cause = getattr(record, "cause", "") or getattr(record, "template", "")
            self.seen.append(f"{action} {cause} {record.exc_text or ''}")


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """The unexpected failures of the bot; a story that leaves any fails."""
    handler = _Failures()
    logging.getLogger("bot").addHandler(handler)
    yield handler.seen
    logging.getLogger("bot").removeHandler(handler)
    assert not handler.seen, handler.seen


@pytest.fixture
def one_processor() -> Iterator[None]:
    """The story keeps to the processor of its worker, where there are several.

    It goes to and fro between its loop and the database's driver, threads that wake each other: on
    one processor that is several times as fast as across two. What it starts keeps to it as well,
    so this is not for stories of other processes.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if not worker or not hasattr(os, "sched_setaffinity"):
        # Two runs by hand would both choose the first.
        yield
        return
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {sorted(all_of_them)[int(worker) % len(all_of_them)]})
    yield
    os.sched_setaffinity(0, all_of_them)


def cast_of(whole: Rehearsal, third: str = "Ben") -> Clinic:
    """The usual people around a running bot; who has a phone on the page already keeps it."""
    telegram = whole.telegram
    known = {person.first_name: person for person in telegram.people}

    def actor(name: str, username: str | None = None) -> Actor:
        person = known.get(name) or telegram.person(name, username=username)
        return Actor(person, whole.settle)

    return Clinic(whole, actor("Nour", "nour_lumen"), actor("Ana", "ana_sample"), actor(third))


@pytest.fixture
async def clinic(
    tmp_path: Path, failures: list[str], chosen_database_url: str, one_processor: None
) -> AsyncIterator[Clinic]:
    """A demo clinic whose lead, Nour, has opened her link."""
    await begin(tmp_path, chosen_database_url)
    async with rehearsal(
        tmp_path,
        clock=PushedClock(START),
        send_rate=10_000,
        chat_burst=1_000,
        patience_s=LONG_S,
        look_s=0,
        database_url=chosen_database_url,
    ) as (whole, _):
        story = cast_of(whole)
        await story.nour.opens(whole.lead_link)
        await story.digests(wanted=False)
        yield story


@pytest.fixture
async def both(
    tmp_path: Path, failures: list[str], database_url: str, one_processor: None
) -> AsyncIterator[Clinic]:
    """The same clinic on SQLite and on PostgreSQL, for stories in which storage matters."""
    await begin(tmp_path, database_url)
    async with rehearsal(
        tmp_path,
        clock=PushedClock(START),
        send_rate=10_000,
        chat_burst=1_000,
        patience_s=LONG_S,
        look_s=0,
        database_url=database_url,
    ) as (whole, _):
        story = cast_of(whole)
        await story.nour.opens(whole.lead_link)
        await story.digests(wanted=False)
        yield story
