#!/usr/bin/env python
"""Leave out questions that repeat others or overlap with evaluation sets."""

from prep.deduplication import filtering
from prep.runtime import program


def main() -> None:
    filtering.filter_questions(filtering.parse_arguments(__doc__), of_pictures=False)


if __name__ == "__main__":
    program.run(main)
