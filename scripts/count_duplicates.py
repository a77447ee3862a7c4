#!/usr/bin/env python
"""Count the rows of each artifact that repeat an earlier one. Nothing is left out of any artifact."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from prep.deduplication.fingerprint import KINDS, count_repeats
from prep.report.formatting import format_share
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import write_json

WORDS = {"bytes": "the same pictures", "look": "pictures that look the same", "row": "and the same text"}


def read_column(path: Path, kind: str) -> np.ndarray:
    """The digests of a kind, one for each row."""
    return pq.read_table(path, columns=[kind]).column(kind).to_numpy()


def add_ids(found: dict[str, Any], artifacts: dict[str, Path]) -> None:
    """Put ids in the place of positions, in the pairs of `found`."""
    for name, about in found.items():
        pairs = about["pairs"]
        about["pairs"] = [
            {
                "id": _read_id(artifacts[name], pair["row"]),
                "repeats": _read_id(artifacts[pair["of"]], pair["of_row"]),
            }
            for pair in pairs
        ]


def _read_id(path: Path, row: int) -> str:
    return next(parquet.read_rows_at(path, [row]))["id"]


def list_lines(found: dict[str, Any]) -> list[str]:
    """A line for each artifact: how many rows repeat an earlier one, by what they share."""
    lines = []
    for name, about in found.items():
        counts = {
            kind: repeats["within"] + sum(repeats["of_others"].values())
            for kind, repeats in about["repeats"].items()
        }
        told = [
            f"{WORDS[kind]} {count:,} ({format_share(count, about['rows'])})"
            for kind, count in counts.items()
        ]
        lines.append(f"{name}: of {about['rows']:,} rows {', '.join(told)}")
    return lines


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--names", nargs="*", required=True, help="artifacts in order: the first row stays")
    parser.add_argument("--artifacts", type=Path, nargs="*", required=True, help="their files or folders")
    parser.add_argument("--fingerprints", type=Path, nargs="*", required=True, help="of their rows")
    parser.add_argument("--duplicates", type=Path, required=True, help="out: counts, some pairs")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    if not args.names:
        raise program.UserError("the config has no artifact of stage 1 or 2, whose rows are compared")
    columns = {kind: [read_column(path, kind) for path in args.fingerprints] for kind in KINDS}
    found = count_repeats(columns, args.names)
    add_ids(found, dict(zip(args.names, args.artifacts, strict=True)))
    write_json(args.duplicates, found)
    print("\n".join(list_lines(found)))


if __name__ == "__main__":
    program.run(main)
