#!/usr/bin/env python
"""Keep what the judge passed of a batch, with the original picture and the original question."""

from prep.reasoning import selection
from prep.reasoning.selection import Selected
from prep.runtime import program


def training_row(selected: Selected) -> dict:
    """The training row of a picture that was reasoned over."""
    asked = selected.question
    image = {"bytes": asked.image, "path": asked.image_path}
    return selection.training_row(selected, asked.question, [image])


def main() -> None:
    parser = program.parser(__doc__)
    selection.add_arguments(parser)
    args = parser.parse_args()
    judged = selection.read(args)
    selection.write(args, ((one, one.defect or training_row(one)) for one in judged))


if __name__ == "__main__":
    program.run(main)
