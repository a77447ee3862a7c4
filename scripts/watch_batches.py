#!/usr/bin/env python
"""Live progress table of the batches that jobs ask servers about; Ctrl-C ends it."""

import contextlib
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from prep.runtime import program
from prep.terminal.batches import StatsReader, count_jobs, forecast_rules, format_hours, format_jobs

REFRESH_S = 2.0  # a job writes every five seconds
CLEAR = "\x1b[H\x1b[J"


def main() -> None:
    flags = program.parser(__doc__)
    flags.add_argument("--stats", type=Path, required=True, help="folder of the jobs' files: work/stats")
    folder = flags.parse_args().stats
    if not folder.is_dir():
        raise program.UserError(f"{folder}: no such folder; no batch was asked about there yet")
    live = sys.stdout.isatty()
    stats = StatsReader(folder)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            said = stats.read()
            forecasts = forecast_rules(said, count_jobs(folder.parent, said))
            shown = [format_jobs(said, datetime.now(UTC)), format_hours(forecasts)]
            print(CLEAR * live + "\n".join(filter(None, shown)), flush=True)
            if not live:
                break
            time.sleep(REFRESH_S)


if __name__ == "__main__":
    program.run(main)
