"""State of a run of Snakemake, kept from its log events: jobs by step, rows, failures.

Events and their fields are those of `snakemake_interface_logger_plugins.common.LogEvent` and of the places
in Snakemake 9.27 that log them (`jobs.py`, `scheduling/job_scheduler.py`, `workflow.py`).
"""

import logging
import os
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prep.runtime.sanitize import sanitize
from prep.storage.atomic import read_json

STEPS = {
    "list": ("resolve_", "list_"),
    "fetch": ("fetch_",),
    "convert": ("convert_", "refuse_"),
    "question": ("read_questions", "filter_", "batch_", "sample_", "plant_"),
    "probe": ("probe_", "forget_probes", "serve_"),
    "answer": ("answer_",),
    "judge": ("compare_", "judge_"),
    "select": ("render_", "select_"),
    "assemble": ("gather_", "assemble_", "manifest_"),
    "verify": ("verify_", "fingerprint_", "count_"),
    "publish": ("publish_", "read_pages"),
}
"""The steps of a run in the order of the data, with how the names of their rules begin."""
OTHER = "other"
"""The step of rules that no step names, such as those of a workflow that includes this one."""
TARGETS = {
    *("all", "stage1", "stage2", "stage3", "raw_shards", "shards", "verdicts", "refresh", "targets", "plan"),
    *("probe", "verify", "publish_built"),
}
"""Rules that only gather or print; they are no step."""
ASKING = ("answer_", "judge_")
"""How the names of rules begin whose jobs ask servers."""
WITH_ROWS = ("convert_", "render_", "select_", "assemble_")
"""Rules that keep and reject rows, and say so in a summary (see prep.storage.summary)."""

TAIL_LINES = 20
"""So much of a failed job's log is shown where it does not end in an `error:` line."""
TAIL_BYTES = 16 * 1024
CHATTER = (
    "Building DAG of jobs",
    "Assuming unrestricted shared filesystem usage",
    "Using shell: ",
    "Provided ",
    "Rules claiming more threads",
    "Conda environments: ignored",
    "Singularity containers: ignored",
    "Group jobs: inactive",
    "Updating checkpoint dependencies",
    "Using workflow",
    "Config file ",
    "Using profile",
    "host: ",
)
"""How messages begin that tell a user nothing. Once jobs run, no message below a warning is shown."""
SAID_ANYWAY = (
    "RuleException:\nCalledProcessError",
    "Exiting because a job execution failed",
    "WorkflowError:\nAt least one job did not complete",
)
"""How errors begin that the line of a failed job, or the last line of a run, says."""

STOPS = ("Terminating processes on user request", "Will exit after finishing", "Cancelling snakemake")
"""How messages begin that say that a run is ended early."""


@dataclass(frozen=True)
class Notice:
    """What is printed for good: a `failure` is one line, the others may have several."""

    kind: Literal["failure", "log", "error", "warning", "message"]
    text: str


@dataclass(frozen=True)
class Job:
    """A job that was started; `summary` is the file that tells its rows, if it has any."""

    rule: str
    name: str
    logs: tuple[str, ...]
    summary: str | None
    began: float


@dataclass
class Step:
    """Jobs and rows of a step so far, of this run; `seconds` is how long the jobs that are done took."""

    jobs: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0
    seconds: float = 0.0
    kept: int = 0
    rejected: int = 0

    def seconds_left(self) -> float | None:
        """Seconds to go, as if the jobs to come were like those that are done, as many at a time as now."""
        if not self.done or not self.running:
            return None
        return (self.jobs - self.done - self.failed) * self.seconds / self.done / self.running


