#!/usr/bin/env python
"""Register every artifact with LLaMA-Factory: a dataset_info.json, merged into one that stands there."""

import argparse
from pathlib import Path

from prep.report.registration import build_entries, merge_file
from prep.runtime import program
from prep.storage.atomic import write_json
from prep.storage.install import install


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--names", nargs="+", required=True, help="the artifacts' names")
    parser.add_argument("--sharded", action="store_true", help="each artifact is a folder")
    parser.add_argument("--publish", type=Path, required=True, help="out: our entries alone")
    parser.add_argument("--data", type=Path, required=True, help="folder to install into")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    ours = build_entries(args.names, args.sharded)
    standing = args.data / "dataset_info.json"
    install(standing, merge_file(standing, ours))
    write_json(args.publish, ours)


if __name__ == "__main__":
    program.run(main)
