#!/usr/bin/env python
"""Sample questions about pictures by hash: those with the smallest hash of seed and id, in their order."""

import argparse
import logging
from pathlib import Path

from prep.records import seeding
from prep.runtime import program
from prep.storage import parquet
from prep.storage.schema import QUESTIONS
from prep.storage.summary import write_summary

log = logging.getLogger(__name__)


def sample_positions(questions: Path, count: int, seed: int) -> list[int]:
    """The positions of the `count` questions with the smallest hashes of seed and id, in order."""
    rows = ((position, row["id"]) for position, row in enumerate(parquet.read_rows(questions, ["id"])))
    return sorted(position for position, _ in seeding.sample_rows(seed, "sample", rows, count))


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--questions", type=Path, required=True)
    parser.add_argument("--count", type=int, required=True, help="questions to sample")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--samples", type=Path, required=True, help="out: the sampled questions")
    parser.add_argument("--summary", type=Path, required=True, help="out: the summary of the samples")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    positions = sample_positions(args.questions, args.count, args.seed)
    samples = parquet.write_rows(args.samples, parquet.read_rows_at(args.questions, positions), QUESTIONS)
    write_summary(args.summary, {"samples": samples}, wanted=args.count)
    log.info("%s: sampled %d questions", args.questions, samples.rows)


if __name__ == "__main__":
    program.run(main)
