#!/usr/bin/env python
"""Read the questions of a source: JSON Lines, a JSON array or parquet; empty and broken ones are rejected."""

import argparse
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from prep.records import json_rows
from prep.records.ids import question_source, row_id
from prep.records.reason import Reason, Rejection
from prep.runtime import program
from prep.storage import parquet
from prep.storage.atomic import read_json
from prep.storage.parquet import BadShard
from prep.storage.schema import QUESTIONS
from prep.storage.summary import SplitRows, write_part, write_summary

log = logging.getLogger(__name__)

Cell = str | UnicodeDecodeError | None


def build_question(cells: list[Cell], reference: Cell) -> tuple[str, str | None] | Rejection:
    """The question, its columns joined by a line break where not empty, and the reference; or a rejection."""
    for cell in (*cells, reference):
        if isinstance(cell, UnicodeDecodeError):
            return Reason.TEXT_NOT_UTF8, str(cell)[-200:]
        if not isinstance(cell, str | None):
            return Reason.QUESTION_INVALID, f"not a string: {cell!r:.100}"
        try:
            (cell or "").encode()
        except UnicodeEncodeError as error:
            return Reason.TEXT_NOT_UTF8, error.reason
    question = "\n".join(cell for cell in cells if cell)
    if not question.strip():
        return Reason.QUESTION_EMPTY, ""
    return question, reference


def read_cells(path: Path, columns: list[str]) -> Iterator[dict[str, Cell] | Rejection]:
    """The columns' cells of each row, or what is wrong with the row; raises BadShard for a whole file."""
    if path.suffix == ".parquet":
        for batch in parquet.Reader(path, columns).batches():
            cells = [map(parquet.decode_or_error, batch.column(name).to_pylist()) for name in columns]
            yield from (dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True))
        return
    rows = objects = 0
    for row in json_rows.read_rows(path):
        rows, objects = rows + 1, objects + isinstance(row, dict)
        if objects == 1 and isinstance(row, dict) and not row.keys() >= set(columns):
            lacking = ", ".join(name for name in columns if name not in row)
            raise BadShard(path, f"no column {lacking}", f"it has: {', '.join(row)}")
        yield row
    if rows and not objects:
        raise BadShard(path, "neither JSON Lines nor a JSON array of objects: none of its rows is an object")


def parse_rows(args: argparse.Namespace, path: Path, file: str) -> Iterator[dict]:
    """Each row of a file as a row of QUESTIONS, or of REJECTS where it has a `reason`.

    `file` is its path in the source's repository.
    """
    name = question_source(args.repo)
    for number, row in enumerate(read_cells(path, list_columns(args))):
        if isinstance(row, dict):
            cells = [row.get(column) for column in args.question]
            row = build_question(cells, args.reference and row.get(args.reference))
        known = {"source": args.repo, "source_file": file, "id": row_id(name, file, number), "row": number}
        keys = ("reason", "detail") if isinstance(row[0], Reason) else ("question", "reference")
        yield known | dict(zip(keys, row, strict=True))


def list_columns(args: argparse.Namespace) -> list[str]:
    """The columns to read, each once."""
    return list(dict.fromkeys([*args.question, *([args.reference] if args.reference else [])]))


def check_file(path: Path, columns: list[str], on_bad_shard: str) -> dict:
    """The state of a file, which is read through once before any row is kept: its rows, or why it is bad."""
    try:
        return {"state": "read", "rows": sum(1 for _ in read_cells(path, columns))}
    except BadShard as bad:
        if on_bad_shard == "fail":
            raise
        log.warning("rejected the whole shard: %s", bad)
        return {"state": "bad", "detail": bad.what}


def read_files(args: argparse.Namespace, states: dict[str, dict]) -> Iterator[SplitRows]:
    """The questions and the rejected rows of all files, in order; `states` gets the state of each file."""
    columns = list_columns(args)
    left = args.max_questions
    for path, summary in zip(args.raw, args.raw_summaries, strict=True):
        file = read_json(summary)["files"]["raw"]["path"]
        states[file] = {"state": "unneeded"} if left == 0 else check_file(path, columns, args.on_bad_shard)
        if states[file]["state"] != "read":
            continue
        for batch in parquet.batch_rows(islice(parse_rows(args, path, file), left), parquet.GROUP_ROWS):
            yield [row for row in batch if "reason" not in row], [row for row in batch if "reason" in row]
            left = None if left is None else left - len(batch)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--raw", type=Path, nargs="*", required=True, help="the raw files, in order")
    parser.add_argument("--raw-summaries", type=Path, nargs="*", required=True, help="their summaries")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--question", nargs="+", required=True, help="columns that make the question")
    parser.add_argument("--reference", nargs="?", help="column of the source's own answer, if it has one")
    parser.add_argument("--max-questions", type=int, help="read the first so many; left out: all")
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)
    parser.add_argument("--questions", type=Path, required=True, help="out: the questions")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: the state of each file")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    states: dict[str, dict] = {}
    keep, drop = write_part(args.questions, QUESTIONS, args.rejects, read_files(args, states))
    files = {"shard": None, "rejects": drop, "questions": keep}
    write_summary(args.summary, files, sources={question_source(args.repo): states}, raw=None)
    log.info("%s: kept %d, rejected %d", args.repo, keep.rows, drop.rows)


if __name__ == "__main__":
    program.run(main)
