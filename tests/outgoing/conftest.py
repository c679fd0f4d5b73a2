"""A clinic's own folder, laid over the shipped messages."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from bot.outgoing import catalogue

MESSAGES = Path(__file__).parents[2] / "messages"

Overlay = Callable[[Mapping[str, str]], catalogue.Catalogue]


@pytest.fixture
def overlay(tmp_path: Path) -> Overlay:
    """Lays files, path to content, over the shipped messages and loads the result."""

    def lay(files: Mapping[str, str]) -> catalogue.Catalogue:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        return catalogue.load([MESSAGES, tmp_path])

    return lay
