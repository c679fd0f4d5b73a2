"""Telegram's HTML as the server reads it, counted in UTF-16 units."""

from __future__ import annotations

import pytest

from bot.demo.entities import formatted, typed

CASES: list[tuple[str, str, list[tuple[str, int, int]]]] = [
    ("<b>bold</b> <i>it</i>", "bold it", [("bold", 0, 4), ("italic", 5, 2)]),
    ("<B>a</b >", "a", [("bold", 0, 1)]),
    ("😀<b>x</b>", "😀x", [("bold", 2, 1)]),
    ("  <u> a</u>\n\n", "a", [("underline", 0, 1)]),
    ("a &lt;b&gt; &amp; &quot;&#x27;&#39; &nbsp;&mdash;", "a <b> & \"'' &nbsp;&mdash;", []),
    ("1 & 2 > 1", "1 & 2 > 1", []),
    ("a\r\nb\tc", "a\nb c", []),
    ("<b>a<i>b</i></b>", "ab", [("bold", 0, 2), ("italic", 1, 1)]),
    ('<span class="tg-spoiler">x</span>', "x", [("spoiler", 0, 1)]),
    ("<tg-spoiler>x</tg-spoiler>", "x", [("spoiler", 0, 1)]),
    ("<blockquote expandable>x</blockquote>", "x", [("expandable_blockquote", 0, 1)]),
    ('<pre><code class="language-py">x</code></pre>', "x", [("pre", 0, 1)]),
    ("<code>/start</code> /plan", "/start /plan", [("code", 0, 6), ("bot_command", 7, 5)]),
    ('<a href="http://localhost/x">here</a>', "here", []),
    ('<a href="https://t.me/a?start=b">here</a>', "here", [("text_link", 0, 4)]),
    ("see https://t.me/a?start=b.", "see https://t.me/a?start=b.", [("url", 4, 22)]),
    ("<b></b>x", "x", []),
]


@pytest.mark.parametrize(("html", "text", "entities"), CASES)
def test_html_is_read_as_the_server_reads_it(
    html: str, text: str, entities: list[tuple[str, int, int]]
) -> None:
    result = formatted(html, "HTML")
    assert result.text == text
    found = [(one["type"], one["offset"], one["length"]) for one in result.entities]
    assert found == entities


def test_what_a_person_types_is_not_parsed() -> None:
    result = typed("/start <b> ana@example.org @some_bot 3/4")
    assert result.text == "/start <b> ana@example.org @some_bot 3/4"
    assert [one["type"] for one in result.entities] == ["bot_command", "email", "mention"]


def test_given_entities_are_counted_in_utf16() -> None:
    result = formatted("😀 bold", None, [{"type": "bold", "offset": 3, "length": 4}])
    assert result.entities == ({"type": "bold", "offset": 3, "length": 4},)
