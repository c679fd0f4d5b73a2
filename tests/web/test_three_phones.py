"""A pale patch at ten past two at night, on three phones in a real browser: the backup takes it."""

from pathlib import Path

import pytest
from playwright.async_api import Browser

from bot.rehearsal import Rehearsal
from tests.conftest import cast_of
from tests.stories.test_watched import nothing_reassures, on_duty
from tests.web.phone import Phone, picture

pytestmark = pytest.mark.browser


async def test_a_pale_patch_at_night_reaches_the_backup(
    browser: Browser, demo: Rehearsal, tmp_path: Path
) -> None:
    clinic = cast_of(demo, "Maya")
    await clinic.nour.opens(demo.lead_link)
    await clinic.nour.says("/team")
    await clinic.nour.taps("Invite a colleague")
    await clinic.ben.opens(clinic.nour.link)
    await on_duty(clinic, "Nour", "Put on call")
    await on_duty(clinic, "Maya", "Make backup")
    await clinic.tick("2026-03-10 19:30")
    await clinic.enroll(clinic.ana, treatment="dermal-filler")
    await clinic.tick("2026-03-11 02:10")
    clinic.ana.news()

    page = await browser.new_page(viewport={"width": 1680, "height": 900})
    trouble: list[str] = []
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("console", lambda line: trouble.append(line.text) if line.type == "error" else None)
    await page.goto(demo.server.base_url)
    ana, nour, maya = (Phone(page, name) for name in ("Ana", "Nour", "Maya"))
    await ana.presses("Something is wrong")
    await ana.hears("What is it? Tap the closest one")
    await ana.taps("Pain, skin or weakness")
    await ana.hears("Which one? You can tap more than one.")
    await ana.taps("Cold, numb, blotchy skin")
    # At once, at night: whom to call now, the note to show, and the practitioner on call.
    await ana.hears("A person needs to look at this now.")
    await ana.hears("Note for the doctor or nurse")
    await ana.hears("Reported: cold, numb or blotchy skin")
    await nour.hears("URGENT: Ana")
    await picture(page, "urgent", tmp_path)
    assert await maya.messages.filter(has_text="URGENT").count() == 0

    # Nobody acknowledges: pushed again after five minutes, to the backup too after ten.
    await clinic.forward(minutes=5)
    await nour.hears("URGENT, nobody has taken it: Ana")
    assert await maya.messages.filter(has_text="URGENT").count() == 0
    await clinic.forward(minutes=5)
    await maya.hears("URGENT, nobody has taken it: Ana")
    await maya.hears("It has waited 10 minutes.")
    await maya.taps("I am on it")
    await maya.hears("You are on it. Ana sees that you have seen the report.")
    await ana.hears("Maya")
    await ana.hears("has seen your report")
    await picture(page, "at-night", tmp_path)

    # Taken is taken: no further push, and Ana is not sent elsewhere.
    said, pushed = len(clinic.ana.heard), len(clinic.nour.heard)
    await clinic.forward(minutes=30)
    assert len(clinic.ana.heard) == said
    assert len(clinic.nour.heard) == pushed
    await maya.taps("Close: how did it end")
    await maya.hears("Ana: how did it end?")
    await maya.taps("Seen in the clinic")
    await maya.hears("seen in the clinic")
    nothing_reassures(clinic.ana.news())
    assert trouble == []
    await page.close()
