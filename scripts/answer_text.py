#!/usr/bin/env python
"""Ask the text teacher every question of a batch, thinking, and a share of them once more without."""

import argparse
import json
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from prep.inference.request import Request
from prep.reasoning import batch
from prep.reasoning.answer_format import text_answer
from prep.reasoning.batch import Ask
from prep.records import ids, question, seeding, tags
from prep.records.question import Question
from prep.runtime import program


def due(questions: Iterable[Question], seed: int, share: float, samples: int) -> Iterator[Ask]:
    """What is to be asked, in order, as (question, mode, sample)."""
    for asked in questions:
        modes = ["thinking"]
        if seeding.is_chosen(seed, asked.id, share):
            modes.append("no_thinking")
        yield from ((asked, mode, sample) for mode in modes for sample in range(samples))


def request(asked: Question, mode: str, sample: int, seed: int, sampling: dict[str, dict]) -> Request:
    """The request for one answer."""
    text = asked.request_text + (tags.NO_THINK if mode == "no_thinking" else "")
    return Request(
        id=ids.answer_id(asked.id, mode, sample),
        mode=mode,
        messages=[{"role": "user", "content": text}],
        sampling=sampling[mode],
        seed=seeding.request_seed(seed, asked.id, mode, sample),
        sample=sample,
    )


def parse_args() -> argparse.Namespace:
    parser = program.parser(__doc__)
    batch.add_arguments(parser)
    parser.add_argument("--thinking", type=json.loads, required=True, help="JSON: sampling of the mode")
    parser.add_argument("--no-thinking", type=json.loads, required=True, help="JSON: sampling of the mode")
    parser.add_argument("--no-think-share", type=float, required=True)
    parser.add_argument("--samples", type=int, required=True, help="answers for each question and mode")
    parser.add_argument("--answers", type=Path, required=True, help="out: an answer or a reason for each")
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    sampling = {"thinking": args.thinking, "no_thinking": args.no_thinking}

    def asks() -> Iterator[Ask]:
        return due(question.read_questions(args.questions), args.seed, args.no_think_share, args.samples)

    batch.write_answers(args, asks, partial(request, seed=args.seed, sampling=sampling), text_answer)


if __name__ == "__main__":
    program.run(main)
