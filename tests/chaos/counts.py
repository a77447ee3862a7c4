"""Counts of a campaign in a JSON file that several processes, and several runs one after another, add to."""

import fcntl
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


class Counts:
    """The counts in a file, which is made if it is missing.

    `next` is the number of the next episode, so that a campaign that is started again draws new ones;
    `kills` counts by victim and signal, `runs` by what was seen of them.
    """

    def __init__(self, file: Path) -> None:
        self._file = file

    def claim_episode(self) -> int:
        """The number of an episode that nobody else has."""
        with self._open() as counts:
            counts["next"] += 1
            return counts["next"] - 1

    def add(self, kills: Counter[str], runs: Counter[str]) -> dict[str, Any]:
        """Add an episode's counts; all counts so far."""
        with self._open() as counts:
            counts["episodes"] += 1
            for name, more in (("kills", kills), ("runs", runs)):
                counts[name] = dict(sorted((Counter(counts[name]) + more).items()))
            counts["killed"] = sum(counts["kills"].values())
            return dict(counts)

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            empty = {"next": 0, "episodes": 0, "killed": 0, "kills": {}, "runs": {}}
            counts = empty | json.loads(file.read() or "{}")
            yield counts
            file.seek(0)
            file.truncate()
            json.dump(counts, file, indent=1)
            file.write("\n")
