#!/usr/bin/env python
"""Draw single-round rows of a OneVision artifact: those with the smallest hash of seed and id."""

import argparse
import heapq
import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from prep.records import seeding
from prep.records.conversation import IMAGE_TAG
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import QUESTIONS

log = logging.getLogger(__name__)


def eligible(messages: list[dict]) -> bool:
    """Whether a row is one question and one answer, and the question has text besides the tag."""
    return len(messages) == 2 and bool(messages[0]["content"].replace(IMAGE_TAG, "").strip())


def drawn(file: pq.ParquetFile, count: int, seed: int) -> list[int]:
    """The positions of the `count` eligible rows with the smallest hash, in the artifact's order."""

    def hashes() -> Iterator[tuple[int, int]]:
        position = 0
        for group in range(file.num_row_groups):
            for row in file.read_row_group(group, ["id", "messages"]).to_pylist():
                if eligible(row["messages"]):
                    yield seeding.number(seed, "sample", row["id"]), position
                position += 1

    return sorted(position for _, position in heapq.nsmallest(count, hashes()))


def rows_at(file: pq.ParquetFile, positions: list[int]) -> Iterator[pa.Table]:
    """The rows at these positions, in order; of row groups that hold none, nothing is read."""
    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        wanted = [position - start for position in positions if start <= position < end]
        if wanted:
            yield file.read_row_group(group).take(wanted)
        start = end


def question_row(row: dict, name: str, folder: str) -> dict:
    """A training row as a question: its first turn asked, its second the reference."""
    stem, _, number = row["id"].removeprefix(f"{name}/").rpartition(":")
    user, assistant = row["messages"]
    return {
        "id": row["id"],
        "source": name,
        "source_id": row["source_id"],
        "source_file": f"{folder}/{stem}.parquet",
        "row": int(number),
        "question": user["content"],
        "reference": assistant["content"],
        "image": row["images"][0],
    }


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--name", required=True, help="the artifact's name, which heads its ids")
    parser.add_argument("--folder", required=True, help="its folder in the source's repository")
    parser.add_argument("--count", type=int, required=True, help="rows to draw")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--samples", type=Path, required=True, help="out: the drawn rows as questions")
    parser.add_argument("--identity", type=Path, required=True, help="out: rows, sha256")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    file = pq.ParquetFile(args.artifact)
    with parquet.sink(args.samples, QUESTIONS) as samples:
        for table in rows_at(file, drawn(file, args.count, args.seed)):
            rows = [question_row(row, args.name, args.folder) for row in table.to_pylist()]
            samples.add(pa.Table.from_pylist(rows, QUESTIONS))
    write_json(args.identity, {"rows": samples.rows, "sha256": samples.sha256})
    log.info("%s: drew %d of %d rows", args.name, samples.rows, file.metadata.num_rows)


if __name__ == "__main__":
    program.run(main)
