"""Pictures of every kind go through a real child; what comes back is a verdict and a bare JPEG."""

import asyncio
import io
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

import bot
from bot.pictures import child, judging, wire
from bot.pictures.__main__ import MOST_FILES, MOST_MEMORY, MOST_SECONDS
from bot.pictures.wire import Answer, Task, Verdict
from tests.pictures import made


async def judge(data: bytes) -> Answer:
    return await child.ask(Task.JUDGE, [data])


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        pytest.param(made.sharp(), Verdict.OK, id="sharp"),
        pytest.param(made.saved(made.face(), "PNG"), Verdict.OK, id="a PNG, whatever its name"),
        pytest.param(made.saved(made.face(), "WEBP"), Verdict.OK, id="WebP"),
        pytest.param(made.saved(made.face().convert("L")), Verdict.OK, id="grey"),
        pytest.param(made.saved(made.face().convert("CMYK")), Verdict.OK, id="print colours"),
        pytest.param(made.saved(made.face().convert("P"), "PNG"), Verdict.OK, id="palette"),
        pytest.param(made.saved(made.face().convert("RGBA"), "PNG"), Verdict.OK, id="see-through"),
        pytest.param(made.blurred(), Verdict.BLURRED, id="blurred"),
        pytest.param(made.dark(), Verdict.TOO_DARK, id="dark"),
        pytest.param(made.tiny(), Verdict.TOO_SMALL, id="tiny"),
        pytest.param(made.bomb(), Verdict.TOO_LARGE, id="bomb of 900 million pixels"),
        pytest.param(made.bomb(5_200), Verdict.TOO_LARGE, id="bomb just above the limit"),
        pytest.param(made.page(), Verdict.NOT_A_PICTURE, id="web page"),
        pytest.param(b"", Verdict.NOT_A_PICTURE, id="nothing"),
        pytest.param(made.sharp()[:20_000], Verdict.NOT_A_PICTURE, id="truncated"),
        pytest.param(made.sharp()[:100], Verdict.NOT_A_PICTURE, id="hardly begun"),
        pytest.param(made.saved(made.face(), "GIF"), Verdict.NOT_A_PICTURE, id="GIF"),
        pytest.param(made.saved(made.face(), "TIFF"), Verdict.NOT_A_PICTURE, id="TIFF"),
        pytest.param(b"%!PS-Adobe-3.0 EPSF-3.0\n", Verdict.NOT_A_PICTURE, id="a program"),
        pytest.param(bytes(wire.LONGEST_PICTURE), Verdict.NOT_A_PICTURE, id="20 MB of nothing"),
        pytest.param(bytes(wire.LONGEST_PICTURE + 1), Verdict.TOO_LARGE, id="more than 20 MB"),
    ],
)
async def test_a_verdict_for_everything(data: bytes, verdict: Verdict) -> None:
    answer = await judge(data)
    assert answer.verdict is verdict
    assert bool(answer.jpeg) == (verdict in wire.READABLE)


async def test_a_20_mb_picture_becomes_a_small_one() -> None:
    noise = Image.effect_noise((4_900, 4_900), 90).convert("RGB")
    data = made.saved(noise, quality=92)
    # What follows the end of a picture is no part of it.
    data += bytes(wire.LONGEST_PICTURE - len(data))
    answer = await judge(data)
    assert answer.verdict is Verdict.OK
    assert max(Image.open(io.BytesIO(answer.jpeg)).size) == judging.LONGEST_SIDE


