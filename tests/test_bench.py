"""The programs of `make bench` start: they are run by hand, and rarely. What they reckon with is right."""

import subprocess
import sys
import tomllib
from functools import partial
from pathlib import Path

import pytest
from conftest import ROOT

from batching_engine import Machine
from running import python_environment
from stage3 import batch_of, measure_fixed

PROGRAMS = [
    path for path in sorted((ROOT / "bench").glob("*.py")) if '__name__ == "__main__"' in path.read_text()
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.name)
def test_each_program_starts(program: Path) -> None:
    done = subprocess.run(
        [sys.executable, program, "--help"],
        env=python_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_each_kind_of_hard_question_has_its_own_name() -> None:
    assert len(tomllib.loads((ROOT / "bench/hard.toml").read_text(encoding="utf-8"))) >= 242


def test_verdicts_wait_for_the_last_answer_of_their_batch() -> None:
    what = Machine(2, 1.0, 0.0, 1000, 100, 1e9, 0.0)  # a step a second, with as many as it takes
    numbers = (0, 1, 1000, 1001)
    lengths = {"thinking": (10, 30, 10, 20), "verdict": (5, 5, 5, 5)}
    answers = [
        {"about": f"Question {number}:", "mode": mode, "prompt": 1, "tokens": tokens}
        for mode, each in lengths.items()
        for number, tokens in zip(numbers, each, strict=True)
    ]
    written = sum(row["tokens"] for row in answers)
    assert measure_fixed(what, answers, 10)[1] == pytest.approx(written / 30)
    assert measure_fixed(what, answers, 10, find_batch=partial(batch_of, 1000))[1] == pytest.approx(
        written / 35
    )
    assert measure_fixed(what, answers, 1, find_batch=partial(batch_of, 1000))[1] < written / 45
