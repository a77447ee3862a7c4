#!/usr/bin/env python
"""Ask the text teacher the questions of a batch of pictures without their pictures, thinking, once each."""

from prep.reasoning import batch
from prep.runtime import program


def main() -> None:
    parser = program.parser(__doc__)
    batch.add_answer_arguments(parser)
    args = parser.parse_args()
    args.request = {batch.BLIND: args.request["thinking"]}
    batch.write_answers(args, "text_reasoning", {batch.BLIND: args.thinking}, 0)


if __name__ == "__main__":
    program.run(main)
