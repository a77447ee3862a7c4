"""UserError summary: the last line of each log that this run wrote and that ends in an error."""

import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def report_failures(since: float, run_logs: Iterable[str | Path], shown: bool = False) -> None:
    """Print to stderr the error lines of this run's logs, and what sbatch said of jobs that it did not take.

    `since` is when the run started, in seconds since the epoch; `run_logs` are Snakemake's own. Where each
    failed job was `shown` in a line, its log is not repeated.

    Programs end with one `error:` line in their log. Snakemake shows logs where jobs fail, which is pages
    above the end of a long run, and with `--quiet rules` not at all. A job that sbatch refuses has no log.
    """
    lines = [line for log in run_logs for line in find_refusals(Path(log))]
    for log in [] if shown else sorted(Path("logs").rglob("*.log")):
        if log.stat().st_mtime >= since - 1:  # file systems round times down
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            if last.startswith("error: "):
                lines.append(f"{last}\n       (log: {log})")
    if lines:
        print("\n".join(["", *lines]), file=sys.stderr, flush=True)


def find_refusals(run_log: Path) -> list[str]:
    """A line for each thing that sbatch said when it refused jobs; none where there is no such log."""
    text = run_log.read_text(encoding="utf-8", errors="replace") if run_log.is_file() else ""
    message = r"SLURM sbatch failed\. The error message was '(?:sbatch: error: )?(.*?)'?$"
    said = Counter(re.findall(message, text, re.MULTILINE))
    return [
        f"error: sbatch refused {count} submission{'s' * (count > 1)}: {words};"
        " the profile says where a job runs and what it asks for (docs/cluster.md)"
        for words, count in said.items()
    ]
