#!/usr/bin/env python
"""Ask the vision teacher every question of a batch about its picture."""

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from prep.inference.request import Request
from prep.reasoning import batch
from prep.reasoning.answer_format import image_answer
from prep.reasoning.batch import Ask
from prep.records import ids, question, seeding
from prep.records.question import Question
from prep.runtime import program


def request(asked: Question, mode: str, sample: int, seed: int, sampling: dict) -> Request:
    """The request for one answer: the picture, then the question without its tag."""
    return Request(
        id=ids.answer_id(asked.id, mode, sample),
        mode=mode,
        messages=[{"role": "user", "content": asked.request_text}],
        sampling=sampling,
        seed=seeding.request_seed(seed, asked.id, mode, sample),
        sample=sample,
        image=asked.image,
    )


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    batch.add_arguments(parser)
    parser.add_argument("--sampling", type=json.loads, required=True, help="JSON: sampling")
    parser.add_argument("--samples", type=int, required=True, help="answers for each question")
    parser.add_argument("--answers", type=Path, required=True, help="out: an answer or a reason for each")
    return parser.parse_args()


def main() -> None:
    args = parse_args()

    def asks() -> Iterator[Ask]:
        for asked in question.read_questions(args.questions):
            yield from ((asked, "thinking", sample) for sample in range(args.samples))

    build = partial(request, seed=args.seed, sampling=args.sampling)
    batch.write_answers(args, asks, build, lambda response, mode: image_answer(response))


if __name__ == "__main__":
    program.run(main)
