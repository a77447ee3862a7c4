#!/usr/bin/env python
"""Convert one shard of questions about pictures, each with its answer, perhaps choices and a rationale."""

from prep.convert import qa, shard
from prep.runtime import program


def main() -> None:
    shard.run(__doc__, qa)


if __name__ == "__main__":
    program.run(main)
