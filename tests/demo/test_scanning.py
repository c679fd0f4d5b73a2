"""The phone's camera reads the codes that a bot makes."""

from __future__ import annotations

import io

import pytest
import segno

from bot.demo.people import Person
from bot.demo.scanning import scan
from bot.demo.screen import phone
from bot.demo.telegram import LocalTelegram
from tests.demo.caller import PNG, Caller

LINK = "https://t.me/aftercare_demo_bot?start="


def picture(text: str, level: str, scale: int, border: int, dark: str = "black") -> bytes:
    out = io.BytesIO()
    code = segno.make(text, error=level, micro=False, boost_error=False)
    code.save(out, kind="png", scale=scale, border=border, dark=dark)
    return out.getvalue()


@pytest.mark.parametrize("level", ["L", "M", "Q", "H"])
@pytest.mark.parametrize("length", [1, 22, 32, 64])
@pytest.mark.parametrize(("scale", "border"), [(1, 0), (3, 4), (8, 2)])
def test_a_clean_code_is_read(level: str, length: int, scale: int, border: int) -> None:
    link = LINK + ("aZ9_-b" * 11)[:length]
    assert scan(picture(link, level, scale, border)) == link


def test_colours_and_longer_texts_are_read() -> None:
    link = LINK + "x" * 200
    assert scan(picture(link, "M", 4, 4, dark="#0f3d38")) == link


@pytest.mark.parametrize("data", [PNG, b"", b"\x89PNG\r\n\x1a\n", b"GIF89a", PNG[:40]])
def test_anything_else_is_no_code(data: bytes) -> None:
    assert scan(data) is None


@pytest.mark.asyncio
async def test_the_screen_offers_the_link_that_is_in_the_code(
    api: Caller, telegram: LocalTelegram, ana: Person
) -> None:
    await ana.starts()
    link = telegram.link("kJ2-code")
    files = {"photo": ("q.png", picture(link, "M", 6, 4))}
    await api.multipart("sendPhoto", files, chat_id=str(ana.id))
    assert phone(telegram, ana)["messages"][-1]["scan"] == link
    assert ana.last_message.code == link
