"""Questions for a teacher: reading them, and joining answers to them by id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prep.records.tags import IMAGE_TAG
from prep.records.template_tokens import break_template_tokens
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.schema import QUESTIONS


@dataclass(frozen=True)
class Question:
    """A text question, or a user turn beside its picture; see prep.storage.schema.QUESTIONS for the fields.

    `question` is the text as the source has it, tag included; `image` the picture's encoded bytes, where they
    were read.
    """

    id: str
    source: str
    source_id: str | None
    source_file: str
    row: int
    question: str
    reference: str | None
    image_sha256: str | None
    image: bytes | None = None
    image_path: str | None = None

    @property
    def text(self) -> str:
        """The question without its picture's tag: what a teacher and a judge are asked."""
        return self.question.replace(IMAGE_TAG, "").strip() if self.image_sha256 else self.question

    @property
    def request_text(self) -> str:
        """The text as requests carry it: template tokens in it are broken."""
        return break_template_tokens(self.text)

    def to_row(self) -> dict:
        """The question as a row of QUESTIONS."""
        image = None if self.image is None else {"bytes": self.image, "path": self.image_path}
        return {name: image if name == "image" else getattr(self, name) for name in QUESTIONS.names}

    def without_picture(self) -> "Question":
        """The same question as a text alone."""
        return replace(self, question=self.text, image_sha256=None, image=None, image_path=None)

    def origin(self) -> dict:
        """Where the question is from, as a reject names it."""
        return {"source_file": self.source_file, "row": self.row}


def read_questions(paths: Iterable[Path], with_pictures: bool = True) -> Iterator[Question]:
    """The questions of some files in order, a row group in memory at a time; without pictures, much less."""
    for path in paths:
        yield from map(_build_question, parquet.read_rows(path, _list_columns(with_pictures)))


def find_questions(
    files: Iterable[Path], ids: Iterable[str], with_pictures: bool = False
) -> dict[str, Question]:
    """The questions with these ids, by id."""
    wanted = pc.field("id").isin(pa.array(sorted(ids), pa.string()))
    columns = _list_columns(with_pictures)
    tables = (pq.read_table(file, columns=columns, filters=wanted) for file in files)
    return {row["id"]: _build_question(row) for table in tables for row in table.to_pylist()}


def _list_columns(with_pictures: bool) -> list[str]:
    return [name for name in QUESTIONS.names if with_pictures or name != "image"]


def _build_question(row: dict) -> Question:
    """The question of a row of QUESTIONS, which may lack its picture."""
    image = row.get("image") or {}
    return Question(
        **{name: value for name, value in row.items() if name != "image"},
        image=image.get("bytes"),
        image_path=image.get("path"),
    )


def join_answers(questions: Iterable[Question], answers: Iterable[dict]) -> Iterator[tuple[Question, dict]]:
    """Each answer with its question, joined by id: a merge of two streams in the same order of questions.

    Raises UserError where the question of an answer is not there.
    """
    questions, asked = iter(questions), None
    for answer in answers:
        while asked is None or asked.id != answer["question_id"]:
            if (asked := next(questions, None)) is None:
                raise UserError(f"{answer['id']}: its question is not there; delete the answers, run again")
        yield asked, answer
