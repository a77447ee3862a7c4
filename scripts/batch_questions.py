#!/usr/bin/env python
"""Cut the questions of all sources, in order, into batches that a job answers."""

import argparse
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prep.runtime import program
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.schema import QUESTIONS
from prep.storage.summary import write_summary

log = logging.getLogger(__name__)

MOST_BATCHES = 100_000
"""A batch's number has five digits."""


def batch_tables(paths: list[Path], rows: int) -> Iterator[list[pa.Table]]:
    """The rows of some files in order, as lists of tables that hold `rows` rows each, and the rest."""
    groups = (pq.ParquetFile(path) for path in paths)
    tables = (file.read_row_group(group) for file in groups for group in range(file.num_row_groups))
    batch, room = [], rows
    for table in tables:
        while table.num_rows >= room:
            yield [*batch, table.slice(0, room)]
            table, batch, room = table.slice(room), [], rows
        batch.append(table)
        room -= table.num_rows
    if room < rows:
        yield batch


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--questions", type=Path, nargs="*", required=True)
    parser.add_argument("--batch-size", type=int, required=True, help="questions a batch")
    parser.add_argument("--folder", type=Path, required=True, help="out: {number}.parquet, {number}.json")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    count = itertools.count()
    for tables in batch_tables(args.questions, args.batch_size):
        number = next(count)
        if number == MOST_BATCHES:
            raise UserError(f"more than {MOST_BATCHES:,} batches: set a larger text_reasoning.batch_size")
        name = f"{number:05d}"
        with parquet.open_writer(args.folder / f"{name}.parquet", QUESTIONS) as batch:
            batch.add(pa.concat_tables(tables))
        write_summary(args.folder / f"{name}.json", {"questions": batch})
    log.info("%d batches of at most %d questions", next(count), args.batch_size)


if __name__ == "__main__":
    program.run(main)
