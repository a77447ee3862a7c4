#!/usr/bin/env python
"""Live progress table of the batches that jobs ask servers about; Ctrl-C ends it."""

import contextlib
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tabulate import tabulate

from prep.inference.progress import format_limits
from prep.runtime import program
from prep.storage.atomic import read_json

REFRESH_S = 2.0  # a job writes every five seconds
SILENT_S = 120.0  # after so long, a running job may have been killed, or its machine is gone
CLEAR = "\x1b[H\x1b[J"


def read_progress(folder: Path) -> dict[str, dict[str, Any]]:
    """Read the last progress of each job in `folder` (`<rule>/<batch>.json`); skip unreadable files."""
    said = {}
    for path in sorted(folder.glob("*/*.json")):
        with contextlib.suppress(ValueError, FileNotFoundError):
            said[str(path.relative_to(folder).with_suffix(""))] = read_json(path)
    return said


def format_job(job: str, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Format the table row of a running job."""
    silent = (now - datetime.fromisoformat(said["updated"])).total_seconds()
    left = said["eta_seconds"]
    return {
        "job": job,
        "server": said["server"],
        "answered": f"{said['from_journal'] + said['answered']:,} of {said['total']:,}",
        "failed": ", ".join(f"{count} {name}" for name, count in said["failed"].items()),
        "in flight": said["in_flight"],
        "at most": format_limits(said.get("limits", {})),
        "requests/s": f"{said['requests_per_second']:.2f}",
        "tokens/s": f"{said['completion_tokens_per_second']:,.0f}",
        "to go": "" if left is None else str(timedelta(seconds=left)),
        "": f"silent for {timedelta(seconds=int(silent))}" if silent > SILENT_S else "",
    }


def format_jobs(said: dict[str, dict[str, Any]], now: datetime) -> str:
    """Format the table of running jobs, and the number of jobs in each state."""
    states = Counter(each["state"] for each in said.values())
    running = [format_job(job, each, now) for job, each in said.items() if each["state"] == "running"]
    shown = (
        tabulate(running, headers="keys", disable_numparse=True) if running else "No batch is being asked."
    )
    return f"{shown}\n\n{states['done']} done, {states['failed']} failed, {states['running']} running"


def count_batches(folder: Path) -> dict[str, int]:
    """Count the batches of each rule, where their questions are cut already."""
    batches = len(list((folder.parent / "batch_questions").glob("*.parquet")))
    return {"answer_text": batches, "judge_text": batches} if batches else {}


def format_hours(said: dict[str, dict[str, Any]], batches: dict[str, int]) -> str:
    """Format a line for each rule: batches done, and hours to come if those to come are like the known ones.

    As many go on side by side as run now.
    """
    lines = []
    for rule in dict.fromkeys(job.split("/")[0] for job in said):
        jobs = {job.split("/")[1]: each for job, each in said.items() if job.startswith(f"{rule}/")}
        left = [each["eta_seconds"] or 0 for each in jobs.values() if each["state"] == "running"]
        known = [each["seconds"] + (each["eta_seconds"] or 0) for each in jobs.values()]
        teachers = len({job.partition(".")[2] for job in jobs})
        to_come = max(0, batches.get(rule, 0) * teachers - len(jobs))
        seconds = (sum(left) + to_come * sum(known) / len(known)) / max(1, len(left))
        if left:
            done = sum(each["state"] == "done" for each in jobs.values())
            lines.append(f"{rule}: {done} of {len(jobs) + to_come} done, {seconds / 3600:,.1f} h to come")
    return "\n".join(lines)


def main() -> None:
    flags = program.parser(__doc__)
    flags.add_argument("--stats", type=Path, required=True, help="folder of the jobs' files: work/stats")
    folder = flags.parse_args().stats
    if not folder.is_dir():
        raise program.UserError(f"{folder}: no such folder; no batch was asked about there yet")
    live = sys.stdout.isatty()
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            said = read_progress(folder)
            shown = [format_jobs(said, datetime.now(UTC)), format_hours(said, count_batches(folder))]
            print(CLEAR * live + "\n".join(filter(None, shown)), flush=True)
            if not live:
                break
            time.sleep(REFRESH_S)


if __name__ == "__main__":
    program.run(main)
