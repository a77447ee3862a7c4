"""Parquet shards: streamed by row group, read by column name, written whole."""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

from prep import files
from prep.files import whole
from prep.program import Failure

GROUP_ROWS = 512
GROUP_BYTES = 32 * 1024 * 1024
"""A row group of ours holds no more than this, so that a reader of one row never loads a gigabyte."""

BATCH_BYTES = 2 * 1024 * 1024
"""About how much is read at a time, however large the source's own row groups are."""
BUFFER_BYTES = 1024 * 1024
"""How much of a column is fetched from the file at a time; without this, a whole row group's."""

TEXT = pa.binary()
"""A text column is read as bytes, since a cell that is not UTF-8 costs its row and no other (see texts)."""

PICTURE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", TEXT)]))
"""The column of pictures, which every source that is converted has."""

# Where Arrow has jemalloc: as fast as its default, which keeps more of what it frees the longer it runs
# (a quarter less memory over a shard of a gigabyte, and as much over one of a quarter).
with contextlib.suppress(NotImplementedError):
    pa.set_memory_pool(pa.jemalloc_memory_pool())


class BadShard(Failure):
    """A source shard that cannot be read, or lacks a column: the whole file is at fault, not a row.

    `what` is in our own words, for manifests; `why` in those of whoever found it.
    """

    def __init__(self, path: Path, what: str, why: str = "") -> None:
        super().__init__(path, what, why)  # as they were given: it may come from another process
        self.what = what

    def __str__(self) -> str:
        path, what, why = self.args
        return f"{path}: {what} ({why})" if why else f"{path}: {what}"