class RunState:
    """The state of one run; `clock` gives seconds, `show_logs` is Snakemake's --show-failed-logs."""

    def __init__(self, clock: Callable[[], float], show_logs: bool = True):
        self._clock, self._show_logs = clock, show_logs
        self.began = clock()
        self.total = self.finished = 0
        """Jobs of the run, and those that are done."""
        self.running: dict[int, Job] = {}
        self.failed: dict[int, Job] = {}
        self.nothing_to_do = self.interrupted = False
        self.log_file = ""
        """Snakemake's own log, which has everything."""
        self.wrote_artifacts = False
        """Whether a job of this run wrote an artifact's manifest, or what is published."""
        self._planned: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._seconds: Counter[str] = Counter()
        self._kept: Counter[str] = Counter()
        self._rejected: Counter[str] = Counter()
        self._unread: deque[tuple[str, str]] = deque()

    @property
    def elapsed(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self.began

    def take(self, event: str | None, level: int, fields: Mapping[str, Any]) -> list[Notice]:
        """Take a log record of Snakemake in, and return what is to be printed for good."""
        handler = getattr(self, f"_take_{event}", None)
        if handler:
            return handler(fields) or []
        return self._take_message(event, level, str(fields.get("msg") or ""))

    def take_plan(self, unfinished: Mapping[str, int]) -> None:
        """Take in how many jobs of each rule have not ended, once a checkpoint changed the plan."""
        self._planned = Counter(unfinished) + self._done

    def count_asking(self) -> Counter[str]:
        """Count the jobs of this run that ask servers, by the folder of their statistics.

        Those of a further teacher (`answer_text_TEACHER`) are counted with the first one's.
        """
        asking: Counter[str] = Counter()
        for rule, count in self._planned.items():
            if rule.startswith(ASKING):
                asking["_".join(rule.split("_")[:2])] += count
        return asking

    def read_rows(self, at_most: int = 200) -> None:
        """Read the summaries of jobs that ended, and count their rows."""
        for _ in range(min(at_most, len(self._unread))):
            rule, path = self._unread.popleft()
            with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
                kept, rejected = count_rows(read_json(Path(path)))
                self._kept[rule] += kept
                self._rejected[rule] += rejected

    def steps(self) -> dict[str, Step]:
        """The steps that have jobs, in the order of the data."""
        running = Counter(job.rule for job in self.running.values())
        failed = Counter(job.rule for job in self.failed.values())
        steps = {name: Step() for name in [*STEPS, OTHER]}
        for rule in {*self._planned, *self._done, *running, *failed} - TARGETS:
            step = steps[step_of(rule)]
            step.jobs += max(self._planned[rule], self._done[rule] + running[rule] + failed[rule])
            step.done += self._done[rule]
            step.running += running[rule]
            step.failed += failed[rule]
            step.seconds += self._seconds[rule]
            step.kept += self._kept[rule]
            step.rejected += self._rejected[rule]
        return {name: step for name, step in steps.items() if step.jobs}

    def _take_run_info(self, fields: Mapping[str, Any]) -> None:
        stats = dict(fields.get("stats") or {})
        self.total = stats.pop("total", 0)
        self._planned = Counter(stats)

    def _take_job_info(self, fields: Mapping[str, Any]) -> None:
        rule = fields["rule_name"]
        outputs = [str(path) for path in fields.get("output") or ()]
        summaries = [path for path in outputs if path.endswith(".json") and rule.startswith(WITH_ROWS)]
        words = [rule, "/".join(map(str, dict(fields.get("wildcards") or {}).values()))]
        self.failed.pop(fields["jobid"], None)  # it is tried again
        self.running[fields["jobid"]] = Job(
            rule=rule,
            name=sanitize(" ".join(filter(None, words))),
            logs=tuple(map(str, fields.get("log") or ())),
            summary=summaries[0] if summaries else None,
            began=self._clock(),
        )

    def _take_job_finished(self, fields: Mapping[str, Any]) -> None:
        job = self.running.pop(fields["job_id"], None)
        if job:
            self.finished += 1
            self._done[job.rule] += 1
            self._seconds[job.rule] += self._clock() - job.began
            self.wrote_artifacts |= job.rule.startswith(("manifest_", "publish_"))
            if job.summary:
                self._unread.append((job.rule, job.summary))

    def _take_job_error(self, fields: Mapping[str, Any]) -> list[Notice]:
        number, rule = fields["jobid"], fields["rule_name"]
        job = self.running.pop(number, None) or Job(rule, rule, (), None, self._clock())
        self.failed[number] = job
        logs = [str(path) for path in fields.get("log") or job.logs]
        lines, path = _read_tail(logs)
        last = lines[-1].strip() if lines else ""
        said = " ".join(str(fields.get("rule_msg") or "").split())
        if last.startswith("error: "):
            cause, lines = last.removeprefix("error: "), []
        else:
            cause = said or last or "it says nothing"
        place = f" (log: {path})" if path else ""
        failure = Notice("failure", " ".join(sanitize(f"{job.name}: {cause}{place}").split()))
        tail = "\n".join(lines[-TAIL_LINES:]) if self._show_logs else ""
        return [failure, Notice("log", sanitize(tail))] if tail else [failure]

    def _take_group_error(self, fields: Mapping[str, Any]) -> None:
        """The jobs of a group are told of one by one."""

    def _take_progress(self, fields: Mapping[str, Any]) -> None:
        self.finished, self.total = fields["done"], fields["total"]

    def _take_message(self, event: str | None, level: int, text: str) -> list[Notice]:
        if text.startswith("Complete log"):
            self.log_file = sanitize(text.partition(": ")[2])
        if text.startswith("Nothing to be done"):
            self.nothing_to_do = True
        if text.startswith(STOPS):
            was_known, self.interrupted = self.interrupted, True
            return [] if was_known else [Notice("message", sanitize(text.strip()))]
        if not text.strip() or text.startswith((*SAID_ANYWAY, "Complete log")):
            return []
        if level >= logging.WARNING:
            return [Notice("error" if level >= logging.ERROR else "warning", sanitize(text.strip("\n")))]
        if event or self.total or text.startswith(CHATTER):
            return []
        return [Notice("message", sanitize(text.strip("\n")))]


def step_of(rule: str) -> str:
    """Return the step of a rule."""
    return next((step for step, beginnings in STEPS.items() if rule.startswith(beginnings)), OTHER)


def count_rows(summary: Mapping[str, Any]) -> tuple[int, int]:
    """Return the kept and the rejected rows of a part or an artifact, from its summary."""
    if "kept" in summary:
        return summary["kept"], sum(summary["rejected"].values())
    files = summary["files"]
    return sum(file["rows"] for name, file in files.items() if name != "rejects"), files["rejects"]["rows"]


def _read_tail(logs: list[str]) -> tuple[list[str], str]:
    """Return the last lines of the first log that says something, and its path."""
    for path in logs:
        with suppress(OSError), open(path, "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
            if lines:
                return lines, path
    return [], logs[0] if logs else ""
