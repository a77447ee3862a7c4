"""Form of questions about the pictures, each with its answer, perhaps choices and a rationale."""

import argparse
from functools import partial

import pyarrow as pa

from prep.convert.shard import Form, Messages, Row
from prep.records import conversation
from prep.records.choices import add_choices
from prep.records.reason import Reason, Rejection
from prep.storage import parquet

ROLES = ("question", "answer", "choices", "rationale")
"""The columns of the form, of which the last two may be left out."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The settings of the form."""
    parser.add_argument("--answer-by", choices=("text", "letter", "index"), help="how it names a choice")


def build_form(args: argparse.Namespace) -> Form:
    """The form by its settings."""
    given = [role for role in ROLES if role in args.columns]
    kinds = {"choices": pa.list_(parquet.RAW_TEXT)}
    columns = [pa.field(args.columns[role], kinds.get(role, parquet.RAW_TEXT)) for role in given]
    return Form(columns, partial(build_cells, given=given, answer_by=args.answer_by))


def build_messages(
    row: Row,
    question: bytes | None,
    answer: bytes | None,
    choices: list[bytes | None] | None,
    rationale: bytes | None,
    answer_by: str | None,
) -> Messages | Rejection:
    """The question with its choices, and the answer after its rationale; or why there is none.

    Where a row has choices, its answer must name one, and is then that choice with its letter. A letter or an
    index without choices names nothing.
    """
    asked, said, why = (parquet.decode(cell) for cell in (question, answer, rationale))
    if asked is None or not asked.strip():
        return Reason.QUESTION_EMPTY, "null" if asked is None else ""
    if said is None or not said.strip():
        return Reason.TEXT_EMPTY, "the answer is null" if said is None else "the answer"
    texts = choices and [parquet.decode(choice) for choice in choices]
    asked, said = add_choices(asked, said, texts, answer_by)
    if isinstance(asked, Reason):
        return asked, said
    if why and why.strip():
        said = f"{why}\n\n{said}"
    found = conversation.build_messages([("human", asked), ("gpt", said)], True, row.pictures)
    return (found, "") if isinstance(found, Reason) else found


def build_cells(row: Row, *cells: object, given: list[str], answer_by: str | None) -> Messages | Rejection:
    """The messages of a row of which the `given` columns were read."""
    found = dict.fromkeys(ROLES) | dict(zip(given, cells, strict=True))
    return build_messages(row, **found, answer_by=answer_by)
