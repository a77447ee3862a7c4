"""The programs of `make bench` start: they are run by hand, and rarely."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT

from running import python_environment

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
