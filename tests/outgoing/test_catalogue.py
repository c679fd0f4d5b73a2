"""Reading ``messages/``: what is laid over what, and what is refused with file and key."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.outgoing import catalogue

from .conftest import MESSAGES, Overlay

LABELS = (MESSAGES / "en" / "labels.toml").read_text(encoding="utf-8")

WRONG: list[tuple[dict[str, str], str]] = [
    ({"en/labels.toml": "[buttons\n"}, "labels.toml: syntax"),
    ({"en/labels.toml": '[buttons]\ngot_it = ""\n'}, "buttons.got_it: no such label"),
    ({"en/labels.toml": "[limits.gym]\nwords = 3\n"}, "limits.gym.words: needs a list"),
    ({"en/labels.toml": '[words]\nstop = ["Stop"]\n'}, "words.stop: needs a list"),
    ({"en/steps/Confirm.html.j2": "x"}, "name: use small letters"),
    ({"en/steps/confirm.html": "x"}, "neither a protocol"),
    ({"fr/steps/confirm.html.j2": "x"}, "its language has no labels.toml"),
    ({"fr/labels.toml": LABELS}, "fr/steps/dermal-filler/card: this text is missing"),
    ({"protocols/mesotherapy-face.toml": "version = 1\n"}, "mesotherapy-face.toml"),
]


def test_the_shipped_messages_load() -> None:
    shipped = catalogue.load([MESSAGES])
    assert shipped.languages == ("en",)
    assert "mesotherapy-face" in shipped.protocols
    assert shipped.protocol_data["mesotherapy-face"]["version"] == 2
    assert shipped.overlaid == frozenset()


def test_a_clinics_own_text_replaces_one_file(overlay: Overlay) -> None:
    own = overlay({"en/patient/got_it.html.j2": "Noted.\n"})
    assert own.sources["en/patient/got_it"] == "Noted.\n"
    assert own.overlaid == {"en/patient/got_it"}
    assert own.sources["en/patient/hello"] == catalogue.load([MESSAGES]).sources["en/patient/hello"]


def test_a_clinics_own_labels_change_one_key(overlay: Overlay) -> None:
    own = overlay({"en/labels.toml": '[buttons]\ngot_it = "Seen"\n[limits.gym]\nname = "sport"\n'})
    assert own.label("en", "buttons", "got_it") == "Seen"
    assert own.label("en", "buttons", "ok") == "OK"
    assert own.label("en", "limits", "gym") == "sport"
    assert "running" in own.limit_words("en")["gym"]


def test_a_clinic_can_add_an_emergency_word_but_take_none_away(overlay: Overlay) -> None:
    own = overlay({"en/labels.toml": '[words]\nemergency = ["seizure"]\n'})
    shipped = catalogue.load([MESSAGES]).words("en", "emergency")
    assert own.words("en", "emergency") == (*shipped, "seizure")


@pytest.mark.parametrize(("files", "reason"), WRONG)
def test_what_is_wrong_is_named(overlay: Overlay, files: Mapping[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        overlay(files)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "en").mkdir()
    (tmp_path / "en" / "labels.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(catalogue.MessagesError, match="not UTF-8"):
        catalogue.load([MESSAGES, tmp_path])


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(catalogue.MessagesError, match="not there"):
        catalogue.load([tmp_path / "nowhere"])


def test_a_missing_label_is_an_error_and_not_a_blank() -> None:
    shipped = catalogue.load([MESSAGES])
    for section, key in (("buttons", "nothing"), ("nothing", "ok"), ("treatments", "x")):
        with pytest.raises(catalogue.MessagesError, match="no such"):
            shipped.label("en", section, key)


def test_a_treatment_has_a_neutral_name_too() -> None:
    shipped = catalogue.load([MESSAGES])
    assert shipped.label("en", "treatments", "mesotherapy-face") == "mesotherapy, face"
    assert "face" not in shipped.label("en", "treatments", "mesotherapy-face", "neutral")
