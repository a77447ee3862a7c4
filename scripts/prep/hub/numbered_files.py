"""Completeness of sets of numbered files: `train-00000-of-00003.parquet` says that there are three.

The form is the one that datasets writes to the hub; a suffix may follow, which differs from file to file
(`train-00000-of-00002-4bcfb2dfa40773de.parquet`).
"""

import re
from collections import defaultdict
from collections.abc import Iterable

NUMBERED = re.compile(
    r"(?P<head>.*)-(?P<number>\d{1,6})-of-(?P<count>\d{1,6})(?P<suffix>(?:-[^/.]*)?)(?P<extension>(?:\.[^/]*)?)"
)
"""Longer numbers are part of a name: no set has a million files, and all that are missing are listed."""
SHOWN = 5
"""Names that a message lists; of more it says how many."""


def find_missing_files(paths: Iterable[str]) -> list[str]:
    """The paths that some paths say there must be, and that are not among them, in order.

    A suffix that differs from file to file is not known of a missing one: `*` stands in its place.
    """
    sets: dict[tuple[str, str], list[re.Match[str]]] = defaultdict(list)
    for found in filter(None, map(NUMBERED.fullmatch, paths)):
        sets[found["head"], found["count"]].append(found)
    missing = []
    for (head, count), members in sets.items():
        suffix = "-*" if any(member["suffix"] for member in members) else ""
        end = suffix + members[0]["extension"]
        here = {int(member["number"]) for member in members}
        width = len(members[0]["number"])
        missing += [
            f"{head}-{n:0{width}}-of-{count}{end}"
            for n in expected_numbers(here, int(count))
            if n not in here
        ]
    return sorted(missing)


def expected_numbers(here: Iterable[int], count: int) -> range:
    """The numbers of a set of so many files: from 0, or from 1 where the last one of these is there."""
    first = int(0 not in here and count in here)
    return range(first, first + count)


def find_doubled_files(paths: Iterable[str]) -> list[str]:
    """What is there twice, a line each: sets of different counts side by side, or two files with one number.

    A number outside its set (00003 of 3) has a line too.
    """
    sets: dict[str, dict[str, dict[int, list[str]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for found in filter(None, map(NUMBERED.fullmatch, paths)):
        sets[found["head"]][found["count"]][int(found["number"])].append(found[0])
    lines = []
    for head, by_count in sets.items():
        if len(by_count) > 1:
            told = (f"{head}-*-of-{count} ({len(files)})" for count, files in sorted(by_count.items()))
            lines.append(" and ".join(told))
        for count, by_number in by_count.items():
            numbers = expected_numbers(by_number, int(count))
            lines += [
                " and ".join(files)
                for number, files in by_number.items()
                if len(files) > 1 or number not in numbers
            ]
    return lines


def shorten_names(names: list[str]) -> str:
    """Some names in one line, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
