"""Rejected rows for the report: seeded examples of each reason, with their cells in the raw shards."""

import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from prep.records import seeding
from prep.report.gallery import MOST_PICTURES, Limits, Picture, Piece, fold_text, make_picture
from prep.storage import parquet

ROWS_AT_A_TIME = 8192
DETAIL = 700
"""The most characters of a detail on the page."""
GROUP_BYTES = 256 * 1024 * 1024
"""Pictures are looked for in no larger row group: as much is read for one row."""


@dataclass(frozen=True)
class Reject:
    """A rejected row: its id, where it was read, why it was rejected.

    Pictures and `text`, its other cells as JSON, are those of the raw shard, where these were looked up.
    """

    id: str
    source_file: str
    row: int
    reason: str
    detail: str
    pictures: list[Picture] = field(default_factory=list)
    text: Piece | None = None


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


def build_reject(row: dict, pictures: list[Picture], text: Piece | None = None) -> Reject:
    """Prepare a row of REJECTS for the page."""
    detail = row["detail"] or ""
    cut = detail[:DETAIL] + "…" * (len(detail) > DETAIL)
    return Reject(row["id"], row["source_file"], row["row"], row["reason"], cut, pictures, text)


class RawRows:
    """Pictures and texts of rows by their place in the raw Parquet shards, where these are kept.

    `columns` names the column of pictures of an artifact or a source where it is not `image`; None: its
    pictures are in files of their own, or it has none.
    """

    def __init__(self, raw: Path, columns: dict[str, str | None]) -> None:
        self._raw, self._columns = raw, columns

    def find(
        self, id_: str, source_file: str, row: int, limits: Limits
    ) -> tuple[list[Picture], Piece | None]:
        """The pictures and the other cells of a row.

        None where the shard is gone, is no Parquet, or cannot be read cheaply.
        """
        name = id_.partition("#")[0].rpartition(":")[0].rpartition("/")[0]
        column = self._columns.get(name, "image")
        path = self._raw / name / PurePosixPath(source_file).name
        if ".." in path.parts or path.suffix.lower() != ".parquet" or not path.is_file():
            return [], None
        try:
            names = pq.read_schema(path).names
            cells = read_cells(path, [each for each in names if each != column], row)
            text = cells and fold_text(
                json.dumps(cells, ensure_ascii=False, indent=1, default=str), limits.characters
            )
            found = (
                list_bytes(read_cells(path, [column], row).get(column))[:MOST_PICTURES]
                if column in names
                else []
            )
        except Exception:  # a raw shard is what others wrote: pyarrow raises errors of many types
            return [], None
        return [make_picture(data, limits.picture_bytes // len(found)) for data in found], text or None


def read_cells(path: Path, columns: list[str], row: int) -> dict[str, Any]:
    """Cells of a row of a Parquet file; only its row group is read, as far as the row. None: not cheaply."""
    with pq.ParquetFile(path, buffer_size=parquet.BUFFER_BYTES, pre_buffer=False) as file:
        for group in range(file.num_row_groups):
            about = file.metadata.row_group(group)
            if row >= about.num_rows:
                row -= about.num_rows
                continue
            if about.total_byte_size > GROUP_BYTES:
                return {}
            for batch in file.iter_batches(4, row_groups=[group], columns=columns, use_threads=False):
                if row < batch.num_rows:
                    return {name: batch.column(name)[row].as_py() for name in batch.schema.names}
                row -= batch.num_rows
    return {}


def list_bytes(cell: Any) -> list[bytes]:
    """The encoded pictures of a cell: one or a list, each as `{bytes, path}` or as its bytes alone."""
    if isinstance(cell, list):
        return [data for each in cell for data in list_bytes(each)]
    data = cell.get("bytes") if isinstance(cell, dict) else cell
    return [data] if isinstance(data, bytes) else []
