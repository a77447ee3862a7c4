#!/usr/bin/env python
"""Ask the judge, who sees the picture, about every answer of a batch that has the right form."""

from prep import asking, program


def main() -> None:
    asking.write_verdicts(asking.judge_arguments(__doc__), suffix="")


if __name__ == "__main__":
    program.run(main)
