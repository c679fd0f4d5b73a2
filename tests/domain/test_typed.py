"""Typed texts are compared word by word, whatever their case, punctuation or apostrophes."""

import pytest

from bot.domain import typed


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("STOP!!!", "stop"),
        ("  Please,\nstop. ", "please stop"),
        ("I can\u2019t see", "i can't see"),
        ("I can`t see", "i can't see"),
        ("make-up - today?", "make-up today"),
        ("'stop'", "stop"),
        ("stop \U0001f6d1", "stop"),
        ("¿?!", ""),
        ("Été À LA MER", "été à la mer"),
    ],
)
def test_a_text_is_simplified_to_its_words(text: str, wanted: str) -> None:
    assert typed.simplified(text) == wanted


def test_a_phrase_is_held_as_whole_words_only() -> None:
    assert typed.holds("please stop all now", ["stop all"])
    assert not typed.holds("unstoppable", ["stop"])
    assert not typed.holds("stop it all", ["stop all"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("can i go to the sauna", ""),
        ("can i go to the sauna my face is hot", "face is hot"),
        ("sauna sauna", ""),
        ("saunas", "saunas"),
    ],
)
def test_what_the_phrases_do_not_cover_is_left_over(text: str, wanted: str) -> None:
    phrases = ["can i", "can", "go", "to the", "the", "sauna", "my"]
    assert typed.left_over(text, phrases) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("  Ana\n\tMaria  ", "Ana Maria"),
        ("Ana \u202ereal\u200b", "Ana real"),
        ("Ana \u2764\ufe0f", "Ana \u2764"),
        ("\u3164\u2800\u115f \uffa0", ""),
        ("Jos\u00e9 \u0410\u043d\u043d\u0430", "Jos\u00e9 \u0410\u043d\u043d\u0430"),
    ],
)
def test_a_name_is_one_line_of_what_can_be_seen(text: str, wanted: str) -> None:
    assert typed.one_line(text) == wanted
