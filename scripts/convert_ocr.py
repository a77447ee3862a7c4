#!/usr/bin/env python
"""Convert one shard of pages: pictures, each with the text on it, as such or at a path in a JSON cell."""

from prep.convert import ocr, shard
from prep.runtime import program


def main() -> None:
    shard.run(__doc__, ocr)


if __name__ == "__main__":
    program.run(main)
