#!/usr/bin/env python
"""Take the fingerprints of an artifact's rows, by which duplicates are counted."""

import argparse
from concurrent.futures import Executor
from pathlib import Path

from prep.deduplication.fingerprint import FINGERPRINTS, take_fingerprint
from prep.runtime import process_pool, program
from prep.runtime.ordered_map import ordered_map
from prep.storage import parquet
from prep.storage.summary import write_summary

ROWS_AT_ONCE = 32
"""Rows that a process is given at a time."""


def take_fingerprints(rows: list[dict]) -> list[dict]:
    """The fingerprints of some rows."""
    return [take_fingerprint(row) for row in rows]


def write_fingerprints(pool: Executor, args: argparse.Namespace) -> parquet.Writer:
    """Write the fingerprints of all rows in order, with some rows for each process in memory."""
    rows = parquet.batch_rows(parquet.read_rows(args.artifact, ["messages", "images"]), ROWS_AT_ONCE)
    taken = ordered_map(pool, take_fingerprints, rows, 2 * args.threads)
    found = (row for _, batch in taken for row in batch)
    return parquet.write_rows(args.fingerprints, found, FINGERPRINTS)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True, help="processes")
    parser.add_argument("--fingerprints", type=Path, required=True, help="out: digests of each row")
    parser.add_argument("--summary", type=Path, required=True, help="out: rows, sha256")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    with process_pool.open_pool(args.threads) as pool:
        written = write_fingerprints(pool, args)
    write_summary(args.summary, {"fingerprints": written})


if __name__ == "__main__":
    program.run(main)
