"""``aftercare triage``: the level that answers reach, by the table of a protocol or its variant."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import cli

Says = Callable[..., str]


@pytest.fixture
def says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Says:
    """What ``triage`` prints in an empty folder, without a setting, and how it ends."""
    monkeypatch.chdir(tmp_path)
    for name in ("TELEGRAM_BOT_TOKEN", "DATABASE_URL", "DATA_DIR", "MESSAGES_DIR"):
        monkeypatch.delenv(name, raising=False)

    def say(*arguments: str, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.main(["triage", *arguments])
        assert ended.value.code == code
        printed = capsys.readouterr()
        return printed.err if code else printed.out

    return say


@pytest.mark.parametrize(
    ("day", "answers", "plain", "fat"),
    [
        ("7", "swelling", "expected", "expected"),
        ("10", "swelling", "tell_clinic", "expected"),
        ("14", "lump,tender", "tell_clinic", "expected"),
        ("15", "lump", "tell_clinic", "tell_clinic"),
        ("10", "lump,fever_or_ill", "urgent", "urgent"),
        ("10", "swelling,breathing", "emergency", "emergency"),
    ],
)
def test_a_variant_has_days_of_its_own(
    says: Says, day: str, answers: str, plain: str, fat: str
) -> None:
    asked = ("mesotherapy-body", "--day", day, "--answers", answers, "--json")
    assert json.loads(says(*asked))["level"] == plain
    assert json.loads(says(*asked, "--variant", "fat-dissolving"))["level"] == fat


def test_the_text_names_the_variant(says: Says) -> None:
    asked = ("mesotherapy-body", "--variant", "fat-dissolving", "--json", "--answers")
    emergency = json.loads(says(*asked, "chest_pain", "--day", "1"))
    assert "mesotherapy, body, fat-dissolving" in emergency["patient_text"]
    expected = json.loads(says(*asked, "swelling", "--day", "1"))
    assert "common in the first 2 weeks" in expected["patient_text"]


@pytest.mark.parametrize("protocol", ["mesotherapy-face", "mesotherapy-body"])
def test_an_unknown_variant_is_refused(says: Says, protocol: str) -> None:
    refused = says(protocol, "--variant", "oil", "--day", "1", code=2)
    assert "has no variant" in " ".join(refused.replace("│", " ").split())
