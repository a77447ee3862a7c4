"""Scores of kept answers: how many rows there are of each mode and score, and seeded rows of each."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from prep.records import seeding
from prep.storage import parquet

COLUMNS = ("mode", "score", "rule", "needs_picture", "teacher", "source")
"""What the rows of stage 3 are counted by, as far as an artifact has the columns."""
READ_ROWS = 8192


@dataclass
class Scores:
    """Counts of all rows of an artifact: by (mode, score), and by each value of the other columns.

    `positions` are those of some rows of each mode and score, in ascending order.
    """

    counts: Counter[tuple[str, int | None]] = field(default_factory=Counter)
    others: dict[str, Counter[object]] = field(default_factory=dict)
    positions: list[int] = field(default_factory=list)

    @property
    def modes(self) -> list[str]:
        return sorted({mode for mode, _ in self.counts})

    @property
    def scores(self) -> list[int | None]:
        """The scores that occur, the lowest first, and None last: where a rule spared the judge."""
        return sorted({score for _, score in self.counts}, key=lambda score: (score is None, score))

    @property
    def names(self) -> list[str]:
        """The words for each of `scores`."""
        return ["no score: by rule" if score is None else f"score {score}" for score in self.scores]


def count_scores(path: Path, name: str, wanted: int) -> Scores | None:
    """Count the rows of an artifact, and pick up to `wanted` of each mode and score by a hash of the id.

    None for an artifact that no teacher answered. Memory is flat, whatever the number of rows.
    """
    files = parquet.list_files(path)
    if "mode" not in pq.read_schema(files[0]).names:
        return None
    found, position = Scores(), 0
    heaps: dict[tuple, list[tuple[int, int]]] = {}
    for file in files:
        with pq.ParquetFile(file) as opened:
            columns = [column for column in COLUMNS if column in opened.schema_arrow.names]
            for batch in opened.iter_batches(READ_ROWS, columns=["id", *columns]):
                for column in columns[2:]:
                    counts = batch.column(column).value_counts().to_pylist()
                    own = found.others.setdefault(column, Counter())
                    own.update({each["values"]: each["counts"] for each in counts})
                keys = zip(*(batch.column(each).to_pylist() for each in ("mode", "score")), strict=True)
                for id_, key in zip(batch.column("id").to_pylist(), keys, strict=True):
                    found.counts[key] += 1
                    heap = heaps.setdefault(key, [])
                    entry = -seeding.hash_names(0, "score", name, id_), -position
                    if len(heap) < wanted:
                        heapq.heappush(heap, entry)
                    elif heap and entry > heap[0]:
                        heapq.heapreplace(heap, entry)
                    position += 1
    found.positions = sorted(-entry[1] for heap in heaps.values() for entry in heap)
    return found
