"""Rendering: strict, escaped, sandboxed, and never too long."""

import hashlib
from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.outgoing import lint, vocabulary
from bot.outgoing.catalogue import MessagesError, load
from bot.outgoing.texts import TextError, Texts

from .conftest import MESSAGES, Overlay

SHIPPED = load([MESSAGES])
TEXTS = Texts(SHIPPED)
PLAIN: dict[str, object] = {name: each.plain for name, each in vocabulary.VARIABLES.items()}

NOT_ALLOWED = [
    "{{ ''.__class__.__mro__ }}{{ x() }}",
    "{{ first_name.upper() }}",
    "{{ first_name * 1000000 }}",
    "{{ first_name + 'x' }}",
    "{{ first_name ~ 'x' }}",
    "{{ first_name % 3 }}",
    "{{ first_name[1:2] }}",
    "{{ [1, 2] }}",
    "{{ {'a': 1} }}",
    "{{ 'a' if late else 'b' }}",
    "{% for i in range(10000000) %}x{% endfor %}",
    "{% for a in [1, 2] %}x{% endfor %}",
    "{% for a in limits recursive %}x{% endfor %}",
    "{% for a in limits %}{% for b in limits %}x{% endfor %}{% endfor %}",
    "{% for a in limits %}{% for b in a.items %}{% for c in a.items %}x{% endfor %}{% endfor %}"
    "{% endfor %}",
    "{% for a in limits %}{% if a %}{% for b in steps %}x{% endfor %}{% endif %}{% endfor %}",
    "{% set x = 1 %}",
    "{% macro x() %}{% endmacro %}",
    "{% call x() %}{% endcall %}",
    "{% filter upper %}x{% endfilter %}",
    "{% extends 'steps/confirm' %}",
    "{% block x %}{% endblock %}",
    "{% import 'locked/medicines' as x %}",
    "{% from 'locked/medicines' import x %}",
    "{% include 'patient/hello' %}",
    "{% include 'de/locked/medicines' %}",
    "{% include '../../etc/passwd' %}",
    "{% include 'locked/../patient/hello' %}",
    "{% include 'locked/nothing' %}",
    "{% include first_name %}",
    "{% include ['locked/medicines', 'x'] %}",
    "{% include 'locked/medicines' ignore missing %}",
    "{{ first_name|safe }}",
    "{{ first_name|attr('__class__') }}",
    "{{ first_name|center(100000000) }}",
    "{{ first_name|format }}",
    "{{ limits|map(attribute='ends')|join }}",
    "{{ first_name is defined }}",
    "{% if late %}",
    "{{ }}",
    "x" * 20_001,
]

REACHES_NOTHING = [
    "{{ first_name.__class__ }}",
    "{{ limits.__class__ }}",
    "{{ limits[0].__init__ }}",
    "{{ limits[0].keys }}",
    "{{ max_per_day.__add__ }}",
    "{{ first_name['__class__'] }}",
    "{% for a in limits %}{{ loop.__class__ }}{{ loop.cycle }}{% endfor %}",
    "{{ self }}",
    "{{ namespace }}{{ cycler }}{{ joiner }}{{ lipsum }}{{ dict }}",
    "{{ nothing_of_the_kind }}",
]

NAMES = [
    "<b>Ana</b>",
    "<a href='https://x.example'>Ana",
    "Tom & Ana",
    "&lt;Ana&gt; &nbsp;",
    "{{ 7 * 7 }}{% raw %}",
    'O\'Neil "Ana" \\',
    "أنا\u200f",
    "😀" * 64,
    "👩🏽\u200d🔬" * 16,
    "e\u0301" * 64,
]


@pytest.mark.parametrize("depth", [41, 90, 500, 4000])
def test_a_text_nested_too_deeply_is_refused_in_words(overlay: Overlay, depth: int) -> None:
    for source in (
        "{% if late %}" * min(depth, 700) + "x" + "{% endif %}" * min(depth, 700),
        "{% if " + "not " * depth + "late %}x{% endif %}",
        "{{ first_name" + "[0]" * depth + " }}",
    ):
        with pytest.raises(MessagesError, match="nested too deeply"):
            Texts(overlay({"en/patient/got_it.html.j2": source}))


@pytest.mark.parametrize("source", NOT_ALLOWED)
def test_syntax_that_is_not_allowed_is_refused_when_read(overlay: Overlay, source: str) -> None:
    with pytest.raises(MessagesError, match="patient/got_it"):
        Texts(overlay({"en/patient/got_it.html.j2": source}))


@pytest.mark.parametrize("source", REACHES_NOTHING)
def test_a_template_reaches_nothing_behind_a_value(overlay: Overlay, source: str) -> None:
    texts = Texts(overlay({"en/patient/got_it.html.j2": source}))
    with pytest.raises(TextError):
        texts.render("en", "patient/got_it", PLAIN)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_was_written(name: str) -> None:
    shown = TEXTS.render("en", "patient/hello", PLAIN | {"first_name": name})
    assert f"Are you {name}?" in shown.text
    assert "<" not in shown.html


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf", "Zl", "Zp", "Zs"]), min_size=1))
def test_any_name_is_shown_as_it_was_written(name: str) -> None:
    shown = TEXTS.render("en", "patient/hello", PLAIN | {"first_name": name})
    assert f"Are you {name}?" in shown.text


