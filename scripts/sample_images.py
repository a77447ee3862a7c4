#!/usr/bin/env python
"""Sample single-round rows of a OneVision artifact by hash: those with the smallest hash of seed and id."""

import argparse
import hashlib
import logging
from pathlib import Path, PurePosixPath

from prep.records import ids, seeding
from prep.records.tags import IMAGE_TAG
from prep.runtime import program
from prep.storage import parquet
from prep.storage.schema import QUESTIONS
from prep.storage.summary import write_summary

log = logging.getLogger(__name__)


def is_eligible(messages: list[dict]) -> bool:
    """Whether a row is a question about one picture and an answer; the question has text besides the tag."""
    question = messages[0]["content"]
    return len(messages) == 2 and question.count(IMAGE_TAG) == 1 and question.strip() != IMAGE_TAG


def sample_positions(artifact: Path, count: int, seed: int) -> list[int]:
    """Choose the rows of an artifact that the teacher is asked about: their positions, in its order.

    They are the `count` eligible rows with the smallest hashes of seed and id.
    """
    rows = enumerate(parquet.read_rows(artifact, ["id", "messages"]))
    found = ((position, row["id"]) for position, row in rows if is_eligible(row["messages"]))
    return sorted(position for position, _ in seeding.sample_rows(seed, "sample", found, count))


def build_question(row: dict, name: str, folder: str, ending: str) -> dict:
    """A training row as a question: its first turn asked, its second the reference."""
    stem, number = ids.parse_row_id(row["id"], name)
    user, assistant = row["messages"]
    return {
        "id": row["id"],
        "source": name,
        "source_id": row["source_id"],
        "source_file": str(PurePosixPath(folder, f"{stem}{ending}")),
        "row": number,
        "question": user["content"],
        "reference": assistant["content"],
        "image_sha256": hashlib.sha256(row["images"][0]["bytes"]).hexdigest(),
        "image": row["images"][0],
    }


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True)
    parser.add_argument("--name", required=True, help="the artifact's name, which heads its ids")
    parser.add_argument("--folder", required=True, help="its folder in the source's repository")
    parser.add_argument("--ending", default=".parquet", help="that of the source's files")
    parser.add_argument("--count", type=int, required=True, help="rows to sample")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--samples", type=Path, required=True, help="out: the sampled rows as questions")
    parser.add_argument("--summary", type=Path, required=True, help="out: the summary of the samples")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    positions = sample_positions(args.artifact, args.count, args.seed)
    rows = parquet.read_rows_at(args.artifact, positions)
    questions = (build_question(row, args.name, args.folder, args.ending) for row in rows)
    samples = parquet.write_rows(args.samples, questions, QUESTIONS)
    write_summary(args.summary, {"samples": samples}, wanted=args.count)
    log.info("%s: sampled %d rows", args.name, samples.rows)


if __name__ == "__main__":
    program.run(main)
