"""Selection of a batch of stage 3: judged answers become training rows or rejects."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prep.reasoning import verdict
from prep.records import question
from prep.records.question import Question
from prep.records.reason import Rejection
from prep.records.template_tokens import with_note
from prep.storage import parquet
from prep.storage.schema import REASONED
from prep.storage.summary import SplitRows, write_part, write_summary


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer with its question, its score, and its rejection or None when it is kept."""

    question: Question
    answer: dict
    score: int | None
    rejection: Rejection | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every program that selects."""
    parser.add_argument("--questions", type=Path, nargs="+", required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--verdicts", type=Path, required=True)
    parser.add_argument("--min-score", type=int, required=True)
    parser.add_argument("--shard", type=Path, required=True, help="out: training rows")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: checksums")


def read_judged_answers(args: argparse.Namespace) -> Iterator[JudgedAnswer]:
    """The answers of a batch in order, joined by id with their questions and verdicts."""
    looked_at = ["id", "question_id", "mode", "sample", "reason", "detail"]
    answers = parquet.read_rows(args.answers, looked_at)
    found = verdict.select_answers(answers, parquet.read_rows(args.verdicts), args.min_score)
    questions = question.read_questions(args.questions)
    for asked, answer in question.join_answers(questions, parquet.read_rows(args.answers)):
        yield JudgedAnswer(asked, answer, *found[answer["id"]])


def write_selection(
    args: argparse.Namespace, results: Iterable[tuple[JudgedAnswer, dict | Rejection]]
) -> None:
    """Write each result where it belongs: a training row, or a rejection."""

    def split() -> Iterator[SplitRows]:
        for batch in parquet.batch_rows(results, parquet.STREAMED_ROWS):
            kept = [row for _, row in batch if isinstance(row, dict)]
            yield kept, [build_reject(judged, row) for judged, row in batch if not isinstance(row, dict)]

    keep, drop = write_part(args.shard, REASONED, args.rejects, split())
    write_summary(args.summary, {"shard": keep, "rejects": drop}, sources={}, raw=None)


def build_training_row(judged: JudgedAnswer, user: str, images: list[dict]) -> dict:
    """The training row of an answer: what the user says, with these pictures, and the whole answer."""
    asked, answer = judged.question, judged.answer
    return {
        "id": answer["id"],
        "source_id": asked.source_id,
        "messages": [
            {"content": user, "role": "user"},
            {"content": answer["text"], "role": "assistant"},
        ],
        "images": images,
        "source": asked.source,
        "mode": answer["mode"],
        "score": judged.score,
    }


def build_reject(judged: JudgedAnswer, rejection: Rejection) -> dict:
    """The reject of an answer, named by the training row that it would have been.

    What the detail of a whole answer tells of its request stands in it too (see
    prep.records.template_tokens).
    """
    answer, (reason, detail) = judged.answer, rejection
    if answer["reason"] is None:
        detail = with_note(detail, judged.question.text)
    return {"id": answer["id"], **judged.question.origin(), "reason": reason, "detail": detail}
