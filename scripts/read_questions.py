#!/usr/bin/env python
"""Read the questions of a source: JSON Lines, a JSON array or parquet; empty and broken ones are rejected."""

import argparse
import hashlib
import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from prep.containers.picture_files import open_picture_files
from prep.containers.rows import Picture, open_rows
from prep.convert.shard import find_pictures_rejection
from prep.records import conversation, json_rows
from prep.records.choices import add_choices
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


class Asked(NamedTuple):
    """The cells of a row, and its picture where the source's questions have one."""

    cells: dict[str, Any]
    picture: Picture | None = None


def build_question(
    cells: list[Cell], reference: Cell, choices: Any = None, answer_by: str | None = None
) -> tuple[str, str | None] | Rejection:
    """The question, its columns joined by a line break where not empty, and the reference; or a rejection.

    Choices become lettered lines of the question, and the reference the one that it names.
    """
    if not isinstance(choices, list | None):
        return Reason.QUESTION_INVALID, f"not a list of choices: {choices!r:.100}"
    for cell in (*cells, reference, *(choices or [])):
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
    return add_choices(question, reference, choices, answer_by)


def read_asked(args: argparse.Namespace, path: Path) -> Iterator[Asked | Rejection]:
    """The cells of each row of a file, or what is wrong with the row; raises BadShard for a whole file."""
    columns = list_columns(args)
    if args.image:
        yield from read_pictured(args, path, columns)
        return
    for row in read_cells(path, columns):
        yield Asked(row) if isinstance(row, dict) else row


def read_pictured(
    args: argparse.Namespace, path: Path, columns: list[pa.Field]
) -> Iterator[Asked | Rejection]:
    """The rows of a file of questions about pictures, in any container (see prep.containers.rows)."""
    files = {"files": args.pictures, "folder": args.picture_folder} if args.pictures else None
    names = [field.name for field in columns]
    for batch in open_rows(path, args.image, columns, open_picture_files(files)).batches():
        for at, (pictures, *cells) in enumerate(zip(*map(pa.Array.to_pylist, batch.cells), strict=True)):
            if fault := batch.faults.get(at):
                yield fault
            elif len(pictures) > 1:
                yield Reason.QUESTION_INVALID, f"{len(pictures)} pictures, and a question has one"
            else:
                [picture] = [(each["bytes"], each["path"]) for each in pictures] or [(None, None)]
                yield Asked(dict(zip(names, map(decode_cell, cells), strict=True)), picture)


def decode_cell(cell: bytes | list[bytes | None] | None) -> Any:
    """A cell's text, or texts; where one is not UTF-8, its error."""
    return [decode_cell(each) for each in cell] if isinstance(cell, list) else parquet.decode_or_error(cell)


def read_cells(path: Path, columns: list[pa.Field]) -> Iterator[dict[str, Any] | Rejection]:
    """The columns' cells of each row, or what is wrong with the row; raises BadShard for a whole file."""
    names = [field.name for field in columns]
    if path.suffix == ".parquet":
        for batch in parquet.Reader(path, columns).batches():
            cells = [map(decode_cell, batch.column(name).to_pylist()) for name in names]
            yield from (dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True))
        return
    rows = objects = 0
    for row in json_rows.read_rows(path):
        rows, objects = rows + 1, objects + isinstance(row, dict)
        if objects == 1 and isinstance(row, dict) and not row.keys() >= set(names):
            lacking = ", ".join(name for name in names if name not in row)
            raise BadShard(path, f"no column {lacking}", f"it has: {', '.join(row)}")
        yield row
    if rows and not objects:
        raise BadShard(path, "neither JSON Lines nor a JSON array of objects: none of its rows is an object")


def ask(args: argparse.Namespace, row: Asked) -> dict[str, Any] | Rejection:
    """What a row of QUESTIONS holds of a question: its texts, and its picture with the tag in the text."""
    cells = [row.cells.get(column) for column in args.question]
    choices = args.choices and row.cells.get(args.choices)
    found = build_question(cells, args.reference and row.cells.get(args.reference), choices, args.answer_by)
    if isinstance(found[0], Reason):
        return found
    question, reference = found
    if row.picture is None:
        return {"question": question, "reference": reference}
    if rejection := find_pictures_rejection([row.picture], args.max_pixels, args.check):
        return rejection
    # The rules of a conversation's first turn, with some answer.
    turns = conversation.build_messages([("human", question), ("gpt", ".")], True, None)
    if isinstance(turns, Reason):
        return turns, ""
    data, name = row.picture
    about = {"image_sha256": hashlib.sha256(data).hexdigest()}
    about["image"] = {"bytes": data, "path": parquet.decode(name)}
    return {"question": turns[0]["content"], "reference": reference, **about}


def parse_rows(args: argparse.Namespace, path: Path, file: str) -> Iterator[dict]:
    """Each row of a file as a row of QUESTIONS, or of REJECTS where it has a `reason`.

    `file` is its path in the source's repository.
    """
    name = question_source(args.repo)
    for number, row in enumerate(read_asked(args, path)):
        known = {"source": args.repo, "source_file": file, "id": row_id(name, file, number), "row": number}
        found = ask(args, row) if isinstance(row, Asked) else row
        if isinstance(found, tuple):
            found = {"reason": found[0], "detail": found[1]}
        yield known | found


def list_columns(args: argparse.Namespace) -> list[pa.Field]:
    """The columns to read besides the picture's, each once."""
    texts = dict.fromkeys([*args.question, *([args.reference] if args.reference else [])])
    choices = [pa.field(args.choices, pa.list_(parquet.RAW_TEXT))] if args.choices else []
    return [*(pa.field(name, parquet.RAW_TEXT) for name in texts), *choices]


def check_file(args: argparse.Namespace, path: Path) -> dict:
    """The state of a file, which is read through once before any row is kept: its rows, or why it is bad."""
    try:
        return {"state": "read", "rows": sum(1 for _ in read_asked(args, path))}
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
        rows = islice(parse_rows(args, path, file), left)
        for batch in parquet.batch_rows(rows, parquet.STREAMED_ROWS if args.image else parquet.GROUP_ROWS):
            yield [row for row in batch if "reason" not in row], [row for row in batch if "reason" in row]
            left = None if left is None else left - len(batch)


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--raw", type=Path, nargs="*", required=True, help="the raw files, in order")
    parser.add_argument("--raw-summaries", type=Path, nargs="*", required=True, help="their summaries")
    parser.add_argument("--repo", required=True)
    parser.add_argument("--question", nargs="+", required=True, help="columns that make the question")
    parser.add_argument("--reference", nargs="?", help="column of the source's own answer, if it has one")
    parser.add_argument("--choices", help="column of the choices, a list of texts")
    parser.add_argument("--answer-by", choices=("text", "letter", "index"), help="how it names a choice")
    parser.add_argument("--image", help="column of the picture that a question is about, if there is one")
    parser.add_argument("--pictures", type=Path, nargs="*", default=[], help="files that the column names")
    parser.add_argument("--picture-folder", default="", help="where in these files the names begin")
    parser.add_argument("--check", choices=("decode", "header"), help="of pictures")
    parser.add_argument("--max-pixels", type=int, help="of pictures")
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
