#!/usr/bin/env python
"""Read the questions of a source: JSON Lines, a JSON array or parquet; empty and broken ones are rejected."""

import argparse
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from prep.containers.picture_files import PictureFiles
from prep.convert import questions
from prep.records.ids import question_source
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.parquet import BadShard
from prep.storage.schema import QUESTIONS
from prep.storage.summary import SplitRows, write_part, write_summary

log = logging.getLogger(__name__)


def check_file(args: argparse.Namespace, path: Path) -> dict:
    """The state of a file, which is read through once before any row is kept: its rows, or why it is bad."""
    try:
        return {
            "state": "read",
            "rows": sum(1 for _ in questions.read_asked(args, path, open_pictures(args))),
        }
    except BadShard as bad:
        if args.on_bad_shard == "fail":
            raise
        log.warning("rejected the whole shard: %s", bad)
        return {"state": "bad", "detail": bad.what}


def read_files(args: argparse.Namespace, states: dict[str, dict]) -> Iterator[SplitRows]:
    """The questions and the rejected rows of all files, in order; `states` gets the state of each file."""
    left = args.max_questions
    for path, summary in zip(args.raw, args.raw_summaries, strict=True):
        file = read_json(summary)["files"]["raw"]["path"]
        states[file] = {"state": "unneeded"} if left == 0 else check_file(args, path)
        if states[file]["state"] != "read":
            continue
        rows = islice(questions.parse_rows(args, path, file, open_pictures(args)), left)
        for batch in parquet.batch_rows(rows, parquet.STREAMED_ROWS if args.image else parquet.GROUP_ROWS):
            yield [row for row in batch if "reason" not in row], [row for row in batch if "reason" in row]
            left = None if left is None else left - len(batch)


def open_pictures(args: argparse.Namespace) -> PictureFiles | None:
    """The pictures that the rows of the source name, where they do."""
    return PictureFiles(args.pictures, args.picture_folder) if args.pictures else None


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--raw", type=Path, nargs="*", required=True, help="the raw files, in order")
    parser.add_argument("--raw-summaries", type=Path, nargs="*", required=True, help="their summaries")
    questions.add_settings(parser)
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="files that the column names")
    parser.add_argument("--questions", type=Path, required=True, help="out: the questions")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: the state of each file")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    states: dict[str, dict] = {}
    keep, drop = write_part(args.questions, QUESTIONS, args.rejects, read_files(args, states))
    files = {"shard": None, "rejects": drop, "questions": keep}
    name = question_source(args.repo, args.name)
    write_summary(args.summary, files, sources={name: states}, raw=None)
    log.info("%s: kept %d, rejected %d", args.repo, keep.rows, drop.rows)


if __name__ == "__main__":
    program.run(main)
