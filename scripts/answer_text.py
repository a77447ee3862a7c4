#!/usr/bin/env python
"""Ask the text teacher every question of a batch, thinking, and a share of them once more without."""

import json

from prep.reasoning import batch
from prep.runtime import program


def main() -> None:
    parser = program.parser(__doc__)
    batch.add_answer_arguments(parser)
    parser.add_argument("--no-thinking", type=json.loads, required=True, help="JSON: sampling of the mode")
    parser.add_argument("--no-think-share", type=float, required=True)
    args = parser.parse_args()
    sampling = {"thinking": args.thinking, "no_thinking": args.no_thinking}
    batch.write_answers(args, "text_reasoning", sampling, args.no_think_share)


if __name__ == "__main__":
    program.run(main)
