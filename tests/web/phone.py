"""A phone of the demo's page in a real browser, and pictures of the page.

``make screenshots`` renews the pictures of the README through ``SCREENSHOTS=folder``.
"""

import os
from pathlib import Path

from playwright.async_api import Locator, Page, expect

_OF_THE_README = {"two-phones", "day-3", "narrow", "at-night"}
_KEEP = os.environ.get("SCREENSHOTS")


class Phone:
    """One phone on the page, used with the mouse and the keyboard as a person would."""

    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        self.name = name
        self.whole = page.locator(".phone", has=page.get_by_label(f"Message as {name}"))
        self.messages = self.whole.locator(".message:not(.own)")

    async def says(self, words: str) -> None:
        box = self.page.get_by_label(f"Message as {self.name}")
        await box.fill(words)
        await box.press("Enter")

    async def presses(self, label: str) -> None:
        """Press a key of the menu below the chat."""
        await self.whole.locator(".keyboard").get_by_role("button", name=label, exact=True).click()

    async def taps(self, label: str) -> None:
        """Tap the newest inline button with that label."""
        await self._named(label).last.click()

    def _named(self, label: str) -> Locator:
        return self.whole.locator(".rows").get_by_role("button", name=label, exact=True)

    async def hears(self, words: str) -> None:
        await expect(self.messages.filter(has_text=words).last).to_be_visible(timeout=15_000)


async def picture(page: Page, name: str, folder: Path) -> None:
    kept = Path(_KEEP) if _KEEP and name in _OF_THE_README else folder
    kept.mkdir(parents=True, exist_ok=True)
    # The newest message first slides in; a picture of it half way there helps nobody.
    await page.evaluate(
        "Promise.all(document.getAnimations().map(a => a.finished.catch(() => null))).then(() => 0)"
    )
    await page.screenshot(path=kept / f"{name}.png")


async def pushes(page: Page, step: str) -> None:
    button = page.get_by_role("button", name=step, exact=True)
    await button.click()
    await expect(page.locator("#clock")).to_have_attribute("aria-busy", "false", timeout=30_000)
