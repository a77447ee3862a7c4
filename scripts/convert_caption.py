#!/usr/bin/env python
"""Convert one shard of captions: pictures, each with a text; a prompt of the config asks for it."""

from prep.convert import caption, shard
from prep.runtime import program


def main() -> None:
    shard.run(__doc__, caption)


if __name__ == "__main__":
    program.run(main)
