#!/usr/bin/env python
"""Read the questions of a source: JSON Lines, a JSON array or parquet; empty and broken ones are rejected."""

import argparse
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from prep.records import json_rows
from prep.records.ids import file_prefix, question_source
from prep.records.reason import Defect, Reason
from prep.runtime import program
from prep.storage import parquet, part_summary
from prep.storage.atomic import read_json
from prep.storage.parquet import BadShard
from prep.storage.schema import QUESTIONS, REJECTS

log = logging.getLogger(__name__)

Cell = str | UnicodeDecodeError | None


def question_of(cells: list[Cell], reference: Cell) -> tuple[str, str | None] | Defect:
    """The question, its columns joined by a line break where not empty, and the reference; or a defect."""
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


def rows_of(path: Path, columns: list[str]) -> Iterator[dict[str, Cell] | Defect]:
    """The columns' cells of each row, or what is wrong with the row; raises BadShard for a whole file."""
    if path.suffix == ".parquet":
        for batch in parquet.Source(path, columns).batches():
            cells = [parquet.decode_column(batch.column(name)) for name in columns]
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


def outcomes(
    path: Path, question: list[str], reference: str | None, origin: dict[str, str]
) -> Iterator[tuple[dict, bool]]:
    """Each row of a file as a row of QUESTIONS, or of REJECTS; the flag says which (True: a question).

    `question` and `reference` are columns; `origin` is the `source` and the `source_file`.
    """
    prefix = file_prefix(question_source(origin["source"]), origin["source_file"])
    for number, row in enumerate(rows_of(path, columns_of(question, reference))):
        if isinstance(row, dict):
            found = question_of([row.get(name) for name in question], reference and row.get(reference))
        else:
            found = row
        known = origin | {"id": f"{prefix}{number}", "row": number}
        if isinstance(found[0], Reason):
            yield known | {"reason": found[0], "detail": found[1]}, False
        else:
            yield known | {"question": found[0], "reference": found[1]}, True


def columns_of(question: list[str], reference: str | None) -> list[str]:
    """The columns to read, each once."""
    return list(dict.fromkeys([*question, *([reference] if reference else [])]))


def state_of(path: Path, columns: list[str], on_bad_shard: str) -> dict:
    """What a file is, read once through before any of it is kept: its rows, or why it is bad."""
    try:
        return {"state": "read", "rows": sum(1 for _ in rows_of(path, columns))}
    except BadShard as bad:
        if on_bad_shard == "fail":
            raise
        log.warning("rejected the whole shard: %s", bad)
        return {"state": "bad", "detail": bad.what}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--raw", type=Path, nargs="*", required=True, help="the raw files, in order")
    parser.add_argument("--identities", type=Path, nargs="*", required=True, help="JSON: each one's path")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--question", nargs="+", required=True, help="columns that make the question")
    parser.add_argument("--reference", nargs="?", help="column of the source's own answer, if it has one")
    parser.add_argument("--max-questions", type=int, required=True, help="read so many; -1: all")
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)
    parser.add_argument("--questions", type=Path, required=True, help="out: the questions")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: the state of each file")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    source = question_source(args.repo)
    columns = columns_of(args.question, args.reference)
    left = None if args.max_questions < 0 else args.max_questions
    states = {}
    with (
        parquet.open_sink(args.questions, QUESTIONS) as keep,
        parquet.open_sink(args.rejects, REJECTS) as drop,
    ):
        for path, identity in zip(args.raw, args.identities, strict=True):
            file = read_json(identity)["file"]
            states[file] = {"state": "unneeded"} if left == 0 else state_of(path, columns, args.on_bad_shard)
            if states[file]["state"] != "read":
                continue
            origin = {"source": args.repo, "source_file": file}
            rows = islice(outcomes(path, args.question, args.reference, origin), left)
            for chunk in parquet.batch_rows(rows, parquet.GROUP_ROWS):
                keep.add_rows([row for row, asked in chunk if asked])
                drop.add_rows([row for row, asked in chunk if not asked])
                left = None if left is None else left - len(chunk)
    part_summary.write_summary(args.summary, {source: states}, shard=None, rejects=drop, questions=keep)
    log.info("%s: kept %d, rejected %d", args.repo, keep.rows, drop.rows)


if __name__ == "__main__":
    program.run(main)
