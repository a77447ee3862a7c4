"""What a run on a cluster needs besides its executor: a check at its start, all jobs cancelled at its end."""

import contextlib
import re
import signal
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError

ANSWER_S = 60
IDS_AT_ONCE = 500
"""Ids in one call of a cancel command: a command line has a limit."""


def check_status_command(settings: Any) -> None:
    """Fail where the Slurm executor would ask `sacct`, and the cluster keeps no accounts.

    sacct is installed on such clusters too: the executor would wait for ever, and say nothing. It asks sacct
    in place of squeue, too, where slurmctld forgets jobs before it has asked three times. `settings` are the
    executor's: those of other executors, and None, pass.
    """
    command = getattr(settings, "status_command", None)
    advice = "give --slurm-status-command squeue, as profiles/slurm does"
    if command == "squeue":
        from snakemake_executor_plugin_slurm.job_status_query import get_min_job_age, is_query_tool_available

        interval, age = settings.init_seconds_before_status_checks, get_min_job_age()
        if (age is not None and age >= 3 * interval) or not is_query_tool_available("sacct"):
            return
        advice = "`scontrol show config` must tell MinJobAge, or squeue is not asked"
        if age is not None:
            advice = (
                f"squeue is not asked, since MinJobAge is {age} s, less than three times the seconds between"
                f" questions: give --slurm-init-seconds-before-status-checks {max(1, age // 3)}"
            )
    elif command != "sacct":
        return
    try:
        asked = subprocess.run(
            ["sacct", "--noheader"], capture_output=True, text=True, check=False, timeout=ANSWER_S
        )
        said = (asked.stderr.strip().splitlines() or ["no reason given"])[-1] if asked.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said is not None:
        raise WorkflowError(f"sacct does not tell the state of jobs ({said}); {advice}")


def cancel_jobs(settings: Any, run_logs: Iterable[str | Path]) -> None:
    """Cancel the jobs of a run that are still at the scheduler; those that have failed do not mind.

    Snakemake's executors cancel the jobs that they hold in a list. The list is empty while they ask for the
    jobs' states, and what they are just submitting comes into it later, so an interrupt then leaves jobs
    behind. `settings` are the executor's; `run_logs` are Snakemake's own, which name the run or its jobs.
    """
    logs = [log for log in map(Path, run_logs) if log.is_file()]
    text = "".join(log.read_text(encoding="utf-8", errors="replace") for log in logs)
    # Slurm's jobs have the run's id as their name.
    commands = [["scancel", "--quiet", f"--name={run}"] for run in re.findall(r"SLURM run ID: (\S+)", text)]
    if command := getattr(settings, "cancel_cmd", None):
        ids = find_unfinished(text)
        each = getattr(settings, "cancel_nargs", None) or IDS_AT_ONCE
        commands += [[command, *ids[start : start + each]] for start in range(0, len(ids), each)]
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM) if commands else ():
        signal.signal(number, signal.SIG_IGN)
    how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": ANSWER_S}
    for command in commands:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, check=False, **how)


def find_unfinished(run_log: str) -> list[str]:
    """The ids of jobs whose end a run's log does not tell; of a job that was tried again, the last."""
    found: dict[str, str] = {}
    for job, id_, finished in re.findall(
        r"job (\S+) with external jobid '(.+?)'|Finished jobid: (\d+)", run_log
    ):
        if finished:
            found.pop(finished, None)
        else:
            found[job] = id_
    return list(found.values())
