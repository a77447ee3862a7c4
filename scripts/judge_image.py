#!/usr/bin/env python
"""Ask the judge, who sees the picture, about every answer of a batch that has the right form."""

from prep.reasoning import batch
from prep.runtime import program


def main() -> None:
    batch.write_verdicts(batch.parse_judge_arguments(__doc__), what="image")


if __name__ == "__main__":
    program.run(main)
