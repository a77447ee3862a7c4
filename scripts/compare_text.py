#!/usr/bin/env python
"""Compare every answer of a batch that has the right form with its reference, by rules."""

from prep.reasoning import rule_check
from prep.runtime import program


def main() -> None:
    rule_check.write_outcomes(rule_check.parse_arguments(__doc__))


if __name__ == "__main__":
    program.run(main)
