"""A real Chromium, and the two phones as ``make demo`` shows them."""

import shutil
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from bot.clock import PushedClock
from bot.rehearsal import Rehearsal, rehearsal
from bot.storage.queries import people
from tests.begun import begin
from tests.conftest import START

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# No sandbox as root, and nothing that would reach beyond this machine.
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here; install Debian's package chromium")
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        yield chromium
        await chromium.close()


@pytest.fixture
async def demo(tmp_path: Path, failures: list[str]) -> AsyncIterator[Rehearsal]:
    await begin(tmp_path)
    async with rehearsal(
        tmp_path, clock=PushedClock(START), page=True, send_rate=10_000, chat_burst=1_000
    ) as (whole, _):
        async with whole.app.deps.database.write() as session:
            clinic = await people.the_clinic(session)
            assert clinic is not None
            # The morning's digest would stand between the messages that are pushed to.
            clinic.digest_day = date.max
            session.add(clinic)
        yield whole
    assert failures == []
