"""Questions of a source: each row of its files as a question with its pictures, or as a reject."""

import argparse
import hashlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from prep.containers.picture_files import PictureFiles
from prep.containers.rows import Picture, check_columns, convert_cells, open_rows
from prep.convert.shard import find_pictures_rejection, take_cells
from prep.records import conversation, json_rows
from prep.records.choices import add_choices
from prep.records.ids import question_source, row_id
from prep.records.reason import Reason, Rejection
from prep.records.tags import IMAGE_TAG
from prep.storage import parquet

Cell = str | UnicodeDecodeError | None


class Asked(NamedTuple):
    """The cells of a row, and its picture where the source's questions have one."""

    cells: dict[str, Any]
    picture: Picture | None = None


def build_question(
    cells: list[Cell], reference: Cell, choices: list[Cell] | None = None, answer_by: str | None = None
) -> tuple[str, str | None] | Rejection:
    """The question, its columns joined by a line break where not empty, and the reference; or a rejection.

    Choices become lettered lines of the question, and the reference the one that it names.
    """
    for cell in (*cells, reference, *(choices or [])):
        if isinstance(cell, UnicodeDecodeError):
            return Reason.TEXT_NOT_UTF8, str(cell)[-200:]
    question = "\n".join(cell for cell in cells if cell)
    if not question.strip():
        return Reason.QUESTION_EMPTY, ""
    return add_choices(question, reference, choices, answer_by)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """The flags that a source's entry decides."""
    parser.add_argument("--repo", required=True)
    parser.add_argument("--name", help="of the source, in ids; left out: the last part of the repository's")
    parser.add_argument("--question", nargs="+", required=True, help="columns that make the question")
    parser.add_argument("--reference", nargs="?", help="column of the source's own answer, if it has one")
    parser.add_argument("--choices", help="column of the choices, a list of texts")
    parser.add_argument("--answer-by", choices=("text", "letter", "index"), help="how it names a choice")
    parser.add_argument("--image", help="column of the picture that a question is about, if there is one")
    parser.add_argument("--picture-folder", default="", help="where in these files the names begin")
    parser.add_argument("--check", choices=("decode", "header"), help="of pictures")
    parser.add_argument("--max-pixels", type=int, help="of pictures")
    parser.add_argument("--max-questions", type=int, help="read the first so many; left out: all")
    parser.add_argument("--on-bad-shard", choices=("fail", "reject"), required=True)


def read_asked(
    args: argparse.Namespace, path: Path, pictures: PictureFiles | None, take: int | None = None
) -> Iterator[Asked | Rejection]:
    """The cells of the first `take` rows of a file (None: all), or what is wrong with the row.

    Raises BadShard for a whole file.
    """
    columns = list_columns(args)
    if args.image:
        yield from read_pictured(args, path, columns, pictures, take)
        return
    for row in read_cells(path, columns, take):
        yield Asked(row) if isinstance(row, dict) else row


def read_pictured(
    args: argparse.Namespace,
    path: Path,
    columns: list[pa.Field],
    pictures: PictureFiles | None,
    take: int | None,
) -> Iterator[Asked | Rejection]:
    """The rows of a file of questions about pictures, in any container (see prep.containers.rows)."""
    names = [field.name for field in columns]
    for batch in open_rows(path, args.image, columns, pictures).batches(take):
        rows = take_cells(0, batch)
        texts = map(pa.Array.to_pylist, rows.texts.columns)
        for at, (own, *cells) in enumerate(zip(rows.pictures, *texts, strict=True)):
            if fault := rows.faults.get(at):
                yield fault
            elif len(own) > 1:
                yield Reason.QUESTION_INVALID, f"{len(own)} pictures, and a question has one"
            else:
                [picture] = own or [(None, None)]
                yield Asked(dict(zip(names, map(decode_cell, cells), strict=True)), picture)


def decode_cell(cell: bytes | list[bytes | None] | None) -> Any:
    """A cell's text, or texts; where one is not UTF-8, its error."""
    return [decode_cell(each) for each in cell] if isinstance(cell, list) else parquet.decode_or_error(cell)


def read_cells(path: Path, columns: list[pa.Field], take: int | None) -> Iterator[dict[str, Any] | Rejection]:
    """The columns' cells of each row, or what is wrong with the row; raises BadShard for a whole file."""
    names = [field.name for field in columns]
    if path.suffix == ".parquet":
        for batch in parquet.Reader(path, columns).batches(take):
            cells = [map(decode_cell, batch.column(name).to_pylist()) for name in names]
            yield from (dict(zip(names, row, strict=True)) for row in zip(*cells, strict=True))
        return
    for row in check_columns(path, islice(json_rows.read_rows(path), take), names):
        found = convert_cells(row, columns) if isinstance(row, dict) else row
        if isinstance(found, list):
            yield dict(zip(names, map(decode_cell, found), strict=True))
        else:
            reason, detail = found
            yield (Reason.QUESTION_INVALID if reason == Reason.ROW_INVALID else reason), detail


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
    if not turns[0]["content"].replace(IMAGE_TAG, "").strip():
        return Reason.QUESTION_EMPTY, "nothing but the picture"
    data, name = row.picture
    about = {"image_sha256": hashlib.sha256(data).hexdigest()}
    about["image"] = {"bytes": data, "path": parquet.decode(name)}
    return {"question": turns[0]["content"], "reference": reference, **about}


def parse_rows(
    args: argparse.Namespace,
    path: Path,
    file: str,
    pictures: PictureFiles | None,
    take: int | None = None,
) -> Iterator[dict]:
    """The first `take` rows of a file (None: all), each of QUESTIONS, or of REJECTS where it has a `reason`.

    `file` is its path in the source's repository; `pictures` are those that its rows name.
    """
    name = question_source(args.repo, args.name)
    for number, row in enumerate(read_asked(args, path, pictures, take)):
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
