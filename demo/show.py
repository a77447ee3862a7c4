#!/usr/bin/env python
"""Print a table of the artifacts of a build, and where its report is."""

import os
import sys
from pathlib import Path

from prep.runtime.program import parser, run
from prep.storage.atomic import read_json
from prep.terminal.artifacts import format_artifacts


def main() -> None:
    args = parser(__doc__)
    args.add_argument("data", type=Path, help="the folder that holds manifest.json")
    data = args.parse_args().data
    manifest = read_json(data / "manifest.json")
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(format_artifacts(manifest["artifacts"], colour=colour))
    for notice in sorted({artifact.get("notice") for artifact in manifest["artifacts"].values()} - {None}):
        print(f"\n{notice}")
    print(f"\nRows to look at: {data / 'report.html'}")


if __name__ == "__main__":
    run(main)
