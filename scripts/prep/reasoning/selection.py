"""Selection of a batch of stage 3: each judged answer becomes a training row or a reject."""

import argparse
import heapq
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from prep.reasoning.funnel import Funnel
from prep.reasoning.samples import Decision, Policy, measure_pass_rates, select_answers
from prep.records import ids, question
from prep.records.question import Question
from prep.records.reason import Rejection
from prep.records.template_tokens import with_note
from prep.storage import parquet
from prep.storage.schema import REASONED, REASONED_BY
from prep.storage.summary import SplitRows, write_part, write_summary

LOOKED_AT = ["id", "question_id", "mode", "sample", "reason", "detail"]
"""The columns of ANSWERS that decide, so that a batch's texts need not be in memory."""


@dataclass(frozen=True)
class JudgedAnswer:
    """An answer with its question, and what was decided of it (see prep.reasoning.samples)."""

    question: Question
    answer: dict
    score: int | None
    rejection: Rejection | None
    pass_rate: float | None = None
    has_passed: bool = False
    rule: str | None = None
    votes: int | None = None
    needs_picture: bool | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of every program that selects."""
    parser.add_argument("--questions", type=Path, nargs="+", required=True)
    parser.add_argument("--answers", type=Path, nargs="+", required=True, help="of each teacher")
    parser.add_argument("--verdicts", type=Path, nargs="+", required=True, help="of each teacher's answers")
    # Only where pass rates are not the teachers' own.
    parser.add_argument("--rated-answers", type=Path, nargs="*", default=[], help="whose pass rates count")
    parser.add_argument("--rated-verdicts", type=Path, nargs="*", default=[], help="on these answers")
    # Only where there are several teachers.
    parser.add_argument("--teachers", nargs="+", default=[], help="the names of several, in order")
    parser.add_argument(
        "--samples", type=int, default=0, help="of each teacher before the next is numbered on"
    )
    parser.add_argument("--min-score", type=int, required=True)
    parser.add_argument(
        "--disagree",
        choices=("ask", "reject"),
        required=True,
        help="where a rule does: the judge decides, or not",
    )
    parser.add_argument("--keep", choices=("best", "first", "all"), required=True, help="of samples")
    parser.add_argument("--keep-failed", type=json.loads, required=True, help="true: whatever the judge said")
    parser.add_argument("--pass-rate", type=float, nargs=2, required=True, help="lowest and highest share")
    parser.add_argument("--shard", type=Path, required=True, help="out: training rows")
    parser.add_argument("--rejects", type=Path, required=True, help="out: rejected rows")
    parser.add_argument("--summary", type=Path, required=True, help="out: checksums")


def decide_answers(args: argparse.Namespace) -> tuple[dict[str, Decision], list[dict]]:
    """What comes of each answer of a batch, by its id; and the verdicts. Texts of answers are not read."""
    answers = chain.from_iterable(number_on(args, args.answers, LOOKED_AT))
    verdicts = list(chain.from_iterable(number_on(args, args.verdicts)))
    policy = Policy(args.min_score, args.disagree, args.keep, args.keep_failed, tuple(args.pass_rate))
    rates = None
    if args.rated_answers:
        rated = chain.from_iterable(parquet.read_rows(path, LOOKED_AT) for path in args.rated_answers)
        rated_verdicts = chain.from_iterable(map(parquet.read_rows, args.rated_verdicts))
        rates = measure_pass_rates(rated, rated_verdicts, policy)
    return select_answers(answers, verdicts, policy, rates), verdicts


def read_judged_answers(args: argparse.Namespace) -> Iterator[JudgedAnswer]:
    """The answers of a batch in order, joined by id with their questions and verdicts."""
    found, verdicts = decide_answers(args)
    said = {row["id"]: (row["rule"], row["votes"]) for row in verdicts}
    del verdicts
    questions = question.read_questions(args.questions)
    for asked, answer in question.join_answers(questions, merge_teachers(args, args.answers)):
        yield JudgedAnswer(asked, answer, *found[answer["id"]], *said.get(answer["id"], ()))


def merge_teachers(args: argparse.Namespace, paths: list[Path]) -> Iterator[dict]:
    """The answers of a batch in the order of its questions; of a question, in the order of the teachers."""
    streams = number_on(args, paths)
    if len(streams) == 1:
        return streams[0]
    asked = (row["id"] for path in args.questions for row in parquet.read_rows(path, ["id"]))
    place = {id_: number for number, id_ in enumerate(asked)}
    return heapq.merge(*streams, key=lambda answer: place[answer["question_id"]])


def number_on(
    args: argparse.Namespace, paths: list[Path], columns: list[str] | None = None
) -> list[Iterator[dict]]:
    """The rows of each teacher's file; samples are numbered on from one teacher to the next.

    So ids stay unique, and of equally good answers the first teacher's is kept.
    """
    files = [parquet.read_rows(path, columns) for path in paths]
    if not args.teachers:
        return files
    named = enumerate(zip(args.teachers, files, strict=True))
    return [number_rows(rows, number * args.samples, teacher) for number, (teacher, rows) in named]


def number_rows(rows: Iterable[dict], before: int, teacher: str) -> Iterator[dict]:
    """Answers or verdicts of a teacher, before whose samples there are so many others."""
    for row in rows:
        parts = ids.parse_answer_id(row["id"])
        sample = parts.sample + before
        changes = {"id": ids.answer_id(parts.question_id, parts.mode, sample), "teacher": teacher}
        yield row | changes | ({"sample": sample} if "sample" in row else {})


def write_selection(
    args: argparse.Namespace,
    results: Iterable[tuple[JudgedAnswer, dict | Rejection]],
    metadata: Callable[[], Mapping[str, str]] = dict,
) -> None:
    """Write each result where it belongs: a training row, or a rejection.

    `metadata` is asked after the last row for what the file of training rows says of itself.
    """

    funnel = Funnel()

    def split() -> Iterator[SplitRows]:
        for batch in parquet.batch_rows(results, parquet.STREAMED_ROWS):
            for judged, row in batch:
                funnel.add(judged.answer, judged.rule, judged.has_passed, isinstance(row, dict))
            kept = [row for _, row in batch if isinstance(row, dict)]
            yield kept, [build_reject(judged, row) for judged, row in batch if not isinstance(row, dict)]

    schema = REASONED_BY if args.teachers else REASONED
    keep, drop = write_part(args.shard, schema, args.rejects, split(), metadata)
    files = {"shard": keep, "rejects": drop}
    write_summary(args.summary, files, sources={}, raw=None, funnel=funnel.lines())


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
        "rule": judged.rule,
        "pass_rate": judged.pass_rate,
        "votes": judged.votes,
        "needs_picture": judged.needs_picture,
    } | ({"teacher": answer["teacher"]} if "teacher" in answer else {})


def build_reject(judged: JudgedAnswer, rejection: Rejection) -> dict:
    """The reject of an answer, named by the training row that it would have been.

    What the detail of a whole answer tells of its request stands in it too (see
    prep.records.template_tokens).
    """
    answer, (reason, detail) = judged.answer, rejection
    if answer["reason"] is None:
        detail = with_note(detail, judged.question.text)
    return {"id": answer["id"], **judged.question.origin(), "reason": reason, "detail": detail}
