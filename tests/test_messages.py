"""Every step, button, limit and text of the shipped messages: there, in order, and renderable.

What the code asks for is read from its source, so that no text is missing and none is left over.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.domain.protocol import Kind
from bot.domain.triage import Group
from bot.outgoing import lint, vocabulary
from bot.outgoing.catalogue import load, templates_of
from bot.outgoing.texts import INCLUDED, Rendered, TextError, Texts
from bot.services import preview

ROOT = Path(__file__).parents[1]
CATALOGUE = load([ROOT / "messages"])
TEXTS = Texts(CATALOGUE)
TEMPLATES = sorted(
    key for key in CATALOGUE.sources if not key.partition("/")[2].startswith(INCLUDED)
)
STEPS = [
    (protocol, step)
    for protocol in CATALOGUE.every_protocol
    for step in protocol.steps
    if protocol.variant is None or step.variants
]
CODE = {
    path: ast.parse(path.read_text(encoding="utf-8"))
    for room in ("services", "handlers", "incoming")
    for path in sorted((ROOT / "bot" / room).rglob("*.py"))
}
NAME = re.compile(r"(?:patient|practitioner|alerts|errors|steps)/[a-z0-9_/-]*[a-z0-9]")
# Who adds the patient's name to the values it is given.
ADDS_PATIENT = ("tell_practitioner", "_tell_clinic", "tell_clinic")
GIVES_VALUES = ("screen", "own_screen", "tell", "tell_patient", *ADDS_PATIENT)
# After the template these take the time; the values come by name.
QUEUES = ("to_patient", "to_practitioner")
HOSTILE = ["<b>Ana", "a & b", "\u202eanA\u200f", "😀" * 64, "&lt;", "\x00\x07", "a\n\n\nb", "%s{}"]


def test_the_lint_finds_nothing() -> None:
    assert lint.check(CATALOGUE) == []


@pytest.mark.parametrize("key", TEMPLATES)
def test_a_text_renders_with_its_samples(key: str) -> None:
    language, _, name = key.partition("/")
    rendered = TEXTS.render(language, name, lint.samples(CATALOGUE, language, name))
    assert 0 < len(rendered.text) <= 4096
    assert "None" not in rendered.text
    assert "{" not in rendered.text


@pytest.mark.parametrize("key", TEMPLATES)
def test_a_text_survives_hostile_values(key: str) -> None:
    language, _, name = key.partition("/")
    for value in HOSTILE:
        values = {
            known: value if isinstance(each.plain, str) else each.plain
            for known, each in vocabulary.VARIABLES.items()
        }
        assert len(TEXTS.render(language, name, values).text) <= 4096


@pytest.mark.parametrize("key", TEMPLATES)
def test_a_text_with_endless_values_fits_or_is_refused(key: str) -> None:
    language, _, name = key.partition("/")
    values = {
        known: "Q" * 4000 if isinstance(each.plain, str) else each.plain
        for known, each in vocabulary.VARIABLES.items()
    }
    shown: Rendered | None = None
    reason = ""
    try:
        shown = TEXTS.render(language, name, values)
    except TextError as refused:
        reason = str(refused)
    assert "QQ" not in reason
    assert len(shown.text) <= 4096 if shown else "more than 4096" in reason


@pytest.mark.parametrize(("protocol", "step"), STEPS, ids=lambda each: getattr(each, "id", "of"))
def test_a_step_has_its_words_and_buttons(protocol: object, step: object) -> None:
    (found,) = [each for each in STEPS if each[1] is step]
    planned = found[1]
    text = TEXTS.render(
        "en", planned.template, lint.samples(CATALOGUE, "en", planned.template)
    ).text
    buttons = [CATALOGUE.label("en", "buttons", each) for each in planned.buttons]
    assert protocol is found[0]
    assert text.startswith("Lumen: ")
    assert len(text) <= (900 if Kind.CARD in planned.kinds else 350)
    assert all(len(each) <= 26 for each in buttons)
    assert len(set(buttons)) == len(buttons) <= 3


def test_the_face_card_shows_all_its_limits_and_the_medicine_line() -> None:
    name = "steps/mesotherapy-face/card"
    text = TEXTS.render("en", name, lint.samples(CATALOGUE, "en", name)).text
    limits = CATALOGUE.protocols["mesotherapy-face"].limits
    assert len(limits) == 12
    assert all(f"- no {CATALOGUE.label('en', 'limits', each.id)}" in text for each in limits)
    assert "Ask us which pain relief is right for you." in text
    assert "Do not stop a medicine your doctor gave you." in text
    assert len(text) <= 900


def test_a_card_joined_late_shows_only_what_is_still_on() -> None:
    name = "steps/mesotherapy-face/card"
    values = lint.samples(CATALOGUE, "en", name) | {
        "limits": [{"ends": "Tue 18 March, 10:00", "items": ["pool or sea"], "kept": False}],
        "late": True,
        "sunscreen_from": None,
    }
    text = TEXTS.render("en", name, values).text
    assert "These limits are still on." in text
    assert "Until Tue 18 March, 10:00:\n- no pool or sea\n" in text
    assert "alcohol" not in text
    assert "From" not in text


@pytest.mark.parametrize(
    ("step", "ended", "still"),
    [("d3", "- gym or hard exercise", "- pool or sea"), ("d7", "- pool or sea", "- strong direct")],
)
def test_a_lift_says_what_ends_and_what_still_waits(step: str, ended: str, still: str) -> None:
    name = f"steps/mesotherapy-face/{step}"
    text = TEXTS.render("en", name, lint.samples(CATALOGUE, "en", name)).text
    before, after = text.split("still no:")
    assert ended in before
    assert still in after
    assert still not in before


def test_no_word_asks_about_two_limits_of_one_treatment() -> None:
    """But for a bath, which is soaking on the first day and heat for two more: both are told."""
    words = CATALOGUE.limit_words("en")
    for protocol in CATALOGUE.every_protocol:
        asked = [word for limit in protocol.limits for word in words[limit.id]]
        twice = {word for word in asked if asked.count(word) > 1}
        assert twice <= {"bath", "bathtub", "bathe", "bathing", "waxing"}, protocol.full_name


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("stop", "stop stopall unsubscribe cancel end quit revoke optout"),
        ("emergency", "breathe throat blind chest faint pus"),
        ("emergency", "turned_white turned_grey turned_black cannot_see"),
    ],
)
def test_the_words_that_must_be_known_are_known(name: str, wanted: str) -> None:
    known = {*CATALOGUE.words("en", name), *CATALOGUE.words("en", "stop_alone")}
    assert {each.replace("_", " ") for each in wanted.split()} <= known


def test_a_month_and_an_hour_are_counted_in_words() -> None:
    plain = lint.samples(CATALOGUE, "en", "steps/maint")
    shown = [TEXTS.render("en", "steps/maint", plain | {"n_months": n}).text for n in (1, 6)]
    assert "it is 1 month since" in shown[0]
    assert "it is 6 months since" in shown[1]
    asked = {"what": "gym", "ends": "Fri 14 March, 18:00", "kept": False}
    hours = [
        TEXTS.render(
            "en",
            "patient/limit_until",
            plain | {"on": [asked | {"days_left": days, "hours_left": left}]},
        ).text
        for days, left in ((0, 1), (0, 30), (2, 1), (6, 20))
    ]
    assert ["is 1 hour from" in hours[0], "is 30 hours from" in hours[1]] == [True, True]
    assert ["2 days and 1 hour from" in hours[2], "6 days and 20 hours" in hours[3]] == [True, True]


def test_the_step_that_tells_when_hours_end_says_so() -> None:
    for protocol in CATALOGUE.protocols.values():
        for limit in protocol.limits:
            step = protocol.told_by(limit.id)
            if limit.until.elapsed is not None:
                assert step is not None
                assert "24-hour limits end on {{ t24 }}" in CATALOGUE.sources[f"en/{step.template}"]


def calls(*names: str) -> Iterator[ast.Call]:
    """Every call in the code of a function or method with one of these names."""
    for tree in CODE.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.attr if isinstance(called, ast.Attribute) else ""
                if (called.id if isinstance(called, ast.Name) else name) in names:
                    yield node


def literals(node: ast.AST | None) -> list[str]:
    """The texts that an expression can be: itself, or either side of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return [*literals(node.body), *literals(node.orelse)]
    return []


