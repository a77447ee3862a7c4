"""Programs run as jobs run them: by name, on PATH, in a process of their own."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from conftest import ROOT

PATH = os.pathsep.join([str(ROOT / "scripts"), str(Path(sys.executable).parent), os.environ["PATH"]])


def python_environment() -> dict[str, str]:
    """The environment of a Python program that imports prep or the tests' support from anywhere."""
    folders = (ROOT / "scripts", ROOT / "tests", ROOT / "tests/support")
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}


@dataclass(frozen=True)
class Done:
    """A program's end: its exit code, and what it said."""

    returncode: int
    stdout: str
    stderr: str

    @property
    def last(self) -> str:
        """The last line of stderr, which is the one for the user."""
        return (self.stderr.strip().splitlines() or [""])[-1]


def run(program: str, *arguments: object, **environment: str) -> Done:
    """Run a program of scripts/ to its end."""
    done = subprocess.run(
        [program, *map(str, arguments)],
        env={**os.environ, "PATH": PATH, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)
