"""Time and memory of jobs, summed by rule from Snakemake's benchmark files."""

import csv
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RuleCost:
    """What the last run of each job of a rule took.

    `seconds` and `cpu_seconds` are sums, `longest` is the longest job, `peak` the most memory that a job had
    resident, in MB. `cpu_seconds` and `peak` are None where every job ended before it was measured.
    """

    rule: str
    jobs: int
    seconds: float
    longest: float
    cpu_seconds: float | None
    peak: float | None


def sum_benchmarks(folder: Path) -> list[RuleCost]:
    """The benchmark files below `folder` (`<rule>/….tsv`) by rule, the rule that took longest first.

    Snakemake writes a header and a line for each; `NA` and `-` stand for what it could not measure. The files
    are no part of the data, so unreadable ones are skipped.
    """
    lines: dict[str, list[dict[str, str]]] = {}
    for path in sorted(folder.rglob("*.tsv")):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                found = [line for line in csv.DictReader(file, delimiter="\t") if _to_number(line.get("s"))]
        except (OSError, ValueError, csv.Error):
            found = []
        if not found:
            log.warning("%s: no benchmark, passed over", path)
            continue
        lines.setdefault(path.relative_to(folder).parts[0], []).extend(found)
    costs = [_sum_rule(rule, jobs) for rule, jobs in lines.items()]
    return sorted(costs, key=lambda cost: (-cost.seconds, cost.rule))


def _sum_rule(rule: str, jobs: list[dict[str, str]]) -> RuleCost:
    seconds = list(_numbers(jobs, "s"))
    cpu, memory = list(_numbers(jobs, "cpu_time")), list(_numbers(jobs, "max_rss"))
    return RuleCost(
        rule,
        len(jobs),
        sum(seconds),
        max(seconds),
        sum(cpu) if cpu else None,
        max(memory, default=None),
    )


def _numbers(jobs: Iterable[dict[str, str]], column: str) -> Iterable[float]:
    found = (_to_number(job.get(column)) for job in jobs)
    return (number for number in found if number is not None)


def _to_number(text: str | None) -> float | None:
    """A figure of a benchmark file, None where there is none."""
    try:
        return float(text or "")
    except ValueError:
        return None
