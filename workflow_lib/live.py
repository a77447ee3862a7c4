"""Input of the logger plugin `live`: job counts and artifacts, which no event of Snakemake 9.27 tells.

Events tell how many jobs each rule has before the first one starts. Once a checkpoint has ended there are
more, and events tell their sum alone.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from workflow_lib.due_jobs import list_due_jobs

PLUGIN = "snakemake_logger_plugin_live"


def follow(workflow: Any, artifacts: Sequence[str]) -> None:
    """Hand the plugin, where it is used, a count of the jobs to come by rule, and the artifacts' names."""
    for handler in _handlers(workflow):
        handler.follow(lambda: Counter(job.rule.name for job in list_due_jobs(workflow)), artifacts)


def shows_failures(workflow: Any) -> bool:
    """Whether the plugin has a line for each job that failed."""
    return any(handler.shows_failures for handler in _handlers(workflow))


def _handlers(workflow: Any) -> list[Any]:
    handlers = workflow.logger_manager.get_log_handlers()
    return [handler for handler in handlers if type(handler).__module__ == PLUGIN]