def every_literal() -> set[str]:
    """Every text that stands in the code."""
    return {
        node.value
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def patterns() -> list[re.Pattern[str]]:
    """What the code fills in to get a template's name, as regular expressions."""
    found = []
    for tree in CODE.values():
        for node in ast.walk(tree):
            if not isinstance(node, ast.JoinedStr):
                continue
            parts = [
                re.escape(str(part.value)) if isinstance(part, ast.Constant) else "[a-z0-9_-]+"
                for part in node.values
            ]
            if re.match(r"(patient|practitioner|alerts)/", parts[0]):
                found.append(re.compile("".join(parts)))
    return found


def refusals() -> set[str]:
    """The templates of everything that cannot be done."""
    direct = [each for call in calls("CareError") for each in literals(call.args[0])]
    own = [
        each
        for call in calls("__init__")
        if isinstance(call.func, ast.Attribute) and call.args
        for each in literals(call.args[0])
    ]
    return {f"errors/{each}" for each in (*direct, *own) if re.fullmatch("[a-z_]+", each)}


def templates_in_code() -> set[str]:
    """The names of templates that stand in the code in full."""
    parts = {
        id(part)
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    return refusals() | {
        node.value
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in parts
        and NAME.fullmatch(node.value)
    }


def test_every_text_that_the_code_names_is_there() -> None:
    known = {key.partition("/")[2] for key in CATALOGUE.sources}
    assert sorted(templates_in_code() - known) == []
    assert [each.pattern for each in patterns() if not any(map(each.fullmatch, known))] == []


def test_every_text_is_named_by_the_code_or_a_protocol() -> None:
    named = templates_in_code()
    for protocol in CATALOGUE.every_protocol:
        named |= set(templates_of(protocol))
    filled_in = patterns()
    left_over = [
        key
        for key in TEMPLATES
        if (name := key.partition("/")[2]) not in named
        and not any(each.fullmatch(name) for each in filled_in)
    ]
    assert left_over == []


def values_given(call: ast.Call) -> Iterator[tuple[str, set[str]]]:
    """Each template of a call with the values that it is given, where they stand in the call."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    prefix = "errors/" if name == "CareError" else ""
    place = next(
        (
            at
            for at, arg in enumerate(call.args)
            if any(NAME.fullmatch(prefix + each) for each in literals(arg))
        ),
        None,
    )
    if place is None:
        return
    given = next((each.value for each in call.keywords if each.arg == "values"), None)
    if given is None and len(call.args) > place + 1 and name not in QUEUES:
        given = call.args[place + 1]
    if given is None or (isinstance(given, ast.Constant) and given.value is None):
        given = ast.Dict([], [])
    if not isinstance(given, ast.Dict) or None in given.keys:
        return
    values = {each for key in given.keys for each in literals(key)}
    if name in ADDS_PATIENT:
        values.add("patient")
    for template in literals(call.args[place]):
        yield prefix + template, values


def test_every_text_is_given_the_values_that_it_is_listed_with() -> None:
    seen = 0
    for call in calls("CareError", *GIVES_VALUES, *QUEUES):
        for template, values in values_given(call):
            text = vocabulary.text_of(template)
            assert text is not None, template
            assert values - vocabulary.PERSON == set(text.extra), template
            seen += 1
    assert seen > 50


def keys_in(room: str, function: str) -> set[str]:
    """The keys of every mapping that stands in a function of the services."""
    return {
        each
        for node in ast.walk(CODE[ROOT / "bot" / "services" / room])
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function
        for mapping in ast.walk(node)
        if isinstance(mapping, ast.Dict)
        for key in mapping.keys
        for each in literals(key)
    }


def test_the_values_of_every_text_are_those_that_the_code_gives() -> None:
    assert keys_in("words.py", "clinic_values") == vocabulary.CLINIC
    assert keys_in("words.py", "patient_values") == vocabulary.PERSON
    assert keys_in("words.py", "patient_like_values") == vocabulary.PERSON
    steps = keys_in("words.py", "step_values") | {"maybe_repeat"}
    assert steps == set(vocabulary.STEP.extra)
    assert keys_in("preview.py", "sample_values") == set(vocabulary.STEP.extra)
    assert set(preview.SAMPLE_CLINIC) == vocabulary.CLINIC | vocabulary.PERSON


def test_every_button_of_the_code_has_its_label() -> None:
    known = set(CATALOGUE.keys("en", "buttons"))
    asked = {
        each
        for call in calls("Button")
        for keyword in call.keywords
        if keyword.arg == "label"
        for each in literals(keyword.value)
    }
    asked |= {each for call in calls("button") for each in literals(call.args[0])}
    assert sorted(asked - known) == []
    assert len(asked) > 30


def test_every_label_of_a_button_is_used() -> None:
    used = every_literal() | {key for _, step in STEPS for key in step.buttons} | set(Group)
    assert sorted(set(CATALOGUE.keys("en", "buttons")) - used) == []


def test_every_report_and_toast_of_the_code_has_its_label() -> None:
    reports = set(vocabulary.LABELS["reports"])
    assert reports == set(CATALOGUE.keys("en", "reports"))
    assert sorted(reports - every_literal()) == []
    toasts = {
        each
        for tree in CODE.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Attribute)
        and node.targets[0].attr == "toast"
        for each in literals(node.value)
    }
    assert toasts
    assert toasts <= set(CATALOGUE.keys("en", "toasts"))


@pytest.mark.parametrize(
    ("table", "section"),
    [
        ("PATIENT_COMMANDS", "patient_commands"),
        ("PRACTITIONER_COMMANDS", "practitioner_commands"),
    ],
)
def test_every_command_has_its_description(table: str, section: str) -> None:
    (found,) = [
        node.value
        for node in ast.walk(CODE[ROOT / "bot" / "handlers" / "__init__.py"])
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == table
    ]
    assert isinstance(found, ast.Dict)
    named = [each for key in found.keys for each in literals(key)]
    assert sorted(named) == sorted(CATALOGUE.keys("en", section))


def test_every_step_has_a_title_in_the_list_of_what_was_sent() -> None:
    titles = set(CATALOGUE.keys("en", "titles"))
    for _, step in STEPS:
        for template in filter(None, (step.template, step.warning_template)):
            assert template.rsplit("/", 1)[-1].replace("-", "_") in titles


def test_a_text_that_says_tap_names_a_button() -> None:
    labels = {CATALOGUE.label("en", "buttons", key) for key in CATALOGUE.keys("en", "buttons")}
    for key in TEMPLATES:
        language, _, name = key.partition("/")
        text = TEXTS.render(language, name, lint.samples(CATALOGUE, language, name)).text
        for named in re.findall(r"\b[Tt]ap ([A-Z][a-zA-Z ]*)", text):
            assert any(named.startswith(label) for label in labels), (name, named)


@pytest.mark.parametrize("name", ["practitioner/new_qr", "practitioner/invite_link"])
def test_a_caption_fits_under_its_picture_and_shows_the_link(name: str) -> None:
    link = f"https://t.me/{'b' * 32}?start={'c' * 64}"
    values = lint.samples(CATALOGUE, "en", name) | {
        "patient": "N" * 64,
        "clinic": "C" * 200,
        "link": link,
    }
    text = TEXTS.render("en", name, values).text
    assert link in text
    assert len(text) < 1024


@pytest.mark.parametrize("level", ["tell_clinic", "urgent", "emergency"])
def test_a_report_says_how_urgent_it_is_before_all_else(level: str) -> None:
    values = lint.samples(CATALOGUE, "en", "alerts/report") | {
        "level": level,
        "level_label": CATALOGUE.label("en", "levels", level),
        "sessions": [{"treatment": "mesotherapy, face", "day": 0}],
        "is_test": True,
    }
    text = TEXTS.render("en", "alerts/report", values).text
    first, second, *_ = text.splitlines()
    assert first == f"{values['level_label']} (TEST): Ana"
    assert second == "Mesotherapy, face, day 0."
    number = {"tell_clinic": "+44 20", "urgent": "+44 20", "emergency": "112"}[level]
    assert number in text


def test_a_word_that_stops_alone_does_not_stop_inside_a_sentence() -> None:
    anywhere = CATALOGUE.words("en", "stop")
    for word in ("cancel", "end", "quit", "revoke"):
        assert word in CATALOGUE.words("en", "stop_alone")
        assert word not in anywhere


def test_the_words_of_a_day_are_numbers_of_days() -> None:
    days = {
        word: int(CATALOGUE.label("en", "day_words", word))
        for word in CATALOGUE.keys("en", "day_words")
    }
    assert days == {"today": 0, "tomorrow": 1, "yesterday": -1}
