"""Programs run to their end, with the largest resident set that one of their processes had."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from running import PATH


@dataclass(frozen=True)
class Measured:
    """A program's end: its exit code, the last line that it said, and its peak in megabytes (VmHWM)."""

    returncode: int
    last: str
    peak_mb: int


def run_measured(folder: Path, program: str, *arguments: object) -> Measured:
    """Run a program of scripts/; the peak is that of its largest process, those that it waited for too."""
    said = folder / "stderr.txt"
    with said.open("wb") as stderr:
        command = [program, *map(str, arguments)]
        child = subprocess.Popen(command, env={**os.environ, "PATH": PATH}, stderr=stderr)
        _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Measured(child.returncode, (lines or [""])[-1], usage.ru_maxrss // 1024)
