#!/usr/bin/env python
"""Ask the judge about every answer of a batch that has the right form."""

from prep import asking, program


def main() -> None:
    asking.write_verdicts(asking.judge_arguments(__doc__), suffix=asking.NO_THINK)


if __name__ == "__main__":
    program.run(main)
