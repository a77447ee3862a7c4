"""Reader of the statistics that jobs write while they ask servers (`work/stats/RULE/BATCH.json`)."""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tabulate import tabulate

from prep.inference.progress import format_limits, read_progress

SILENT_S = 120.0  # after so long, a running job may have been killed, or its machine is gone

StatsByJob = dict[str, dict[str, Any]]
"""What each job said last, by its name, `RULE/BATCH`; the keys are those of prep.inference.progress."""


class StatsReader:
    """Reads the files of `folder` (`RULE/BATCH.json`), each again only once it was written anew.

    A call leaves out files that cannot be read, and those that were last written before `since` (seconds
    since the epoch), by earlier runs.
    """

    def __init__(self, folder: Path, since: float = 0.0):
        self._folder, self._since = folder, since
        self._known: dict[Path, tuple[int, dict[str, Any]]] = {}

    def read(self) -> StatsByJob:
        """Return what the jobs said last."""
        said = {}
        for path in sorted(self._folder.glob("*/*.json")):
            with suppress(ValueError, OSError):
                written = path.stat().st_mtime_ns
                if written / 1e9 < self._since:
                    continue
                if self._known.get(path, (0,))[0] != written:
                    self._known[path] = (written, read_progress(path))
                said[str(path.relative_to(self._folder).with_suffix(""))] = self._known[path][1]
        return said


@dataclass
class Asked:
    """What all batches of a rule were asked, and how many requests have an end."""

    total: int = 0
    answered: int = 0
    failed: int = 0
    tokens_per_second: float = 0.0
    running: list[str] = field(default_factory=list)
    """The jobs that ask now."""


def sum_rules(said: StatsByJob) -> dict[str, Asked]:
    """Sum the batches of each rule."""
    rules: dict[str, Asked] = {}
    for job, each in said.items():
        asked = rules.setdefault(job.partition("/")[0], Asked())
        asked.total += each["total"]
        asked.answered += each["from_journal"] + each["answered"]
        asked.failed += sum(each["failed"].values())
        if each["state"] == "running":
            asked.tokens_per_second += each["completion_tokens_per_second"]
            asked.running.append(job)
    return rules


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


def format_jobs(said: StatsByJob, now: datetime) -> str:
    """Format the table of running jobs, and the number of jobs in each state."""
    states = Counter(each["state"] for each in said.values())
    running = [format_job(job, each, now) for job, each in said.items() if each["state"] == "running"]
    shown = (
        tabulate(running, headers="keys", disable_numparse=True) if running else "No batch is being asked."
    )
    return f"{shown}\n\n{states['done']} done, {states['failed']} failed, {states['running']} running"


def count_batches(folder: Path) -> dict[str, int]:
    """Count the batches of each rule of the text path in the folder `work`, once questions are cut."""
    with suppress(OSError):
        batches = sum(name.endswith(".parquet") for name in os.listdir(folder / "batch_questions"))
        return {"answer_text": batches, "judge_text": batches} if batches else {}
    return {}


def count_jobs(folder: Path, said: StatsByJob) -> dict[str, int]:
    """Count the jobs of each rule whose batches are in the folder `work`: one for each of its teachers."""
    batches = count_batches(folder)
    teachers = {rule: {job.rpartition("/")[2].partition(".")[2] for job in said if job.startswith(f"{rule}/")}
                for rule in batches}  # fmt: skip
    return {rule: count * max(1, len(teachers[rule])) for rule, count in batches.items()}


@dataclass(frozen=True)
class Forecast:
    """Batches of a rule that are done, all of them, and the seconds to come."""

    done: int
    total: int
    seconds: float


def forecast_rules(said: StatsByJob, all_jobs: Mapping[str, int]) -> dict[str, Forecast]:
    """Forecast each rule that asks now, as if the jobs to come were like the known ones.

    `all_jobs` counts those of each rule, with the ones that are known. As many go on side by side as run now.
    """
    forecasts = {}
    for rule in dict.fromkeys(job.split("/")[0] for job in said):
        jobs = {job.split("/")[1]: each for job, each in said.items() if job.startswith(f"{rule}/")}
        left = [each["eta_seconds"] or 0 for each in jobs.values() if each["state"] == "running"]
        known = [each["seconds"] + (each["eta_seconds"] or 0) for each in jobs.values()]
        to_come = max(0, all_jobs.get(rule, 0) - len(jobs))
        seconds = (sum(left) + to_come * sum(known) / len(known)) / max(1, len(left))
        if left:
            done = sum(each["state"] == "done" for each in jobs.values())
            forecasts[rule] = Forecast(done, len(jobs) + to_come, seconds)
    return forecasts


def format_hours(forecasts: dict[str, Forecast]) -> str:
    """Format a line for each rule: batches done, and hours to come."""
    return "\n".join(
        f"{rule}: {each.done} of {each.total} done, {each.seconds / 3600:,.1f} h to come"
        for rule, each in forecasts.items()
    )


def format_asked(rules: Iterable[Asked]) -> str:
    """Format the sum of the rules in a few words; nothing where nothing is asked now."""
    asked = [rule for rule in rules if rule.running]
    if not asked:
        return ""
    failed = sum(rule.failed for rule in asked)
    return (
        f"{sum(rule.answered for rule in asked):,} of {sum(rule.total for rule in asked):,} answered"
        + (f", {failed:,} failed" if failed else "")
        + f", {sum(rule.tokens_per_second for rule in asked):,.0f} tokens/s"
    )
