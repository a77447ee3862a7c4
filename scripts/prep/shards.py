"""Parquet shards: streamed by row group, read by column name, written whole."""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from prep.files import whole
from prep.program import Failure

GROUP_ROWS = 512
GROUP_BYTES = 64 * 1024 * 1024
"""A row group holds no more than this, so that a reader of one row never loads a gigabyte."""


class BadShard(Failure):
    """A source shard that cannot be read, or lacks a column: the whole file is at fault, not a row."""


class Source:
    """A source's parquet shard, read by column name whatever else it holds and in whatever order."""

    def __init__(self, path: str | Path, columns: Sequence[str], take: int | None = None) -> None:
        """Open the shard at `path`, of which the first `take` rows are read (None: all).

        Raises BadShard when it has no footer or lacks one of `columns`.
        """
        self.path, self.columns = Path(path), list(columns)
        with self._reading("cannot be opened"):
            self._file = pq.ParquetFile(self.path)
        names = self._file.schema_arrow.names
        lacking = [column for column in self.columns if column not in names]
        if lacking:
            raise BadShard(f"{self.path}: no column {', '.join(lacking)} (it has: {', '.join(names)})")
        self._takes = list(self._split(take))

    def _split(self, take: int | None) -> Iterator[int]:
        """How many rows each row group gives, up to the last that gives any."""
        for group in range(self._file.num_row_groups):
            rows = self._file.metadata.row_group(group).num_rows
            given = rows if take is None else min(rows, take)
            if take is not None:
                take -= given
            if given:
                yield given

    @property
    def groups(self) -> int:
        """How many row groups have rows to read, from the first."""
        return len(self._takes)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows to be read, in order, at most GROUP_ROWS at a time."""
        for group in range(self.groups):
            yield from self.group_batches(group)

    def group_batches(self, group: int) -> Iterator[pa.RecordBatch]:
        """The rows to be read of one row group, in order, at most GROUP_ROWS at a time."""
        left = self._takes[group]
        with self._reading(f"row group {group} cannot be read"):
            for batch in self._file.iter_batches(GROUP_ROWS, row_groups=[group], columns=self.columns):
                if left:
                    yield batch.slice(0, left)
                left -= min(left, batch.num_rows)

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            raise BadShard(f"{self.path}: {what}: {error}") from error


class Sink:
    """A parquet file that is being written, with the sha256 of its bytes."""

    def __init__(self, file: IO[bytes], schema: pa.Schema) -> None:
        self.schema, self.rows = schema, 0
        self._digest = hashlib.sha256()
        self._file = file
        # Pictures are compressed already and their bytes never repeat: a codec or a dictionary on them
        # costs time and saves nothing. Texts shrink to a third under zstd.
        plain = {"images.list.element.bytes", "image.bytes"}
        paths = [_path(column) for column in _leaves(schema)]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self, mode="w"),
            schema,
            compression={path: "NONE" if path in plain else "ZSTD" for path in paths},
            use_dictionary=[path for path in paths if path not in plain],
            write_statistics=[path for path in paths if path not in plain],
        )

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append rows as one or more row groups within GROUP_ROWS and GROUP_BYTES."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        for start in range(0, table.num_rows, GROUP_ROWS):
            self._add_group(table.slice(start, GROUP_ROWS))

    def _add_group(self, table: pa.Table) -> None:
        if table.num_rows > 1 and table.nbytes > GROUP_BYTES:
            half = table.num_rows // 2
            self._add_group(table.slice(0, half))
            self._add_group(table.slice(half))
        else:
            self._writer.write_table(table)
            self.rows += table.num_rows

    def write(self, data: bytes) -> int:
        """Take bytes from the parquet writer: to the file, and into the digest."""
        self._digest.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Asked for by Arrow; the file is synced when it is whole."""

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()

    @property
    def closed(self) -> bool:
        """Asked for by Arrow, which may close the file that it writes to; ours outlives it."""
        return False

    @property
    def sha256(self) -> str:
        """The hex sha256 of all bytes written, the footer's included once closed."""
        return self._digest.hexdigest()


@contextlib.contextmanager
def sink(path: str | Path, schema: pa.Schema) -> Iterator[Sink]:
    """Write a parquet file that appears at `path` when the block ends well, and not at all otherwise."""
    with whole(path) as part, part.open("wb") as file:
        shard = Sink(file, schema)
        yield shard
        shard.close()


def write(path: str | Path, rows: Sequence[dict], schema: pa.Schema) -> None:
    """Write a few rows as a parquet file."""
    with sink(path, schema) as shard:
        shard.add(pa.Table.from_pylist(list(rows), schema))


def read(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict]:
    """The rows of a file that this project wrote, one by one, a row group in memory at a time."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        yield from file.read_row_group(group, columns).to_pylist()


def texts(column: pa.Array) -> list[str | UnicodeDecodeError | None]:
    """The cells of a string column (of any string type, or of numbers), each decoded for itself.

    A cell that is not valid UTF-8 comes back as its error, so that it costs its row and no other.
    """
    try:
        if not _is_text(column.type):
            column = column.cast(pa.string())
        return [_decoded(cell) for cell in column.cast(pa.large_binary()).to_pylist()]
    except pa.ArrowException as error:
        raise BadShard(f"a text column is of type {column.type}: {error}") from error


def _decoded(cell: bytes | None) -> str | UnicodeDecodeError | None:
    try:
        return None if cell is None else cell.decode()
    except UnicodeDecodeError as error:
        return error


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _leaves(schema: pa.Schema) -> Iterator[tuple[str, ...]]:
    """The leaf columns of a schema, as parquet names them (`images.list.element.bytes`)."""

    def walk(path: tuple[str, ...], kind: pa.DataType) -> Iterator[tuple[str, ...]]:
        if pa.types.is_list(kind):
            yield from walk((*path, "list", "element"), kind.value_type)
        elif pa.types.is_struct(kind):
            for field in kind:
                yield from walk((*path, field.name), field.type)
        else:
            yield path

    for field in schema:
        yield from walk((field.name,), field.type)


def _path(leaf: tuple[str, ...]) -> str:
    return ".".join(leaf)