def test_a_name_cannot_turn_the_words_after_it() -> None:
    shown = TEXTS.render("en", "patient/hello", PLAIN | {"first_name": "Ana\u202e\u2066\u202d"})
    assert shown.text.endswith("Are you Ana?")


def test_a_name_too_long_for_telegram_is_refused_without_quoting_it() -> None:
    with pytest.raises(TextError, match="more than 4096") as refused:
        TEXTS.render("en", "patient/hello", PLAIN | {"first_name": "Q" * 4000})
    assert "QQ" not in str(refused.value)


def test_exactly_what_telegram_takes_is_rendered(overlay: Overlay) -> None:
    texts = Texts(overlay({"en/patient/got_it.html.j2": "<b>{{ first_name }}</b>"}))
    assert len(texts.render("en", "patient/got_it", {"first_name": "😀" * 4096}).text) == 4096
    with pytest.raises(TextError, match="4097"):
        texts.render("en", "patient/got_it", {"first_name": "😀" * 4097})


def test_more_bytes_than_telegram_reads_are_refused(overlay: Overlay) -> None:
    source = "{% for each in known %}<b>{{ each }}</b>{% endfor %}"
    texts = Texts(overlay({"en/patient/got_it.html.j2": source}))
    with pytest.raises(TextError, match="bytes"):
        texts.render("en", "patient/got_it", {"known": ["😀"] * 4096})


SHOWN_AS: list[tuple[str, Mapping[str, object], str]] = [
    ("{{ first_name }}", {}, "is undefined"),
    ("{{ first_name }}", {"first_name": None}, "text or a whole number"),
    ("{{ first_name }}", {"first_name": True}, "text or a whole number"),
    ("{{ first_name }}", {"first_name": 1.5}, "text or a whole number"),
    ("{{ first_name }}", {"first_name": ["a"]}, "text or a whole number"),
    ("{{ first_name }}", {"first_name": "  "}, "is empty"),
    ("{# nothing #}", {}, "is empty"),
    ("<b>{{ first_name }}", {"first_name": "Ana"}, "never closed"),
    ("a<br>b", {}, "not known"),
    ("{{ first_name|plural(one='x') }}", {"first_name": 3}, "KeyError"),
    ("{{ first_name|plural(other='x') }}", {"first_name": ""}, "Error"),
    ("{{ first_name|listed }}", {"first_name": 3}, "Error"),
    ("{{ first_name|upper_first }}", {"first_name": 3}, "Error"),
]


@pytest.mark.parametrize(("source", "values", "reason"), SHOWN_AS)
def test_a_text_that_cannot_be_shown_is_refused(
    overlay: Overlay, source: str, values: Mapping[str, object], reason: str
) -> None:
    texts = Texts(overlay({"en/patient/got_it.html.j2": source}))
    with pytest.raises(TextError, match=reason):
        texts.render("en", "patient/got_it", values)


def test_blank_lines_are_tidied(overlay: Overlay) -> None:
    texts = Texts(overlay({"en/patient/got_it.html.j2": "\n\n a  \n\n\n\nb\n\n"}))
    assert texts.render("en", "patient/got_it", {}).text == "a\n\nb"


def test_an_included_text_keeps_its_own_lines() -> None:
    shown = TEXTS.render("en", "patient/something_changed", PLAIN).text
    assert shown.split("\n")[-1].startswith("Do not stop a medicine")


def test_the_emergency_number_says_so_when_the_patient_is_abroad() -> None:
    for name in ("patient/urgent", "patient/emergency_numbers", "steps/warning-card"):
        here = TEXTS.render("en", name, PLAIN).text
        abroad = TEXTS.render("en", name, PLAIN | {"other_zone": True}).text
        assert "112 now" in here
        assert "112 (or your local emergency number) now" in abroad


def test_a_version_changes_with_the_wording_and_with_what_it_includes(overlay: Overlay) -> None:
    source = SHIPPED.sources["en/patient/got_it"]
    expected = hashlib.sha256(source.encode()).hexdigest()[:12]
    assert TEXTS.version("en", "patient/got_it") == expected
    own = Texts(overlay({"en/shared/hours.html.j2": "Phone {{ clinic_phone }}.\n"}))
    assert own.version("en", "patient/got_it") == expected
    assert own.version("en", "patient/text_passed") != TEXTS.version("en", "patient/text_passed")


def test_only_texts_that_are_no_danger_fall_back_to_english(overlay: Overlay) -> None:
    german = {
        f"de/{name.removeprefix('en/')}.html.j2": source
        for name, source in SHIPPED.sources.items()
        if name.startswith(("en/steps/", "en/locked/", "en/shared/", "en/patient/expected/"))
    }
    labels = (MESSAGES / "en" / "labels.toml").read_text(encoding="utf-8")
    both = overlay(german | {"de/labels.toml": labels, "en/steps/extra.html.j2": "Only English."})
    texts = Texts(both)
    assert both.languages == ("en", "de")
    assert texts.language_of("de", "steps/confirm") == "de"
    assert texts.language_of("de", "patient/hello") == "en"
    assert texts.render("de", "patient/got_it", PLAIN).text.startswith("Thank you")
    with pytest.raises(TextError, match="missing in de"):
        texts.render("de", "steps/extra", PLAIN)
    assert any(found.key == "patient/hello" for found in lint.check(both))


def test_a_text_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(TextError, match="missing"):
        TEXTS.render("en", "patient/nothing", PLAIN)
