"""The sending half of a bot, for tests about single sends."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.conftest import START
from tests.faults.world import Post, post


@pytest.fixture
async def sending(
    tmp_path: Path, failures: list[str], chosen_database_url: str, one_processor: None
) -> AsyncIterator[Post]:
    """Outbox, delivery and a local Telegram; nothing paces but the story."""
    async with post(tmp_path, START, database_url=chosen_database_url) as running:
        yield running


@pytest.fixture
async def impatient(
    tmp_path: Path, failures: list[str], chosen_database_url: str, one_processor: None
) -> AsyncIterator[Post]:
    """The same, for stories of silence: a call that is not answered within a second is left."""
    async with post(tmp_path, START, read_timeout_s=1, database_url=chosen_database_url) as running:
        yield running
