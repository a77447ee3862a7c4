"""Whether Slurm answers the executor's questions about its jobs."""

import subprocess
from typing import Any

from snakemake.exceptions import WorkflowError

ANSWER_S = 60


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
