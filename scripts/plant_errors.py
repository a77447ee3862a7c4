#!/usr/bin/env python
"""Plant known errors and right answers in the place of kept ones: a batch to measure the judge by."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from prep.comparison.comparer import Comparer
from prep.reasoning.answer_format import strip_thinking
from prep.reasoning.calibration import Kind
from prep.reasoning.planted_answers import Kept, plant_answers, sample_answers
from prep.records import ids
from prep.records.question import Question, find_questions
from prep.runtime import program
from prep.storage import parquet
from prep.storage.schema import ANSWERS, QUESTIONS
from prep.storage.summary import write_summary

log = logging.getLogger("prep")


def read_kept(artifact: Path, questions: Iterable[Path], seed: int, count: int) -> list[Kept]:
    """A sample of an artifact's answers with their questions, in the order of a hash of seed and id."""
    rows = ((position, row["id"]) for position, row in enumerate(parquet.read_rows(artifact, ["id"])))
    sampled = sample_answers(rows, seed, count)
    texts = {}
    for row in parquet.read_rows_at(artifact, sorted(position for position, _ in sampled)):
        texts[row["id"]] = strip_thinking(row["messages"][-1]["content"])
    asked_of = {id_: ids.parse_answer_id(id_).question_id for _, id_ in sampled}
    asked = find_questions(questions, asked_of.values(), with_pictures=True)
    return [Kept(asked[asked_of[id_]], texts[id_]) for _, id_ in sampled]


def build_answers(question: Question, planted: dict[Kind, str]) -> Iterator[dict]:
    """Rows of ANSWERS; the mode is the kind, which an id so tells."""
    for kind, text in planted.items():
        id_ = ids.answer_id(question.id, kind, 0)
        parts = ids.parse_answer_id(id_)._asdict()
        yield {"id": id_, **parts, "text": text, "reason": None, "detail": None}


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="what was kept")
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="all that were asked")
    parser.add_argument("--samples", type=int, required=True, help="kept answers to take the place of")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--asked", type=Path, required=True, help="out: the questions of the planted answers")
    parser.add_argument("--answers", type=Path, required=True, help="out: the planted answers")
    parser.add_argument("--summary", type=Path, required=True, help="out: rows, sha256")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    kept = read_kept(args.artifact, args.questions, args.seed, args.samples)
    with Comparer() as comparer:
        planted = list(plant_answers(kept, args.seed, comparer.compare))
    answers = (row for asked, found in planted for row in build_answers(asked, found))
    asked = (asked.to_row() for asked, found in planted if found)
    files = {
        "asked": parquet.write_rows(args.asked, asked, QUESTIONS),
        "answers": parquet.write_rows(args.answers, answers, ANSWERS),
    }
    write_summary(args.summary, files)
    counts = Counter(kind for _, found in planted for kind in found)
    told = ", ".join(f"{counts[kind]} {kind}" for kind in Kind)
    log.info("in the place of %d kept answers: %s", len(kept), told)


if __name__ == "__main__":
    program.run(main)
