"""Whether Slurm answers the executor's questions about its jobs."""

import subprocess

from snakemake.exceptions import WorkflowError

ANSWER_S = 60


def check_status_command(status_command: str | None) -> None:
    """Fail where the Slurm executor would ask `sacct`, and the cluster keeps no accounts.

    sacct is installed on such clusters too: the executor would wait for ever, and say nothing.
    `status_command` is None where another executor runs the jobs.
    """
    if status_command != "sacct":
        return
    try:
        asked = subprocess.run(
            ["sacct", "--noheader"], capture_output=True, text=True, check=False, timeout=ANSWER_S
        )
        said = (asked.stderr.strip().splitlines() or ["no reason given"])[-1] if asked.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    if said is not None:
        raise WorkflowError(
            f"sacct does not tell the state of jobs ({said});"
            " give --slurm-status-command squeue, as profiles/slurm does"
        )
