#!/usr/bin/env python
"""Explain a row by its id: kept or rejected, where it is from, and what each step decided, by which rule."""

import argparse
from pathlib import Path

from explain.build_folder import BuildFolder
from explain.explanation import explain_row
from explain.formatting import format_json, format_text
from prep.runtime import program


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--id", required=True, help="of a row, a question or an answer")
    parser.add_argument("--folder", type=Path, required=True, help="where the build is: with data/ and work/")
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.id:
        raise program.UserError("which row? ID=… says it, such as alpaca/train-00000-of-00001:3")
    found = explain_row(BuildFolder(args.folder), args.id)
    print(format_json(found) if args.json else format_text(found))


if __name__ == "__main__":
    program.run(main)
