#!/usr/bin/env python
"""Convert one shard of questions about pictures, each with its answer, perhaps choices and a rationale."""

from functools import partial
from string import ascii_uppercase

import pyarrow as pa

from prep.convert import shard
from prep.convert.shard import Messages, Row
from prep.records import conversation
from prep.records.reason import Reason, Rejection
from prep.runtime import program
from prep.storage import parquet

ROLES = ("question", "answer", "choices", "rationale")
"""The columns of the form, of which the last two may be left out."""


def find_choice(answer: str, choices: list[str], answer_by: str) -> int | None:
    """The number of the choice that an answer names by its `text`, `letter` or `index` (from 0)."""
    answer = answer.strip()
    if answer_by == "text":
        found = [number for number, choice in enumerate(choices) if choice.strip() == answer]
        return found[0] if found else None
    if answer_by == "letter":
        number = ascii_uppercase.find(answer.upper()) if len(answer) == 1 else -1
    else:
        number = int(answer) if answer.isascii() and answer.isdigit() else -1
    return number if 0 <= number < len(choices) else None


def list_choices(choices: list[str]) -> list[str]:
    """The choices as lines that begin with their letters."""
    return [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, choices, strict=False)]


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
    if choices:
        texts = [parquet.decode(choice) for choice in choices]
        if None in texts or len(texts) > len(ascii_uppercase):
            return Reason.CHOICE_INVALID, "a choice is null" if None in texts else f"{len(texts)} choices"
        number = find_choice(said, texts, answer_by or "text")
        if number is None:
            return Reason.CHOICE_INVALID, f"{said!r:.100} names none of {len(texts)} choices"
        lines = list_choices(texts)
        asked, said = "\n".join([asked, *lines]), lines[number]
    elif answer_by in ("letter", "index"):
        return Reason.CHOICE_INVALID, f"{said!r:.100}, and no choices"
    if why and why.strip():
        said = f"{why}\n\n{said}"
    found = conversation.build_messages([("human", asked), ("gpt", said)], True, row.pictures)
    return (found, "") if isinstance(found, Reason) else found


def main() -> None:
    parser = shard.build_parser(__doc__)
    parser.add_argument("--answer-by", choices=("text", "letter", "index"), help="how it names a choice")
    args = parser.parse_args()
    given = [role for role in ROLES if role in args.columns]
    kinds = {"choices": pa.list_(parquet.RAW_TEXT)}
    columns = [pa.field(args.columns[role], kinds.get(role, parquet.RAW_TEXT)) for role in given]
    shard.run(args, columns, partial(build_cells, given=given, answer_by=args.answer_by))


def build_cells(row: Row, *cells: object, given: list[str], answer_by: str | None) -> Messages | Rejection:
    """The messages of a row of which the `given` columns were read."""
    found = dict.fromkeys(ROLES) | dict(zip(given, cells, strict=True))
    return build_messages(row, **found, answer_by=answer_by)


if __name__ == "__main__":
    program.run(main)
