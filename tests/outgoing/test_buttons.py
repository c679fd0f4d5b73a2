"""What a button carries, and how keyboards are built from what a message row keeps."""

import pytest
from telegram import InlineKeyboardMarkup

from bot.outgoing import buttons, catalogue
from bot.outgoing.buttons import Button
from bot.services import menus
from bot.services.deps import new_ref
from tests.outgoing.conftest import MESSAGES


@pytest.fixture(scope="module")
def words() -> catalogue.Catalogue:
    return catalogue.load([MESSAGES])


def test_data_comes_back_as_it_was_packed() -> None:
    for action, values in (
        ("wrong", ()),
        ("step", (new_ref(), "yes_i_have_one")),
        ("zone", ("",)),
        ("city", ("17",)),
    ):
        data = buttons.pack(action, *values)
        assert buttons.unpack(data) == (action, values)
        assert len(data.encode()) <= buttons.DATA_BYTES


def test_the_longest_answer_of_any_step_fits(words: catalogue.Catalogue) -> None:
    answers = {
        key for protocol in words.every_protocol for step in protocol.steps for key in step.buttons
    }
    assert answers
    for answer in answers:
        assert len(buttons.pack("step", new_ref(), answer).encode()) <= buttons.DATA_BYTES


def test_data_that_is_too_long_is_refused_when_it_is_made() -> None:
    with pytest.raises(ValueError, match="longer than 64 bytes"):
        buttons.pack("step", "x" * 64)
    with pytest.raises(ValueError, match="longer than 64 bytes"):
        buttons.pack("step", "ü" * 30)


@pytest.mark.parametrize("data", ["", "1", "0:step:a:b", "2:step:a", "step:a", ":", "\x00", "1x:y"])
def test_data_that_is_not_ours_means_nothing(data: str) -> None:
    assert buttons.unpack(data)[0] == ""


def test_a_pattern_matches_its_actions_and_no_others() -> None:
    import re

    pattern = re.compile(buttons.pattern("stop", "new"))
    assert pattern.match(buttons.pack("stop", "pause"))
    assert pattern.match(buttons.pack("new"))
    assert not pattern.match(buttons.pack("newtime"))
    assert not pattern.match(buttons.pack("resume", "stop"))
    assert not pattern.match("2:stop")


def test_a_keyboard_is_built_from_what_the_row_keeps(words: catalogue.Catalogue) -> None:
    rows = buttons.jsonable(
        [
            [Button(label="got_it", data=buttons.pack("step", "abc", "got_it"))],
            [
                Button(text="Ana & Ben", data="1:x"),
                Button(label="copy_link", copies="https://t.me"),
            ],
        ]
    )
    assert rows[0] == [{"label": "got_it", "data": "1:step:abc:got_it"}]
    keyboard = buttons.inline(words, "en", rows)
    assert isinstance(keyboard, InlineKeyboardMarkup)
    shown = [[(b.text, b.callback_data) for b in row] for row in keyboard.inline_keyboard]
    assert shown == [
        [("Got it", "1:step:abc:got_it")],
        [("Ana & Ben", "1:x"), ("Copy the link", None)],
    ]
    copy = keyboard.inline_keyboard[1][1].copy_text
    assert copy is not None
    assert copy.text == "https://t.me"
    assert buttons.labels(words, "en", rows) == ["Got it", "Ana & Ben", "Copy the link"]
    assert buttons.inline(words, "en", []) is None


def test_every_menu_has_its_labels(words: catalogue.Catalogue) -> None:
    for keys in menus.KEYS.values():
        menu = buttons.menu(words, "en", keys)
        assert menu.is_persistent
        assert [len(row) for row in menu.keyboard] == [len(row) for row in keys]
