"""The demo in a real browser: four weeks of aftercare lived through on two phones."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from bot.rehearsal import Rehearsal
from tests.web.phone import Phone, picture, pushes

pytestmark = pytest.mark.browser


async def test_four_weeks_on_two_phones(browser: Browser, demo: Rehearsal, tmp_path: Path) -> None:
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda line: trouble.append(line.text) if line.type == "error" else None)
    await page.goto(demo.server.base_url)
    await page.get_by_role("button", name="Open the lead's invitation").first.click()
    await page.get_by_role("button", name="Start", exact=True).click()
    nour, ana = Phone(page, "Nour"), Phone(page, "Ana")
    await nour.hears("You are the lead of Lumen Clinic")

    await page.get_by_role("button", name="New patient", exact=True).first.click()
    await nour.hears("Send a first name or a code")
    await nour.says("Ana")
    await nour.hears("which treatment?")
    await nour.taps("mesotherapy, face")
    await nour.taps("Create and show QR")
    await nour.hears("Ask Ana to scan this code")
    await picture(page, "invitation", tmp_path)

    await page.get_by_role("button", name="Scan the code").click()
    await page.get_by_role("button", name="Start", exact=True).click()
    await ana.hears("Are you Ana?")
    await nour.hears("Somebody opened the link for Ana")
    await nour.taps("Yes, confirm")
    await ana.taps("Yes, that is me")
    await ana.hears("Do you agree?")
    await picture(page, "consent", tmp_path)
    await ana.taps("I am 18+ and I agree")
    await ana.hears("where you are now?")
    await ana.taps("Yes")
    await ana.hears("your care card")
    await ana.hears("when to get help")
    await nour.hears("Ana has joined")
    await picture(page, "two-phones", tmp_path)

    await pushes(page, "Next message")
    await ana.hears("day 1 check")
    await ana.taps("None of these")
    await ana.taps("Better")
    await ana.hears("Your next message comes on Fri 13 March")
    await pushes(page, "Next message")
    await ana.hears("your day 3 limits")
    await ana.taps("Yes, it is calm")
    await ana.says("can I go to the sauna?")
    await ana.hears("No sauna, steam room or hot tub until Tue 17 March, 10:00")
    await picture(page, "day-3", tmp_path)
    await pushes(page, "Next message")
    await ana.hears("your day 7 limits")

    await page.get_by_role("button", name="Patients", exact=True).first.click()
    await nour.taps("Ana, active")
    await nour.taps("Set the next visit")
    await nour.says("07.04.2026 18:30")
    await nour.hears("Tue 7 April, 18:30")
    await ana.hears("Tue 7 April")
    await picture(page, "visit", tmp_path)
    for _ in range(3):
        await pushes(page, "Next message")
        if await ana.messages.filter(has_text="Has anything changed?").count():
            break
    await ana.hears("Has anything changed?")
    await ana.taps("I will come, no change")
    await ana.hears("Tue 7 April")
    await nour.hears("Ana will come")
    await picture(page, "prep", tmp_path)

    await ana.says("STOP")
    await ana.taps("Stop")
    await ana.hears("I have stopped your reminders")
    await nour.hears("Ana has stopped the reminders")
    await picture(page, "stop", tmp_path)
    await pushes(page, "+1 day")
    assert trouble == []
    await page.close()


async def test_a_narrow_window_shows_one_phone_at_a_time(
    browser: Browser, demo: Rehearsal, tmp_path: Path
) -> None:
    page = await browser.new_page(viewport={"width": 360, "height": 780})
    await page.goto(demo.server.base_url)
    await page.get_by_role("button", name="Open the lead's invitation").first.click()
    await page.get_by_role("button", name="Start", exact=True).press("Enter")
    await Phone(page, "Nour").hears("You are the lead")
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    await picture(page, "narrow", tmp_path)
    await page.close()
