#!/usr/bin/env python
"""Keep what the judge passed of a batch, with the original picture and the original question."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from prep.reasoning import blind_check, selection
from prep.reasoning.selection import JudgedAnswer
from prep.runtime import program
from prep.storage import parquet


def build_training_row(judged: JudgedAnswer) -> dict:
    """The training row of a picture that was reasoned over."""
    asked = judged.question
    image = {"bytes": asked.image, "path": asked.image_path}
    return selection.build_training_row(judged, asked.question, [image])


def read_answers(args: argparse.Namespace) -> Iterator[JudgedAnswer]:
    """The judged answers of a batch, with what the blind check found of their questions."""
    answers = chain.from_iterable(parquet.read_rows(path, selection.LOOKED_AT) for path in args.blind_answers)
    verdicts = chain.from_iterable(parquet.read_rows(path) for path in args.blind_verdicts)
    needs = blind_check.find_needs(answers, verdicts, args.disagree)
    for judged in selection.read_judged_answers(args):
        needs_picture = needs.get(judged.question.id)
        is_out = args.blind_check == "filter" and needs_picture is False
        rejection = judged.rejection or (blind_check.NOT_NEEDED if is_out else None)
        yield replace(judged, rejection=rejection, needs_picture=needs_picture)


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    parser.add_argument("--blind-check", choices=("off", "column", "filter"), default="off")
    # None where the check is off.
    parser.add_argument("--blind-answers", type=Path, nargs="*", default=[], help="without the pictures")
    parser.add_argument("--blind-verdicts", type=Path, nargs="*", default=[], help="on these answers")
    args = parser.parse_args()
    answers = read_answers(args)
    selection.write_selection(args, ((each, each.rejection or build_training_row(each)) for each in answers))


if __name__ == "__main__":
    program.run(main)
