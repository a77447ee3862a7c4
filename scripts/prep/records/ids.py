"""Row ids: how they are made, and how they are parsed.

A row of a source file is `NAME/STEM:ROW`. NAME is the artifact's name, or that of a source of questions.
STEM is the file's name without its ending. ROW counts from 0, rejected rows included.
An answer, and the training row that is made of it, is `QUESTION ID#MODE.SAMPLE`.
The judge's first vote on an answer has the answer's id, the next ones are `ANSWER ID.1`, `ANSWER ID.2`, ….
"""

from functools import cache
from pathlib import PurePosixPath
from typing import NamedTuple


class AnswerId(NamedTuple):
    """What an answer's id says: the question's id, the mode, and the number of the sample."""

    question_id: str
    mode: str
    sample: int


def row_id(name: str, file: str, row: int) -> str:
    """The id of a row; `file` is the file's path in the source's repository."""
    return f"{name}/{_stem(file)}:{row}"


@cache
def _stem(file: str) -> str:
    # Parsing the path for every row would be a tenth of a conversion that reads headers alone.
    return PurePosixPath(file).stem


def question_source(repo: str, name: str | None) -> str:
    """The NAME of a source of questions: its own, or else the last part of its repository's."""
    return name or repo.rpartition("/")[2]


def parse_row_id(id_: str, name: str) -> tuple[str, int]:
    """The stem of a row's source file, and the row's number there."""
    stem, _, row = id_.removeprefix(f"{name}/").rpartition(":")
    return stem, int(row)


def answer_id(question_id: str, mode: str, sample: int) -> str:
    """The id of an answer to a question."""
    return f"{question_id}#{mode}.{sample}"


def parse_answer_id(id_: str) -> AnswerId:
    """The parts of an answer's id."""
    question_id, _, rest = id_.rpartition("#")
    mode, _, sample = rest.partition(".")
    return AnswerId(question_id, mode, int(sample))


def vote_id(answer: str, vote: int) -> str:
    """The id of one of the judge's votes on an answer, from 0."""
    return f"{answer}.{vote}" if vote else answer


def parse_vote_id(id_: str) -> tuple[str, int]:
    """The answer's id, and the number of the vote on it."""
    question_id, _, rest = id_.rpartition("#")
    mode, sample, *vote = rest.split(".")
    return answer_id(question_id, mode, int(sample)), int(vote[0]) if vote else 0
