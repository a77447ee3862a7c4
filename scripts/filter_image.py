#!/usr/bin/env python
"""Leave out questions about pictures that repeat others, or whose picture an evaluation set has."""

from prep.deduplication import filtering
from prep.runtime import program


def main() -> None:
    filtering.filter_questions(filtering.parse_arguments(__doc__), of_pictures=True)


if __name__ == "__main__":
    program.run(main)
