#!/usr/bin/env python
"""Show the batches that servers are asked about, live, from what their jobs write; Ctrl-C ends it."""

import contextlib
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tabulate import tabulate

from prep.runtime import program
from prep.storage.atomic import read_json

EVERY = 2.0  # seconds between two looks; a job writes every five
SILENT = 120.0  # seconds after which a job that says it runs may not: it was killed, or its machine is gone
CLEAR = "\x1b[H\x1b[J"


def read(folder: Path) -> dict[str, dict[str, Any]]:
    """What each job of `folder` (`<rule>/<batch>.json`) last said; what cannot be read is passed over."""
    said = {}
    for path in sorted(folder.glob("*/*.json")):
        with contextlib.suppress(ValueError, FileNotFoundError):
            said[str(path.relative_to(folder).with_suffix(""))] = read_json(path)
    return said


def line(job: str, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    """A running job's line of the table."""
    silent = now - datetime.fromisoformat(said["updated"])
    left = said["eta_seconds"]
    return {
        "job": job,
        "server": said["server"],
        "answered": f"{said['from_journal'] + said['answered']:,} of {said['total']:,}",
        "failed": ", ".join(f"{count} {name}" for name, count in said["failed"].items()),
        "in flight": said["in_flight"],
        "requests/s": f"{said['requests_per_second']:.2f}",
        "tokens/s": f"{said['completion_tokens_per_second']:,.0f}",
        "to go": "" if left is None else str(timedelta(seconds=left)),
        "": f"silent for {timedelta(seconds=int(silent.total_seconds()))}" if _lost(silent) else "",
    }


def table(said: dict[str, dict[str, Any]], now: datetime) -> str:
    """The jobs that run, and how many do not."""
    states = Counter(each["state"] for each in said.values())
    running = [line(job, each, now) for job, each in said.items() if each["state"] == "running"]
    shown = (
        tabulate(running, headers="keys", disable_numparse=True) if running else "No batch is being asked."
    )
    return f"{shown}\n\n{states['done']} done, {states['failed']} failed, {states['running']} running"


def _lost(silent: timedelta) -> bool:
    return silent.total_seconds() > SILENT


def main() -> None:
    flags = program.parser(__doc__)
    flags.add_argument("--stats", type=Path, required=True, help="folder of the jobs' files: work/stats")
    folder = flags.parse_args().stats
    if not folder.is_dir():
        raise program.Failure(f"{folder}: no such folder; no batch was asked about there yet")
    live = sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            print(f"{CLEAR if live else ''}{table(read(folder), datetime.now(UTC))}", flush=True)
            if not live:
                break
            time.sleep(EVERY)


if __name__ == "__main__":
    program.run(main)
