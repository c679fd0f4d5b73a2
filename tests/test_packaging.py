"""What is shipped: a wheel that runs without the checkout, and a lock that names every part."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import bot
from bot.storage import schema

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PINNED = re.compile(
    r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))?((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.M
)
# Everything is asked of the wheel's own copy, in one process that knows no checkout.
TRY = """
import bot
from bot import cli, parts
from bot.storage import schema
print(bot.__file__, parts.shipped_messages(), schema.newest(), sep="\\n")
for arguments in (["check"], ["preview", "mesotherapy-face", "--visit", "2026-03-28T18:30",
                  "--timezone", "Europe/Berlin", "--json"], ["--version"]):
    try:
        cli.main(arguments)
    except SystemExit as ended:
        assert ended.code == 0, ended.code
"""


def name_of(requirement: str) -> str:
    """The name of a requirement as the lock spells it."""
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found is not None
    return re.sub(r"[-_.]+", "-", found.group()).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built here without a network."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (file,) = folder.iterdir()
    assert file.name == f"aftercare_bot-{bot.__version__}-py3-none-any.whl"
    return zipfile.ZipFile(file)


def test_the_wheel_holds_the_program_the_messages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    shipped = {name for name in wheel.namelist() if ".dist-info/" not in name}
    there = {
        f"bot/{path.relative_to(ROOT).as_posix()}".replace("bot/bot/", "bot/")
        for folder in ("bot", "messages")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert shipped == there
    about = {name.partition(".dist-info/")[2]: name for name in wheel.namelist()}
    assert "licenses/LICENSE" in about
    assert wheel.read(about["entry_points.txt"]).decode().split("\n")[:2] == [
        "[console_scripts]",
        "aftercare = bot.__main__:main",
    ]


def test_the_wheel_runs_away_from_the_checkout(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    installed, elsewhere = tmp_path / "installed", tmp_path / "elsewhere"
    wheel.extractall(installed)
    elsewhere.mkdir()
    ended = subprocess.run(
        [sys.executable, "-c", TRY],
        cwd=elsewhere,
        env={"PYTHONPATH": str(installed), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    said = ended.stdout.splitlines()
    assert said[0] == str(installed / "bot" / "__init__.py")
    assert said[1] == str(installed / "bot" / "messages")
    assert said[2] == schema.newest()
    assert said[3] == "The messages are sound."
    assert '"due_utc": "2026-03-29T08:00:00Z"' in ended.stdout
    assert said[-1] == f"aftercare {bot.__version__}"
    assert list(elsewhere.iterdir()) == []


def test_the_lock_pins_everything_by_hash_and_names_no_address() -> None:
    rest = "\n".join(line for line in LOCK.splitlines() if not line.startswith("#"))
    pinned = {found[1]: found[2] for found in PINNED.finditer(rest)}
    assert PINNED.sub("", rest).strip() == ""
    assert "://" not in LOCK
    asked = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    assert {name_of(each) for each in asked} <= set(pinned)
    assert len(pinned) > len(asked)
    for each in asked:
        least = re.search(r">=([0-9.]+)", each)
        assert least is not None, each
        assert numbers(pinned[name_of(each)]) >= numbers(least[1]), each


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]
