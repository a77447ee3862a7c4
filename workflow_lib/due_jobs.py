"""The jobs that a run is to execute, from Snakemake's DAG: Snakemake 9.27 has no public name for them."""

from collections.abc import Iterable
from typing import Any


def list_due_jobs(workflow: Any) -> Iterable[Any]:
    """Snakemake's jobs that are to run, as far as is known: checkpoints add to them."""
    return workflow.dag.needrun_jobs()


def list_due_outputs(workflow: Any) -> list[str]:
    """The files that these jobs write."""
    return [str(file) for job in list_due_jobs(workflow) for file in job.output]
