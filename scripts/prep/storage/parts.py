"""Temporary files named by their owner: an abandoned one is removed, one that is being written left alone.

The head of a run on a cluster may be killed while its jobs run on, and the next run may start the same jobs
again. Each then writes a part of its own.
"""

import glob
import hashlib
import os
import shutil
import time
from pathlib import Path

from prep.runtime.process_group import identify_machine, identify_process

LONGEST_WRITE_S = 2 * 24 * 3600
"""After so long a part of another machine is abandoned: no job may take longer (workflow_lib/servers.py)."""


def part_prefix(path: Path) -> str:
    """How the names of this process's parts of a file begin: `.NAME.MACHINE-PID-START.`"""
    process = identify_process(os.getpid()) or f"{os.getpid()}:"
    return f".{path.name}.{_machine()}-{process.replace(':', '-')}."


def remove_abandoned(path: Path, suffix: str) -> None:
    """Remove the parts of a file whose process is gone."""
    for part in path.parent.glob(f".{glob.escape(path.name)}.*{suffix}"):
        if _is_abandoned(part):
            if part.is_dir():
                shutil.rmtree(part, ignore_errors=True)
            else:
                part.unlink(missing_ok=True)


def _is_abandoned(part: Path) -> bool:
    machine, _, process = part.name.rsplit(".", 3)[1].partition("-")
    pid, _, start = process.partition("-")
    if not pid.isdigit():
        return True
    if machine == _machine():
        return identify_process(int(pid)) != f"{pid}:{start}"
    try:
        return time.time() - part.stat().st_mtime > LONGEST_WRITE_S
    except FileNotFoundError:
        return False


def _machine() -> str:
    return hashlib.sha256("\n".join(identify_machine()).encode()).hexdigest()[:8]