async def test_nothing_but_the_picture_is_left() -> None:
    for data in (made.placed(), made.polyglot()):
        answer = await judge(data)
        assert answer.verdict is Verdict.OK
        for secret in (b"Secret", b"polyglot", b"PK\x03\x04", b"Exif", b"52.5", b"<script", b"ICC"):
            assert secret not in answer.jpeg
        again = Image.open(io.BytesIO(answer.jpeg))
        assert (again.format, again.mode, again.size) == ("JPEG", "RGB", made.SIZE)
        assert not again.getexif()
        assert set(again.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        # Upright, and the same picture.
        apart = ImageStat.Stat(ImageChops.difference(again, made.face())).mean
        assert max(apart) < 4


async def test_pictures_stand_beside_each_other() -> None:
    red, blue = (made.saved(Image.new("RGB", made.SIZE, each)) for each in ("red", "blue"))
    for task, cells in ((Task.PAIRS, [red, blue, blue, b""]), (Task.SHEET, [red, blue])):
        answer = await child.ask(task, cells)
        picture = Image.open(io.BytesIO(answer.jpeg)).convert("RGB")
        lines = len(cells) // 2
        across = picture.height // (2 * lines)
        left = picture.getpixel((picture.width // 4, across))
        right = picture.getpixel((3 * picture.width // 4, across))
        assert isinstance(left, tuple)
        assert isinstance(right, tuple)
        assert left[0] > 200 > 50 > left[2]
        assert right[2] > 200 > 50 > right[0]


async def test_a_full_sheet_fits_into_one_message() -> None:
    several = [made.sharp(each) for each in range(wire.MOST_CELLS)]
    for task in (Task.SHEET, Task.PAIRS):
        answer = await child.ask(task, several)
        wide, high = Image.open(io.BytesIO(answer.jpeg)).size
        assert wide + high <= 10_000
        assert len(answer.jpeg) < 10_000_000


def _child(code: str) -> "subprocess.CompletedProcess[bytes]":
    """Run code in a process that has taken the child's limits upon itself."""
    return subprocess.run(
        [sys.executable, "-c", f"from bot.pictures.__main__ import limit; limit()\n{code}"],
        cwd=Path(bot.__file__).parent.parent,
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_the_limits_end_what_goes_astray(tmp_path: Path) -> None:
    memory = _child(f"bytearray({MOST_MEMORY})")
    assert b"MemoryError" in memory.stderr
    endless = _child("while True: pass")
    assert endless.returncode < 0
    file = _child(f"open({str(tmp_path / 'x')!r}, 'w').write('x' * 10_000)")
    assert file.returncode != 0
    assert not (tmp_path / "x").read_bytes()
    files = _child(f"kept = [open('/dev/null') for _ in range({MOST_FILES})]")
    assert b"Too many open files" in files.stderr
    undone = _child(
        "import resource as r; print(*r.getrlimit(r.RLIMIT_CPU))\n"
        "print(*r.getrlimit(r.RLIMIT_FSIZE), *r.getrlimit(r.RLIMIT_CORE))"
    )
    seconds = str(MOST_SECONDS).encode()
    assert undone.stdout.split() == [seconds, seconds, b"0", b"0", b"0", b"0"]
    # Ours are as they were.
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 0


async def test_a_child_that_does_not_answer_is_ended() -> None:
    before = time.monotonic()
    with pytest.raises(child.ChildFailed):
        await child.ask(Task.JUDGE, [made.sharp()], within_s=0.01)
    assert time.monotonic() - before < 20


async def test_the_child_has_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the child's place writes down what it was given."""
    seen = tmp_path / "seen"
    spy = tmp_path / "python"
    spy.write_text(f"#!/bin/sh\nenv > {seen}\nls /proc/self/fd | wc -l >> {seen}\n")
    spy.chmod(0o700)
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "1000000001:secret")
    monkeypatch.setattr(sys, "executable", str(spy))
    with pytest.raises(child.ChildFailed):
        await child.ask(Task.JUDGE, [made.sharp()])
    assert "secret" not in seen.read_text()
    assert "TELEGRAM" not in seen.read_text()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no json\n",
        b'{"verdict": "healthy"}\n',
        b'{"verdict": "ok"}\n',
        b'{"verdict": "ok"}\n<script>',
        b'{"verdict": "ok", "path": "/etc"}\n\xff\xd8\xff',
        b'{"verdict": "not_a_picture"}\n\xff\xd8\xff',
        b"[]\n",
    ],
)
def test_an_answer_is_a_verdict_and_a_picture_or_none(said: bytes) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        wire.answer(said)


def test_the_thresholds_lie_between_what_was_measured() -> None:
    def measured(data: bytes) -> tuple[int, float]:
        grey = judging.opened(data).convert("L")
        grey.thumbnail((512, 512), Image.Resampling.BOX)
        return judging.brightness(grey), judging.sharpness(grey)

    day, edges = measured(made.sharp())
    assert day > 3 * judging.DARK_BELOW
    assert edges > 10 * judging.BLURRED_BELOW
    assert measured(made.dark())[0] < judging.DARK_BELOW / 2
    assert measured(made.blurred())[1] < judging.BLURRED_BELOW / 3


async def test_children_stand_beside_each_other() -> None:
    answers = await asyncio.gather(judge(made.sharp()), judge(made.dark()), judge(b"x"))
    said = [each.verdict for each in answers]
    assert said == [Verdict.OK, Verdict.TOO_DARK, Verdict.NOT_A_PICTURE]
