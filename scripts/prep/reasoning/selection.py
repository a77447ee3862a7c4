"""From answers and verdicts to training rows and rejects: what is kept of a batch of stage 3."""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from prep.reasoning import verdict
from prep.records import question
from prep.records.question import Question
from prep.records.reason import Defect
from prep.records.template_tokens import with_note
from prep.storage import parquet, part_summary
from prep.storage.schema import REASONED, REJECTS


@dataclass(frozen=True)
class Selected:
    """An answer with its question, its score, and its defect or None when it is kept."""

    question: Question
    answer: dict
    score: int | None
    defect: Defect | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every program that selects."""
    parser.add_argument("--questions", type=Path, nargs="+", required=True)
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--verdicts", type=Path, required=True)
    parser.add_argument("--min-score", type=int, required=True)
    parser.add_argument("--shard", type=Path, required=True, help="out: training rows")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: checksums")


def read(args: argparse.Namespace) -> Iterator[Selected]:
    """The answers of a batch in order, joined by id with their questions and verdicts."""
    looked_at = ["id", "question_id", "mode", "sample", "reason", "detail"]
    answers = parquet.read_rows(args.answers, looked_at)
    outcomes = verdict.outcomes(answers, parquet.read_rows(args.verdicts), args.min_score)
    questions = question.read_questions(args.questions)
    for asked, answer in question.join_answers(questions, parquet.read_rows(args.answers)):
        yield Selected(asked, answer, *outcomes[answer["id"]])


def write(args: argparse.Namespace, outcomes: Iterable[tuple[Selected, dict | Defect]]) -> None:
    """Write each outcome where it belongs: a training row, or a defect."""
    with parquet.open_sink(args.shard, REASONED) as keep, parquet.open_sink(args.rejects, REJECTS) as drop:
        for chunk in parquet.batch_rows(outcomes, parquet.STREAMED_ROWS):
            keep.add_rows([row for _, row in chunk if isinstance(row, dict)])
            drop.add_rows([reject(selected, row) for selected, row in chunk if not isinstance(row, dict)])
    part_summary.write_summary(args.summary, {}, shard=keep, rejects=drop)


def training_row(selected: Selected, user: str, images: list[dict]) -> dict:
    """The training row of an answer: what the user says, with these pictures, and the whole answer."""
    asked, answer = selected.question, selected.answer
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
        "score": selected.score,
    }


def reject(selected: Selected, defect: Defect) -> dict:
    """The reject of an answer, named by the training row that it would have been.

    What the detail of a whole answer tells of its request stands in it too (see
    prep.records.template_tokens).
    """
    answer, (reason, detail) = selected.answer, defect
    if answer["reason"] is None:
        detail = with_note(detail, selected.question.text)
    return {"id": answer["id"], **selected.question.origin(), "reason": reason, "detail": detail}
