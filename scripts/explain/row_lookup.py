"""Lookup of rows by id in parquet files (zone maps): the statistics of row groups say which may hold it.

Of a row group that may, the ids alone are read; of a row that is wanted, its row group.
"""

import contextlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from prep.storage.parquet import BadShard, explain_broken

ID = "id"


class Place(NamedTuple):
    """Where a row stands: its file, and its number there, from 0."""

    file: Path
    row: int


def find_ids(file: Path, first: str, last: str) -> Iterator[tuple[str, Place]]:
    """Each id of a file from `first` to `last`, both included, with its place, in the file's order.

    Raises BadShard where the file cannot be read or has no ids.
    """
    with _open(file) as opened:
        leaves = [opened.schema.column(at).path for at in range(len(opened.schema))]
        if ID not in leaves:
            raise BadShard(file, f"no column {ID}")
        start = 0
        for group in range(opened.num_row_groups):
            about = opened.metadata.row_group(group)
            known = about.column(leaves.index(ID)).statistics
            if known is None or not known.has_min_max or (known.min <= last and first <= known.max):
                ids = opened.read_row_group(group, columns=[ID]).column(ID).to_pylist()
                for row, id_ in enumerate(ids, start):
                    if id_ is not None and first <= id_ <= last:
                        yield id_, Place(file, row)
            start += about.num_rows


class Row(dict):
    """A row by column. One that it lacks is None: an earlier version may have written the file."""

    def __missing__(self, column: str) -> None:
        return None


def read_row(place: Place, columns: Sequence[str] | None = None) -> Row:
    """The row at a place, or its `columns`; only its row group is read. Raises BadShard as above."""
    with _open(place.file) as opened:
        start = group = 0
        while place.row >= start + opened.metadata.row_group(group).num_rows:
            start += opened.metadata.row_group(group).num_rows
            group += 1
        rows = opened.read_row_group(group, columns=columns)
        return Row(rows.slice(place.row - start, 1).to_pylist()[0])


@contextlib.contextmanager
def _open(file: Path) -> Iterator[pq.ParquetFile]:
    with (
        explain_broken(file, lambda: "cannot be read"),
        pq.ParquetFile(file, metadata=_read_footer(file), pre_buffer=False) as opened,
    ):
        yield opened


@lru_cache(maxsize=256)
def _read_footer(file: Path) -> pq.FileMetaData:
    """The footer, which takes long to parse where a file has thousands of row groups."""
    return pq.read_metadata(file)
