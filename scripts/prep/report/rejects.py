"""Rejected rows for the report: seeded examples of each reason, and pictures from raw Parquet shards."""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prep.records import seeding
from prep.report.gallery import MOST_PICTURES, Limits, Picture, make_picture
from prep.storage import parquet

ROWS_AT_A_TIME = 8192
DETAIL = 700
"""The most characters of a detail on the page."""
GROUP_BYTES = 256 * 1024 * 1024
"""Pictures are looked for in no larger row group: as much is read for one row."""


@dataclass(frozen=True)
class Reject:
    """A rejected row: its id, where it was read, why it was rejected. Pictures are those of the raw shard."""

    id: str
    source_file: str
    row: int
    reason: str
    detail: str
    pictures: list[Picture] = field(default_factory=list)


def sample_rejects(path: Path, name: str, wanted: int) -> dict[str, list[dict]]:
    """Up to `wanted` rejected rows of each reason: those with the smallest hashes of their ids, in order.

    The file is streamed, and only the rows that are taken are held.
    """
    heaps: dict[str, list[tuple[int, int, dict]]] = {}
    for position, batch, at, (id_, reason) in _stream(path, ["id", "reason"]):
        heap = heaps.setdefault(reason, [])
        key = -seeding.hash_names(0, "reject", name, id_), -position
        if len(heap) < wanted:
            heapq.heappush(heap, (*key, batch.slice(at, 1).to_pylist()[0]))
        elif key > heap[0][:2]:
            heapq.heapreplace(heap, (*key, batch.slice(at, 1).to_pylist()[0]))
    return {reason: [row for *_, row in sorted(heap, key=lambda each: (-each[0], -each[1]))]
            for reason, heap in heaps.items()}  # fmt: skip


def _stream(path: Path, keys: list[str]) -> Iterator[tuple[int, pa.RecordBatch, int, tuple]]:
    """Each row of a file: its position, the batch that holds it, its place there, and the cells of `keys`."""
    position = 0
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(ROWS_AT_A_TIME):
            for at, cells in enumerate(zip(*(batch.column(key).to_pylist() for key in keys), strict=True)):
                yield position + at, batch, at, cells
            position += batch.num_rows


def build_reject(row: dict, pictures: list[Picture]) -> Reject:
    """Prepare a row of REJECTS for the page."""
    detail = row["detail"] or ""
    cut = detail[:DETAIL] + "…" * (len(detail) > DETAIL)
    return Reject(row["id"], row["source_file"], row["row"], row["reason"], cut, pictures)


class RawPictures:
    """Pictures of rows by their place in the raw Parquet shards, where these are kept.

    `columns` names the column of pictures of an artifact or a source where it is not `image`; None: its
    pictures are in files of their own, or it has none.
    """

    def __init__(self, raw: Path, columns: dict[str, str | None]) -> None:
        self._raw, self._columns = raw, columns

    def find(self, id_: str, source_file: str, row: int, limits: Limits) -> list[Picture]:
        """The pictures of a row; none where the shard is gone, is no Parquet, or cannot be read cheaply."""
        name = id_.partition("#")[0].rpartition(":")[0].rpartition("/")[0]
        column = self._columns.get(name, "image")
        path = self._raw / name / PurePosixPath(source_file).name
        if column is None or ".." in path.parts or path.suffix.lower() != ".parquet" or not path.is_file():
            return []
        try:
            found = list_bytes(read_cell(path, column, row))[:MOST_PICTURES]
        except Exception:  # a raw shard is what others wrote: pyarrow raises errors of many types
            return []
        return [make_picture(data, limits.picture_bytes // len(found)) for data in found]


def read_cell(path: Path, column: str, row: int) -> Any:
    """One cell of a Parquet file; only its row group is read, as far as the row. None: not cheaply."""
    with pq.ParquetFile(path, buffer_size=parquet.BUFFER_BYTES, pre_buffer=False) as file:
        if column not in file.schema_arrow.names:
            return None
        for group in range(file.num_row_groups):
            about = file.metadata.row_group(group)
            if row >= about.num_rows:
                row -= about.num_rows
                continue
            if about.total_byte_size > GROUP_BYTES:
                return None
            for batch in file.iter_batches(4, row_groups=[group], columns=[column], use_threads=False):
                if row < batch.num_rows:
                    return batch.column(0)[row].as_py()
                row -= batch.num_rows
    return None


def list_bytes(cell: Any) -> list[bytes]:
    """The encoded pictures of a cell: one or a list, each as `{bytes, path}` or as its bytes alone."""
    if isinstance(cell, list):
        return [data for each in cell for data in list_bytes(each)]
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return [data] if isinstance(data, bytes) else []
