#!/usr/bin/env python
"""Convert one shard of LLaVA's form: pictures with conversations of `from` (human, gpt) and `value`."""

from functools import partial

from prep.convert import shard
from prep.convert.turns import Dialect
from prep.runtime import program

LLAVA = Dialect("from", "value", {})


def main() -> None:
    parser = shard.build_parser(__doc__)
    parser.add_argument("--missing-tag", choices=("prepend", "reject"), required=True)
    args = parser.parse_args()
    build = partial(LLAVA.build_messages, prepend_tag=args.missing_tag == "prepend")
    shard.run(args, [LLAVA.column(args.columns["turns"])], build)


if __name__ == "__main__":
    program.run(main)
