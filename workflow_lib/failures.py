"""UserError summary: the last line of each log that this run wrote and that ends in an error."""

import sys
from pathlib import Path


def report_failures(since: float) -> None:
    """Print the error lines of this run's logs to stderr.

    `since` is when the run started, in seconds since the epoch.

    Programs end with one `error:` line in their log. Snakemake shows logs where jobs fail, which is pages
    above the end of a long run, and with `--quiet rules` not at all.
    """
    lines = []
    for log in sorted(Path("logs").rglob("*.log")):
        if log.stat().st_mtime >= since - 1:  # file systems round times down
            last = log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            if last.startswith("error: "):
                lines.append(f"{last}\n       (log: {log})")
    if lines:
        print("\n".join(["", *lines]), file=sys.stderr, flush=True)