class Source:
    """A source's parquet shard, read by column name whatever else it holds and in whatever order."""

    def __init__(self, path: str | Path, columns: Sequence[str | pa.Field]) -> None:
        """Open the shard at `path`.

        A column is given by its name alone when it is a TEXT, else as a field. What the shard has is cast
        to that: large_string or string_view to binary, a struct by the names of its fields, a number or a
        date to its text. Raises BadShard when there is no footer or one of the columns is not there.
        """
        self.path = Path(path)
        self.schema = pa.schema([pa.field(c, TEXT) if isinstance(c, str) else c for c in columns])
        with self._reading("cannot be opened"):
            self._file = pq.ParquetFile(self.path, buffer_size=BUFFER_BYTES)
            self.found = self._file.schema_arrow
        lacking = [name for field in self.schema for name in _lacking(field, self.found)]
        if lacking:
            has = ", ".join(self.found.names)
            raise BadShard(self.path, f"no column {', '.join(lacking)}", f"it has: {has}")

    @property
    def footer_sha256(self) -> str:
        """The sha256 of the footer, which says where each column's pages are: another shard has another.

        A file ends in the footer, its length in four bytes (little endian), and `PAR1`
        (https://parquet.apache.org/docs/file-format/).
        """
        with self.path.open("rb") as file:
            file.seek(-8, os.SEEK_END)
            file.seek(-8 - int.from_bytes(file.read(4), "little"), os.SEEK_END)
            return files.digest(file)

    def spans(self, readers: int, take: int | None = None) -> Iterator[range]:
        """The first `take` rows (None: all), cut so that each of so many readers has some to read.

        Spans are row groups; where these are fewer than readers, each is cut further.
        """
        groups = [range(start, start + about.num_rows) for start, about in self._groups()]
        pieces = -(-readers // max(1, len(groups)))
        for group in groups:
            size = max(1, -(-len(group) // pieces))
            for start in range(group.start, group.stop, size):
                span = range(start, min(start + size, group.stop, sys.maxsize if take is None else take))
                if span:
                    yield span

    def batches(self, rows: range | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of these numbers (None: all) in order, in the schema that was asked for, in batches.

        A batch is about BATCH_BYTES large. Raises BadShard where the file is broken.
        """
        rows = range(self._file.metadata.num_rows) if rows is None else rows
        for group, (start, about) in enumerate(self._groups()):
            if start >= rows.stop or start + about.num_rows <= rows.start:
                continue
            for batch in self._group(group, about):
                stop = start + batch.num_rows
                first, last = max(rows.start, start), min(rows.stop, stop)
                if first < last:
                    yield batch.slice(first - start, last - first)
                if stop >= rows.stop:
                    return
                start = stop

    def _groups(self) -> Iterator[tuple[int, pq.RowGroupMetaData]]:
        """The number of each row group's first row, and what the footer says of the group."""
        start = 0
        for group in range(self._file.num_row_groups):
            about = self._file.metadata.row_group(group)
            yield start, about
            start += about.num_rows

    def _group(self, group: int, about: pq.RowGroupMetaData) -> Iterator[pa.RecordBatch]:
        rows = max(1, min(GROUP_ROWS, about.num_rows * BATCH_BYTES // max(1, about.total_byte_size)))
        with self._reading(f"row group {group} cannot be read"):
            for batch in self._file.iter_batches(rows, row_groups=[group], columns=self.schema.names):
                arrays = [_cast(batch.column(field.name), field.type) for field in self.schema]
                yield pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        try:
            yield
        except (pa.ArrowException, OSError) as error:
            if getattr(error, "errno", None):
                raise  # no such file, a dying disk: not the shard's fault, and perhaps mended by the next try
            raise BadShard(self.path, what, " ".join(str(error).split())) from error


def _lacking(wanted: pa.Field, found: pa.Schema | pa.StructType) -> list[str]:
    """Which of a field and the fields in it are not there once, by dotted name."""
    if found.get_field_index(wanted.name) < 0:
        return [wanted.name]
    has, wants = found.field(wanted.name).type, wanted.type
    if pa.types.is_list(wants) and hasattr(has, "value_type"):
        has, wants = has.value_type, wants.value_type
    if pa.types.is_struct(wants) and pa.types.is_struct(has):
        return [f"{wanted.name}.{name}" for field in wants for name in _lacking(field, has)]
    return []


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if kind == TEXT and (pa.types.is_primitive(column.type) or pa.types.is_decimal(column.type)):
        column = column.cast(pa.string())
    return column.cast(kind)


def texts(column: pa.Array) -> list[str | UnicodeDecodeError | None]:
    """The cells of a TEXT column, each decoded for itself.

    A cell that is not valid UTF-8 comes back as its error, so that it costs its row and no other.
    """
    return [_decoded_or_error(cell) for cell in column.to_pylist()]


def _decoded_or_error(cell: bytes | None) -> str | UnicodeDecodeError | None:
    try:
        return decoded(cell)
    except UnicodeDecodeError as error:
        return error


def decoded(cell: bytes | None) -> str | None:
    """The text of a TEXT cell; raises UnicodeDecodeError where it is not UTF-8."""
    return None if cell is None else cell.decode()


class Sink:
    """A parquet file that is being written, with the sha256 of its bytes."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, hasher: Executor) -> None:
        self.schema, self.rows = schema, 0
        self._digest = hashlib.sha256()
        self._hasher, self._hashing = hasher, hasher.submit(int)
        self._file = file
        self._held: list[pa.Table] = []
        # Pictures are compressed already and their bytes never repeat: a codec, a dictionary or statistics
        # of them cost time and save nothing. Texts shrink to a third under zstd. A page is closed at the
        # first 32 rows past a megabyte, not once a group: reader and writer hold the less.
        paths = list(_leaves("", pa.struct(list(schema))))
        texts = [path for path in paths if path not in ("images.list.element.bytes", "image.bytes")]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self, mode="w"),
            schema,
            compression={path: "ZSTD" if path in texts else "NONE" for path in paths},
            use_dictionary=texts,
            write_statistics=texts,
            write_batch_size=32,
        )

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append rows; they are gathered into row groups within GROUP_ROWS and GROUP_BYTES."""
        if isinstance(table, pa.RecordBatch):
            table = pa.Table.from_batches([table])
        half = table.num_rows // 2
        if half and (table.num_rows > GROUP_ROWS or table.nbytes > GROUP_BYTES):
            self.add(table.slice(0, half))
            self.add(table.slice(half))
        elif table.num_rows:
            if self._held_rows + table.num_rows > GROUP_ROWS or self._held_bytes + table.nbytes > GROUP_BYTES:
                self._write_group()
            self._held.append(table)
            self.rows += table.num_rows

    @property
    def _held_rows(self) -> int:
        return sum(table.num_rows for table in self._held)

    @property
    def _held_bytes(self) -> int:
        return sum(table.nbytes for table in self._held)

    def _write_group(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
            self._held.clear()

    def write(self, data: bytes) -> int:
        """Take bytes from the parquet writer: to the file, and into the digest."""
        self._hashing.result()
        self._hashing = self._hasher.submit(self._digest.update, data)
        return self._file.write(data)

    def flush(self) -> None:
        """Asked for by Arrow; the file is synced when it is whole."""

    def finish(self) -> None:
        """Write the rows still held, and the footer."""
        self._write_group()
        self._writer.close()

    def close(self) -> None:
        """Asked for by Arrow; the file that it writes to outlives it."""

    @property
    def closed(self) -> bool:
        """Asked for by Arrow before it writes and closes."""
        return self._file.closed

    @property
    def sha256(self) -> str:
        """The hex sha256 of all bytes written, the footer's included once finished."""
        self._hashing.result()
        return self._digest.hexdigest()


def _leaves(head: str, kind: pa.DataType) -> Iterator[str]:
    """The leaf columns of a type, as parquet names them (`images.list.element.bytes`)."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{head}.{field.name}" if head else field.name, field.type)
    elif pa.types.is_list(kind):
        yield from _leaves(f"{head}.list.element", kind.value_type)
    else:
        yield head


@contextlib.contextmanager
def sink(path: str | Path, schema: pa.Schema) -> Iterator[Sink]:
    """Write a parquet file that appears at `path` when the block ends well, and not at all otherwise."""
    with whole(path) as part, part.open("wb") as file, ThreadPoolExecutor(1) as hasher:
        shard = Sink(file, schema, hasher)
        yield shard
        shard.finish()


def write(path: str | Path, rows: Sequence[dict], schema: pa.Schema) -> Sink:
    """Write a few rows as a parquet file; what was written knows its `rows` and `sha256`."""
    with sink(path, schema) as shard:
        shard.add(pa.Table.from_pylist(list(rows), schema))
    return shard


def read(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict]:
    """The rows of a file that this project wrote, one by one, a row group in memory at a time."""
    file = pq.ParquetFile(path)
    for group in range(file.num_row_groups):
        yield from file.read_row_group(group, columns).to_pylist()
