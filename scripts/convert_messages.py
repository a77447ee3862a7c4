#!/usr/bin/env python
"""Convert one shard of chat messages: pictures with turns of `role` (user, assistant) and `content`."""

from prep.convert import messages, shard
from prep.runtime import program


def main() -> None:
    shard.run(__doc__, messages)


if __name__ == "__main__":
    program.run(main)
