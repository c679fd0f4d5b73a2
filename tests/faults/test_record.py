"""The page of what was proven: each proof has its place, and a run changes nothing but its own."""

import re
from pathlib import Path

import pytest

from tests.faults import record


def test_each_proof_has_its_place_and_keeps_the_other_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = record.PAGE.read_text()
    commands = (record.PAGE.parents[1] / "Makefile").read_text()
    (listed,) = re.findall("^PROOFS := (.+)$", commands, re.MULTILINE)
    places = [*listed.split(), "mutants"]
    assert re.findall("<!-- ([a-z]+) -->", shipped) == places
    assert re.findall("<!-- /([a-z]+) -->", shipped) == places

    monkeypatch.setattr(record, "PAGE", tmp_path / "page.md")
    # Whatever was reached so far: the places alone matter here.
    bare = re.sub(r"^\|.*\n", "", shipped, flags=re.MULTILINE)
    record.PAGE.write_text(bare)
    monkeypatch.setenv("AFTERCARE_RECORD", "0")
    record.proved("kills", {"kills": 1})
    assert record.PAGE.read_text() == bare
    monkeypatch.setenv("AFTERCARE_RECORD", "1")
    for name in places:
        record.proved(name, {"seed": 123456, "cases": 7, "seconds": 1.5}, "")
        record.proved(name, {"seed": 8, "lost": 0}, "postgresql+psycopg://care@/care")
    record.proved("kills", {"seed": 99, "cases": 7}, "")
    page = record.PAGE.read_text()
    assert page.count("| seed | 123456 | 8 |") == len(places) - 1
    assert page.count("| lost | - | 0 |") == len(places)
    assert "| seed | 99 | 8 |\n| cases | 7 | - |\n| lost | - | 0 |\n| date |" in page
    assert re.sub(r"^\|.*\n", "", page, flags=re.MULTILINE) == bare
