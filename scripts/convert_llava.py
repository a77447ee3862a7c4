#!/usr/bin/env python
"""Convert one shard of LLaVA's form: pictures with conversations of `from` (human, gpt) and `value`."""

from prep.convert import llava, shard
from prep.runtime import program


def main() -> None:
    shard.run(__doc__, llava)


if __name__ == "__main__":
    program.run(main)
