"""UserError summary: folders that cannot be written, and the last line of each log that ends in an error."""

import errno
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from workflow_lib.config import FOLDERS
from workflow_lib.config_error import fail

PLACES = (".", *FOLDERS)
"""Folders that a run writes into; each may be a disk of its own."""
PROBE_BYTES = 1 << 18
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def report_failures(since: float, run_logs: Iterable[str | Path], shown: bool = False) -> None:
    """Print to stderr the error lines of this run's logs, and what sbatch said of jobs that it did not take.

    `since` is when the run started, in seconds since the epoch; `run_logs` are Snakemake's own. Where each
    failed job was `shown` in a line, its log is not repeated.

    Programs end with one `error:` line in their log. Snakemake shows logs where jobs fail, which is pages
    above the end of a long run, and with `--quiet rules` not at all. A job that sbatch refuses has no log.
    """
    lines = [
        *(f"error: {line}" for line in find_unwritable()),
        *(line for log in run_logs for line in find_refusals(Path(log))),
    ]
    for log in [] if shown else sorted(Path("logs").rglob("*.log")):
        if log.stat().st_mtime >= since - 1:  # file systems round times down
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            if last.startswith("error: "):
                lines.append(f"{last}\n       (log: {log})")
    if lines:
        print("\n".join(["", *lines]), file=sys.stderr, flush=True)


def check_room() -> None:
    """Stop a run before its first job where a folder cannot be written: Snakemake dies of it in between."""
    for line in find_unwritable():
        fail(line)


def find_unwritable() -> list[str]:
    """A line for each folder that cannot be written now: a full disk has no room for what a log would say."""
    try:
        temporary = tempfile.gettempdir()
    except OSError as error:
        return [f"{error.strerror}; set TMPDIR to a folder that can be written"]
    lines = []
    for place in filter(Path.is_dir, [*(Path(place).absolute() for place in PLACES), Path(temporary)]):
        try:
            with tempfile.TemporaryFile(dir=place, buffering=0) as file:
                while file.tell() < PROBE_BYTES:
                    file.write(bytes(PROBE_BYTES))
        except OSError as error:
            advice = "free some space there (df shows where)" if error.errno in NO_ROOM else "mend that"
            lines.append(f"{place}: {error.strerror}; {advice}, and run again")
    return lines


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
