"""Each rule of wording catches a text that breaks it, and lets plain words pass."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from bot.outgoing import lint, vocabulary, wording
from bot.outgoing.catalogue import SUFFIX, load

from .conftest import MESSAGES, Overlay

GOT_IT = "en/patient/got_it.html.j2"
CONFIRM = "en/steps/confirm.html.j2"
CARD = "en/steps/mesotherapy-face/card.html.j2"
D1 = "en/steps/mesotherapy-face/d1.html.j2"
D7 = "en/steps/mesotherapy-body/d7.html.j2"
WARNING = "en/steps/warning-card.html.j2"
MENU = "en/practitioner/menu.html.j2"
REFUSED = "en/errors/not_allowed.html.j2"
LABELS = "en/labels.toml"

BAD: list[tuple[str, str, str]] = [
    (GOT_IT, "You don't have to.", "contraction"),
    (GOT_IT, "You can\u2019t swim.", "contraction"),
    (GOT_IT, "You should rest.", "should"),
    (GOT_IT, "This is oedema.", "plain word"),
    (GOT_IT, "Thank you!", "exclamation"),
    (GOT_IT, "Well done.", "praise"),
    (GOT_IT, "Take 400 mg.", "dose"),
    (GOT_IT, "Take 2 tablets.", "dose"),
    (GOT_IT, "Take paracetamol.", "medicine"),
    (GOT_IT, "Take ibuprofen.", "locked/ texts only"),
    (GOT_IT, "Please stop taking your pills.", "stops no medicine"),
    (GOT_IT, "That is normal.", "normal"),
    (GOT_IT, "It is nothing to worry about.", "reassure"),
    (GOT_IT, "You are fine.", "reassure"),
    (GOT_IT, "Do not go to a doctor.", "keeps nobody"),
    (GOT_IT, "We guarantee it.", "result"),
    (GOT_IT, "The effect is permanent.", "result"),
    (GOT_IT, "It is a detox.", "result"),
    (GOT_IT, "This is safe.", "safety"),
    (GOT_IT, "There is no risk.", "safety"),
    (GOT_IT, "You will lose weight.", "result"),
    (GOT_IT, "Thank you \U0001f600", "emoji"),
    (GOT_IT, "Thank you \u2728", "emoji"),
    (GOT_IT, " ".join(["word"] * 21) + ".", "more than 20 words"),
    (GOT_IT, "One is. Two is. Three is. Four is.", "more than 3 sentences"),
    (GOT_IT, "Your practitioner recommends appropriate dermatological evaluation.", "grade"),
    (GOT_IT, "Come on. " * 2 + "\nCome on." * 40, "more than 350"),
    (GOT_IT, "See you on {{ visit_date }}.", "is not given visit_date"),
    (GOT_IT, "Hello {{ nobody }}.", "is not given nobody"),
    (GOT_IT, "<p>Thank you.</p>", "not known"),
    (GOT_IT, "{{ first_name|safe }}", "not allowed"),
    (GOT_IT, "{# #}", "empty"),
    ("en/patient/nobody_asks.html.j2", "Thank you.", "nothing asks for this text"),
    (CONFIRM, "Will you come?", "begins with {{ sender }}"),
    (CONFIRM, "{{ clinic }}: will you come?", "begins with {{ sender }}"),
    (CONFIRM, "{{ sender }}: will you come tomorrow?", "a real date instead of: tomorrow"),
    (CONFIRM, "{{ sender }}: will you come in 2 weeks?", "a real date instead of: in 2 weeks"),
    (CONFIRM, "{{ sender }}: your filler visit.", "characters say filler"),
    (CONFIRM, "{{ sender }}: your face.", "characters say face"),
    (CONFIRM, "{{ sender }}: it is about time for mesotherapy.", "characters say mesotherapy"),
    (CONFIRM, "{{ sender }}: any swelling?", "characters say swelling"),
    (CARD, "{{ sender }}: your care card.", "must include locked/pain_relief"),
    (
        D7,
        "{{ sender }}: your limits.\n{% for each in still %}Until {{ each.ends }}.{% endfor %}",
        "says each.ends and never looks at each.kept",
    ),
    (D1, "{{ sender }}: day 1 check. Is it calm?", "must include locked/check_signs"),
    (WARNING, "{{ sender }}: when to get help.", "must include locked/warning_signs"),
    (WARNING, "{{ sender }}: when to get help.", "wording is locked"),
    ("en/locked/medicines.html.j2", "Ask them.", "wording is locked"),
    ("en/patient/urgent.html.j2", "Please wait.", "wording is locked"),
    (LABELS, '[buttons]\ngot_it = "Yes, I have read and understood it"\n', "longer than 26"),
    (LABELS, '[buttons]\ngot_it = "Got it!"\n', "exclamation"),
    (LABELS, '[buttons]\ngot_it = "Got it \U0001f600"\n', "emoji"),
    (LABELS, '[buttons]\ngot_it = " Got it"\n', "spaces around"),
    (LABELS, '[limits.gym]\nname = "gym (not safe)"\n', "safety"),
    (LABELS, '[forms]\nweeks = "In weeks"\n', "needs exactly {weeks}"),
    (LABELS, '[forms]\nmore = "{count} more {surname}"\n', "needs exactly {count}"),
    (LABELS, '[forms]\ndays = "{days"\n', "expected '}'"),
    (LABELS, '[day_words]\nsoon = "2 days"\n', "number of days from now"),
    (MENU, "You should tap.", "should"),
    (MENU, "Ibuprofen is on the list.", "locked/ texts only"),
    (MENU, "Hello {{ first_name }}.", "is not given first_name"),
    (REFUSED, '{% include "shared/emergency_number" %}', "is not given other_zone"),
]

GOOD = [
    (GOT_IT, "Thank you."),
    (CONFIRM, "{{ sender }}: will you come on {{ visit_date }} at {{ visit_time }}?"),
    (CONFIRM, "{# same-day #}{{ sender }}: will you come today at {{ visit_time }}?"),
    (LABELS, '[buttons]\ngot_it = "Noted"\n'),
    (MENU, "Practitioners may get unabbreviated professional documentation tomorrow."),
]


@pytest.mark.parametrize(("file", "content", "reason"), BAD)
def test_a_bad_text_is_found(overlay: Overlay, file: str, content: str, reason: str) -> None:
    only = None if file == LABELS else file.removesuffix(SUFFIX)
    found = lint.check(overlay({file: content}), only)
    assert [each for each in found if reason in each.reason], found
    assert any(each.file.endswith(file) for each in found), found


@pytest.mark.parametrize(("file", "content"), GOOD)
def test_a_good_text_passes(overlay: Overlay, file: str, content: str) -> None:
    assert lint.check(overlay({file: content})) == []


def test_a_text_that_the_code_asks_for_must_be_there() -> None:
    shipped = load([MESSAGES])
    less = {key: source for key, source in shipped.sources.items() if key != "en/patient/kept"}
    found = lint.check(replace(shipped, sources=less))
    assert [(each.key, each.reason) for each in found] == [("patient/kept", "this text is missing")]


def test_a_label_that_the_code_asks_for_must_be_there() -> None:
    shipped = load([MESSAGES])
    labels = dict(shipped.labels["en"])
    reasons = labels["reasons"]
    assert isinstance(reasons, Mapping)
    labels["reasons"] = {key: label for key, label in reasons.items() if key != "cap"}
    known = {"stop": "stop", "emergency": "blind", "asking": "can i", "beside": "the"}
    labels["words"] = {name: [word] for name, word in known.items()}
    del labels["roles"]
    found = lint.check(replace(shipped, labels={"en": labels}))
    assert {each.key for each in found} == {
        *("reasons.cap", "roles.lead", "roles.practitioner"),
        *("words.stop_alone", "words.thanks"),
    }


def test_a_card_too_long_with_all_its_limits_is_found(overlay: Overlay) -> None:
    card = load([MESSAGES]).sources["en/steps/mesotherapy-face/card"]
    found = lint.check(overlay({CARD: card + "Please keep this card.\n" * 10}))
    assert any("more than 900" in each.reason for each in found)


@pytest.mark.parametrize(
    ("easy", "hard"),
    [
        ("Do you have strong pain?", "Are you experiencing considerable discomfort?"),
        ("Use a mild cleanser.", "Application of moisturising preparations is recommended."),
    ],
)
def test_hard_words_have_a_higher_grade(easy: str, hard: str) -> None:
    assert wording.grade(easy) < wording.HIGHEST_GRADE < wording.grade(hard)


def test_no_words_have_no_grade() -> None:
    assert wording.grade("\n- \n") == 0.0


def test_every_value_of_every_text_has_samples() -> None:
    named: list[Sequence[str]] = [each.extra for each in vocabulary.TEXTS.values()]
    used = set().union(vocabulary.CLINIC, vocabulary.PERSON, vocabulary.STEP.extra, *named)
    assert used == set(vocabulary.VARIABLES)
