"""Rule outcomes of a batch: each answer that has a text, compared with its question's reference."""

import argparse
import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prep.comparison.comparer import Comparer
from prep.reasoning.answer_format import strip_thinking
from prep.records import question
from prep.runtime import program
from prep.storage import parquet
from prep.storage.schema import OUTCOMES
from prep.storage.summary import write_summary

log = logging.getLogger("prep")


def parse_arguments(doc: str | None) -> argparse.Namespace:
    """The flags of a comparing program."""
    parser = program.parser(doc)
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="with their references")
    parser.add_argument("--answers", type=Path, required=True, help="what is compared")
    parser.add_argument("--outcomes", type=Path, required=True, help="out: an outcome for each text")
    parser.add_argument("--summary", type=Path, required=True, help="out: rows, sha256")
    return parser.parse_args()


def write_outcomes(args: argparse.Namespace) -> None:
    """Write one row of OUTCOMES for each answer that has a text, in order; logs how many of each."""
    counts: Counter[str] = Counter()
    with Comparer() as comparer:

        def rows() -> Iterator[dict]:
            questions = question.read_questions(args.questions, with_pictures=False)
            for asked, answer in question.join_answers(questions, parquet.read_rows(args.answers)):
                if answer["text"] is not None:
                    text = strip_thinking(answer["text"])
                    rule = comparer.compare(asked.text, asked.reference, text)
                    counts[rule] += 1
                    yield {"id": answer["id"], "rule": rule}

        write_summary(args.summary, {"rows": parquet.write_rows(args.outcomes, rows(), OUTCOMES)})
    log.info("by rule: %s", ", ".join(f"{count} {rule}" for rule, count in sorted(counts.items())) or "none")
