#!/usr/bin/env python
"""Print a table of the artifacts of a build, and where its report is."""

from pathlib import Path

from tabulate import tabulate

from prep.runtime.program import parser, run
from prep.storage.atomic import read_json


def format_table(manifest: dict) -> str:
    """One line an artifact: rows kept, rows rejected, and the file's size."""
    lines = [
        (name, artifact["rows"], sum(artifact["rejected"].values()), round(artifact["bytes"] / 1e6, 2))
        for name, artifact in manifest["artifacts"].items()
    ]
    return tabulate(lines, headers=["artifact", "rows", "rejected", "MB"])


def main() -> None:
    args = parser(__doc__)
    args.add_argument("data", type=Path, help="the folder that holds manifest.json")
    data = args.parse_args().data
    manifest = read_json(data / "manifest.json")
    print(format_table(manifest))
    for notice in sorted({artifact.get("notice") for artifact in manifest["artifacts"].values()} - {None}):
        print(f"\n{notice}")
    print(f"\nRows to look at: {data / 'report.html'}")


if __name__ == "__main__":
    run(main)
