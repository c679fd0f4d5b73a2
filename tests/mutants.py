"""Small faults in the files that matter most, one at a time: do the tests of each file notice?

``make mutants`` draws a sample; ``MUTANTS=2000`` a larger one, ``AFTERCARE_SEED=12345`` the same.
"""

import difflib
import logging
import os
import queue
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray import plugins
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code

from bot.clock import SystemClock
from tests.faults.record import proved

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[1]
SAMPLE = int(os.environ.get("MUTANTS", "200"))
SEED = int(os.environ.get("AFTERCARE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
# A fault that makes a loop endless is noticed by this.
LONGEST_S = 600
# The quickest tests that know the file, the likeliest to notice first.
TESTS = {
    "bot/domain/schedule.py": (
        "tests/domain/test_schedule.py",
        "tests/domain/test_joining_late.py",
        "tests/domain/test_grouping.py",
        "tests/domain/test_catch_up.py",
        "tests/domain/test_plan_properties.py",
    ),
    "bot/domain/rules.py": (
        "tests/domain/test_rules.py",
        "tests/faults/test_sends.py",
        "tests/faults/test_holding.py",
        "tests/stories/test_main_job.py",
        "tests/stories/test_stop_and_resume.py",
        "tests/stories/test_visits.py",
    ),
    "bot/services/dispatch.py": (
        "tests/faults/test_may_leave.py",
        "tests/faults/test_bell.py",
        "tests/faults/test_order.py",
        "tests/faults/test_late.py",
        "tests/stories/test_main_job.py",
        "tests/stories/test_mended_plans.py",
        "tests/stories/test_visits.py",
        "tests/stories/test_filler.py",
    ),
    "bot/incoming/inbox.py": (
        "tests/incoming/test_inbox.py",
        "tests/stories/test_patient_bad_input.py",
        "tests/stories/test_reports.py",
        "tests/stories/test_reach.py",
        "tests/stories/test_restored.py",
    ),
    "bot/outgoing/sender.py": (
        "tests/outgoing/test_sender.py",
        "tests/faults/test_sends.py",
    ),
}
# In a type's `A | B` and at the bare `*` among parameters nothing is computed: such a fault breaks
# the import, or changes nothing.
LEFT_OUT = ("ReplaceBinaryOperator_BitOr", "ReplaceBinaryOperator_Mul")
# What `is` compares here has no order and is equal only to itself: of the comparisons that could
# stand there its opposite alone means something else that somebody could have meant.
COMPARISON = re.compile(r"ReplaceComparisonOperator_(\w+)_(\w+)$")
IDENTITY = {"Is", "IsNot"}
# Frozen or not, with slots or not: it changes nothing that a program does that type checks.
WITHOUT_EFFECT = "@dataclass("


@dataclass(frozen=True)
class Mutant:
    """One fault: which operator, at which of the places that it fits."""

    file: str
    operator: str
    occurrence: int

    def code(self) -> str:
        operator = plugins.get_operator(self.operator)()
        found: str = mutate_code((ROOT / self.file).read_text(), operator, self.occurrence)
        return found

    def line(self) -> str:
        """Where it is and what it makes of the line."""
        before = (ROOT / self.file).read_text().splitlines()
        changed = difflib.unified_diff(before, self.code().splitlines(), n=0, lineterm="")
        lines = [line for line in changed if line[:1] in "-+@" and line[:3] not in ("---", "+++")]
        where = lines[0].split()[1].lstrip("-").partition(",")[0] if lines else "?"
        words = " => ".join(line[1:].strip() for line in lines[1:3])
        return f"{self.file}:{where} {words}"


def all_of(file: str) -> Iterator[Mutant]:
    """Every fault that the operators know for the file."""
    code = (ROOT / file).read_text()
    lines, nodes = code.splitlines(), list(ast_nodes(get_ast(code)))
    for name in plugins.operator_names():
        if any(each in name for each in LEFT_OUT) or _about_identity(name):
            continue
        try:
            operator = plugins.get_operator(name)()
        except TypeError:
            # It wants to be told what to replace by what.
            continue
        places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, (row, _) in enumerate(places):
            if not lines[row - 1].startswith(WITHOUT_EFFECT) or "Decorator" in name:
                yield Mutant(file, name, occurrence)


def _about_identity(operator: str) -> bool:
    found = COMPARISON.search(operator)
    both = set(found.groups()) if found else set()
    return bool(both & IDENTITY) and both != IDENTITY


def killed(mutant: Mutant, copy: Path) -> bool:
    """Whether a test fails with this fault in the copy of the tree."""
    file = copy / mutant.file
    whole = file.read_text()
    file.write_text(mutant.code())
    try:
        return not passes(mutant.file, copy)
    finally:
        file.write_text(whole)


def passes(file: str, copy: Path) -> bool:
    """Whether the tests of a file pass in the copy; one that hangs does not."""
    # A fault of these files shows on either database.
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-k", "not postgresql", *TESTS[file]]
    quiet = subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, cwd=copy, stdout=quiet, stderr=quiet, timeout=LONGEST_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("AFTERCARE_SEED=%d replays this", SEED)
    began_s = SystemClock().monotonic()
    dice = random.Random(SEED)  # noqa: S311 - dice
    sample: list[Mutant] = []
    possible = {file: list(all_of(file)) for file in TESTS}
    for found in possible.values():
        # The same share of each file, so that a short one is looked at too.
        share = min(len(found), -(-SAMPLE // len(TESTS)))
        sample += dice.sample(found, share)
    copies: queue.SimpleQueue[Path] = queue.SimpleQueue()

    def judge(mutant: Mutant) -> bool:
        copy = copies.get()
        try:
            found = killed(mutant, copy)
        finally:
            copies.put(copy)
        log.info("%s  %s", "killed  " if found else "SURVIVED", mutant.line())
        return found

    with ExitStack() as stack:
        workers = os.cpu_count() or 1
        for _ in range(workers):
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "tree"
            left_out = shutil.ignore_patterns(".*", "__pycache__", "docs", "dist")
            shutil.copytree(ROOT, copy, ignore=left_out)
            copies.put(copy)
        if broken := [file for file in TESTS if not passes(file, copy)]:
            sys.exit(f"the tests fail without any fault: {', '.join(broken)}")
        with ThreadPoolExecutor(workers) as pool:
            verdicts = list(pool.map(judge, sample))
    died = Counter(mutant.file for mutant, dead in zip(sample, verdicts, strict=True) if dead)
    tried = Counter(mutant.file for mutant in sample)
    alive = [mutant for mutant, dead in zip(sample, verdicts, strict=True) if not dead]
    figures: dict[str, int | float | str] = {
        "seed": SEED,
        "faults that can be made": sum(map(len, possible.values())),
        "tried": len(sample),
        "noticed": f"{sum(died.values())} ({100 * sum(died.values()) / len(sample):.1f} %)",
        **{file: f"{died[file]} of {tried[file]}" for file in TESTS},
        "minutes": (SystemClock().monotonic() - began_s) / 60,
    }
    for number, mutant in enumerate(alive, 1):
        figures[f"not noticed {number}"] = f"`{mutant.line()}`"
    proved("mutants", figures)


if __name__ == "__main__":
    main()
