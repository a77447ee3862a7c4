#!/usr/bin/env python
"""Write the checksums of an artifact's parts: the sha256 of each part's summary, in order."""

import argparse
from pathlib import Path

from prep.runtime import program
from prep.storage.atomic import sha256
from prep.storage.summary import write_summary


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--parts", type=Path, nargs="*", required=True, help="summaries")
    parser.add_argument("--summary", type=Path, required=True, help="out: the summary of the parts")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    write_summary(args.summary, {part.as_posix(): {"sha256": sha256(part)} for part in args.parts})


if __name__ == "__main__":
    program.run(main)
