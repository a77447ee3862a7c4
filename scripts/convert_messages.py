#!/usr/bin/env python
"""Convert one shard of chat messages: pictures with turns of `role` (user, assistant) and `content`."""

from functools import partial

from prep.convert import shard
from prep.convert.turns import Dialect
from prep.runtime import program

# LLaVA's own words are no roles: a turn that has them breaks the rule of speakers.
MESSAGES = Dialect(
    "role", "content", {"user": "human", "assistant": "gpt", "human": "no role", "gpt": "no role"}
)


def main() -> None:
    parser = shard.build_parser(__doc__)
    parser.add_argument("--missing-tag", choices=("prepend", "reject"), required=True)
    args = parser.parse_args()
    build = partial(MESSAGES.build_messages, prepend_tag=args.missing_tag == "prepend")
    shard.run(args, [MESSAGES.column(args.columns["turns"])], build)


if __name__ == "__main__":
    program.run(main)
