#!/usr/bin/env python
"""Keep what the judge passed of a batch, with the original picture and the original question."""

from prep.reasoning import selection
from prep.reasoning.selection import JudgedAnswer
from prep.runtime import program


def build_training_row(judged: JudgedAnswer) -> dict:
    """The training row of a picture that was reasoned over."""
    asked = judged.question
    image = {"bytes": asked.image, "path": asked.image_path}
    return selection.build_training_row(judged, asked.question, [image])


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    args = parser.parse_args()
    answers = selection.read_judged_answers(args)
    selection.write_selection(args, ((each, each.rejection or build_training_row(each)) for each in answers))


if __name__ == "__main__":
    program.run(main)
