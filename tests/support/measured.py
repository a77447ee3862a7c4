"""Programs run to their end, with the largest resident set that one of their processes had."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from running import PATH

WAIT = """
import json, os, sys
pid = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(json.dumps([os.waitstatus_to_exitcode(status), usage.ru_maxrss]))
"""
"""A small process that starts the program: Linux counts what a process held before it became the program."""


@dataclass(frozen=True)
class Measured:
    """A program's end: its exit code, the last line that it said, and its peak of memory in megabytes."""

    returncode: int
    last: str
    peak_mb: int


def run_measured(folder: Path, program: str, *arguments: object) -> Measured:
    """Run a program of scripts/; the peak is that of its largest process, those that it waited for too."""
    said = folder / "stderr.txt"
    with said.open("wb") as stderr:
        command = [sys.executable, "-c", WAIT, program, *map(str, arguments)]
        environment = {**os.environ, "PATH": PATH}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, check=True)
    returncode, peak_kb = json.loads(done.stdout.splitlines()[-1])
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return Measured(returncode, (lines or [""])[-1], peak_kb // 1024)
