"""The page in a real browser: an invitation, a scan, buttons, the lock screen, a narrow window."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect

from bot.demo.files import Upload
from bot.demo.methods import perform
from bot.demo.params import Params
from bot.demo.people import Person
from bot.demo.phones import Invitation, Phones
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG, Clock

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
]
pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine"),
]


class Days:
    """A clock control that jumps a day for the next message."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def now(self) -> datetime:
        return self.clock.now()

    async def next_message(self) -> str | None:
        self.clock.move(days=1)
        return None

    async def forward(self, delta: timedelta) -> None:
        self.clock.at += delta


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as play:
        chromium = await play.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield chromium
        await chromium.close()


@pytest.fixture
def nour(telegram: LocalTelegram) -> Person:
    return telegram.person("Nour")


@pytest_asyncio.fixture
async def page(
    telegram: LocalTelegram, clock: Clock, browser: Browser, nour: Person, ana: Person
) -> AsyncIterator[Page]:
    phones = Phones(
        telegram,
        clock=Days(clock),
        invitation=Invitation("Open the invitation", telegram.link("LEAD"), nour),
        roles={nour.id: "practitioner", ana.id: "patient"},
    )
    async with telegram.serve(phones=phones) as server:
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        trouble: list[str] = []
        page.on("pageerror", lambda error: trouble.append(str(error)))
        page.on("console", lambda line: trouble.append(line.text) if line.type == "error" else None)
        await page.goto(server.base_url)
        await expect(page.locator(".phone")).to_have_count(2)
        yield page
        await page.close()
    assert trouble == []


def says(person: Person, text: str) -> bool:
    return any(message.text == text for message in person.messages)


async def test_from_the_invitation_to_a_read_card(
    page: Page, telegram: LocalTelegram, nour: Person, ana: Person
) -> None:
    await page.get_by_role("button", name="Open the invitation").first.click()
    await page.get_by_role("button", name="Start", exact=True).click()
    await telegram.wait_for(lambda: says(nour, "/start"))
    code = telegram.link("kJ2-code")
    files = {"photo": Upload("q.png", "image/png", PNG)}
    perform(telegram, "sendPhoto", Params({"chat_id": nour.id, "caption": code}, files))
    await page.get_by_role("button", name="Scan the code").click()
    await page.get_by_role("button", name="Start", exact=True).press("Enter")
    await telegram.wait_for(lambda: says(ana, "/start"))
    card = {
        "chat_id": ana.id,
        "text": "<b>Your plan</b> <tg-spoiler>hidden</tg-spoiler>",
        "parse_mode": "HTML",
        "reply_markup": {"inline_keyboard": [[{"text": "Got it", "callback_data": "g"}]]},
    }
    perform(telegram, "sendMessage", Params(card))
    await expect(page.locator(".words strong", has_text="Your plan")).to_be_visible()
    await page.get_by_role("button", name="Got it").click()
    query = await telegram.wait_for(lambda: next(iter(telegram.queries), None))
    answer = {"callback_query_id": query, "text": "Call us", "show_alert": True}
    perform(telegram, "answerCallbackQuery", Params(answer))
    await expect(page.get_by_role("alertdialog")).to_contain_text("Call us")
    await page.get_by_role("button", name="OK").click()
    await page.get_by_label("Message as Ana").fill("thanks")
    await page.keyboard.press("Enter")
    await telegram.wait_for(lambda: says(ana, "thanks"))


async def test_a_locked_phone_shows_forty_characters(
    page: Page, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    await page.get_by_role("button", name="Lock Ana").click()
    text = "Lumen: a message for you. " + "Private words. " * 5
    perform(telegram, "sendMessage", Params({"chat_id": ana.id, "text": text}))
    banner = page.locator(".banner span")
    await expect(banner).to_have_text(text[:40] + "…")
    await page.get_by_role("button", name="Unlock").click()
    await expect(banner).to_be_hidden()
    await page.get_by_role("button", name="Next message").click()
    await expect(page.get_by_role("status").first).to_contain_text("No message is planned")
    await expect(page.locator("#now")).to_contain_text("4 Mar 2025")


async def test_a_narrow_window_shows_one_phone_without_scrolling_sideways(
    page: Page, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    words = {"chat_id": ana.id, "text": "x" * 200 + " https://example.org/" + "y" * 90}
    perform(telegram, "sendMessage", Params(words))
    await page.set_viewport_size({"width": 360, "height": 780})
    await page.get_by_role("tab", name="Ana").click()
    await expect(page.locator(".phone:visible")).to_have_count(1)
    assert await page.evaluate("document.documentElement.scrollWidth") == 360
    logs = "[...document.querySelectorAll('.log')].every(l => l.scrollWidth <= l.clientWidth)"
    assert await page.evaluate(logs)
