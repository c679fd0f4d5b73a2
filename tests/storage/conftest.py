"""An empty database of each kind, by its address, and one that is ready for use."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.storage import database, schema
from bot.storage.database import Database
from bot.storage.vault import Vault


@pytest.fixture
def url(database_url: str, tmp_path: Path) -> str:
    """The address of a database that nothing was done to yet."""
    return database_url or f"sqlite+aiosqlite:///{tmp_path / 'aftercare.db'}"


@pytest.fixture
async def opened(url: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated database of each kind."""
    async for ready in _ready(url, tmp_path):
        yield ready


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """A migrated SQLite database."""
    async for ready in _ready(f"sqlite+aiosqlite:///{tmp_path / 'aftercare.db'}", tmp_path):
        yield ready


async def _ready(url: str, folder: Path) -> AsyncIterator[Database]:
    database.guard_files(url, folder)
    await schema.migrate(url)
    ready = Database(url, Vault([bytes(32)]))
    yield ready
    await ready.close()
