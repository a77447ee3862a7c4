#!/usr/bin/env python
"""Ask the vision teacher every question of a batch about its picture."""

from prep.reasoning import batch
from prep.runtime import program


def main() -> None:
    parser = program.parser(__doc__)
    batch.add_answer_arguments(parser)
    args = parser.parse_args()
    batch.write_answers(args, "image_reasoning", {"thinking": args.thinking}, 0)


if __name__ == "__main__":
    program.run(main)
