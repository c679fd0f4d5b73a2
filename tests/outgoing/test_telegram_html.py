"""What Telegram's parser takes and refuses, and what the phone shows."""

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.outgoing import telegram_html

ACCEPTED = [
    ("plain", "plain"),
    ("<b>bold <i>both</i></b>", "bold both"),
    ("<B>capital</B>", "capital"),
    ("a &lt; b &amp; c &gt; d &quot;e&quot;", 'a < b & c > d "e"'),
    ("&#x27;quoted&#39;", "'quoted'"),
    ("&amp;lt;b&amp;gt;", "&lt;b&gt;"),
    ("bare & and > are taken", "bare & and > are taken"),
    ('<a href="https://lumen.example/a?b=1&amp;c=2">page</a>', "page"),
    ('<a href="tel:+442079460000">call</a>', "call"),
    ("<blockquote expandable>long</blockquote>", "long"),
    ("<tg-spoiler>hidden</tg-spoiler>", "hidden"),
    ("  \n trimmed \n ", "trimmed"),
    ("a\r\nb\tc", "a\nb c"),
    ("", ""),
]

REFUSED = [
    ("fever < 38", "not a tag"),
    ("3 <4", "not a tag"),
    ("<b", "not a tag"),
    ("<>", "not a tag"),
    ("<b>open", "never closed"),
    ("</b>", "closes nothing"),
    ("<b><i>x</b></i>", "closes nothing"),
    ("<b>x</b y>", "more than a name"),
    ("<br>", "not known"),
    ("<p>x</p>", "not known"),
    ("<span class='tg-spoiler'>x</span>", "not known"),
    ("<script>x</script>", "not known"),
    ("<b class='x'>x</b>", "no attributes"),
    ("<a>x</a>", "a link is written"),
    ("<a href='https://lumen.example'>x</a>", "a link is written"),
    ('<a href="https://lumen.example" onclick="x">x</a>', "a link is written"),
    ('<a href="http://localhost/x">x</a>', "drop this link"),
    ('<a href="javascript:alert(1)">x</a>', "drop this link"),
    ("a&nbsp;b", "as it stands"),
    ("a&mdash;b", "as it stands"),
    ("half \ud83d", "surrogate"),
    ("half &#xd83d;<b", "not a tag"),
]


@pytest.mark.parametrize(("source", "shown"), ACCEPTED)
def test_accepted_markup_shows_its_text(source: str, shown: str) -> None:
    assert telegram_html.parse(source) == shown


@pytest.mark.parametrize(("source", "reason"), REFUSED)
def test_refused_markup_says_why(source: str, reason: str) -> None:
    with pytest.raises(telegram_html.HtmlError, match=reason):
        telegram_html.parse(source)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_escaped_text_is_always_shown_as_it_was_written(written: str) -> None:
    assert telegram_html.parse(html.escape(written)) == written.strip()


@given(st.text("<>/abi =\"&;#x1'\n", max_size=60))
def test_no_markup_makes_the_parser_fail_otherwise(source: str) -> None:
    try:
        shown = telegram_html.parse(source)
    except telegram_html.HtmlError:
        return
    assert len(shown) <= len(source)
