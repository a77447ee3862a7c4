"""The programs of `make bench` start: they are run by hand, and rarely."""

import subprocess
import sys
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
