"""Streaming parquet: small batches, columns by name, bounded row groups, atomic writes."""

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO, Protocol, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from prep.runtime.program import UserError
from prep.storage.atomic import atomic_write

Row = TypeVar("Row")

GROUP_ROWS = 512
GROUP_BYTES = 32 * 1024 * 1024
"""Limits of a row group that we write, so that a reader of one row never loads a gigabyte."""

CHUNKING = {"min_chunk_size": 64 * 1024, "max_chunk_size": 16 * 1024 * 1024, "norm_level": 0}
"""Where pages may end by their content.

A cut takes eight hits of Arrow's hash in as many values. With Arrow's own limit of a megabyte, which is ten
pictures, nearly every cut is by size and does not move with the rows.
"""

BATCH_BYTES = 2 * 1024 * 1024
"""The size of a batch, about, whatever the row groups of the source."""
READ_BYTES = 32 * 1024 * 1024
"""The most that is read at a time; a single larger row is read whole."""
SMALL_ROW = 1024 * 1024
FEW_ROWS = 4
"""Rows whose mean size is at most SMALL_ROW bytes are read at least FEW_ROWS at a time."""
STREAMED_ROWS = 64
"""Rows of a stream that are held as Python objects, each perhaps with a picture."""
BOMB_BYTES, BOMB_RATIO = 256 * 1024 * 1024, 500
"""A row group that takes more bytes, in a file that grows so many times, is no data."""
BUFFER_BYTES = 1024 * 1024
"""The read buffer of a column; without it, pyarrow reads the column's whole row group."""

RAW_TEXT = pa.binary()
"""A text column is read as bytes: a cell that is not UTF-8 costs its row and no other."""

PICTURE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", RAW_TEXT)]))
"""A column of one picture a row, as the Hugging Face `Image` feature stores it."""

PICTURES = pa.list_(PICTURE.type)
"""The pictures of each row, in order: what any column of pictures is read as (see `pictures`)."""

# jemalloc, where Arrow has it, is as fast as the default allocator and gives more of the freed memory back:
# a quarter less memory over a shard of a gigabyte.
with contextlib.suppress(NotImplementedError):
    pa.set_memory_pool(pa.jemalloc_memory_pool())


class SourceFile(Protocol):
    """A file of a source: a path, or what stands for one whose bytes are fetched as they are read."""

    name: str
    suffix: str

    def open(self, mode: str) -> IO[bytes]:
        """The file, to be read and sought in."""

    def is_dir(self) -> bool:
        """Whether it is a folder."""


class BadShard(UserError):
    """A source shard that cannot be read, or lacks a column: the fault is the file's, not a row's.

    `what` says it in our words, for manifests; `why` is the message of the library.
    """

    def __init__(self, path: SourceFile, what: str, why: str = "") -> None:
        super().__init__(path, what, why)  # the three arguments, so that it can be pickled
        self.what = what

    def __str__(self) -> str:
        path, what, why = self.args
        return f"{path}: {what} ({why})" if why else f"{path}: {what}"


def is_system_error(error: Exception) -> bool:
    """Whether an error is not the fault of a file that is read: no such file, a dying disk.

    EINVAL is: the file names a place before its own beginning.
    """
    return getattr(error, "errno", None) not in (None, 0, errno.EINVAL)


@contextlib.contextmanager
def explain_broken(path: SourceFile, what: Callable[[], str]) -> Iterator[None]:
    """Turn any error in the block into BadShard, except errors of the system and of memory.

    Parsers raise errors of many types on a broken file: pyarrow a ValueError for a name that is not UTF-8.
    """
    try:
        yield
    except (BadShard, MemoryError):
        raise
    except Exception as error:
        if is_system_error(error):
            raise
        raise BadShard(path, what(), " ".join(str(error).split())) from error


def check_not_lfs_pointer(path: SourceFile) -> None:
    """Raise BadShard for a Git LFS pointer, which stands in a clone for a large file that was not fetched.

    A pointer is a small text that begins with the address of its format's version
    (https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md).
    """
    with path.open("rb") as file:
        if file.readline(100).startswith(b"version https://git-lfs.github.com/spec/v1"):
            line = "is a Git LFS pointer and not the file itself"
            raise BadShard(path, f"{line}; call git lfs pull in the clone that it is of")


def pictures(name: str) -> pa.Field:
    """The field that reads a column of pictures as PICTURES.

    The column holds one picture a row or a list, each as `{bytes, path}` or as its bytes alone. One picture
    is a list of one, also where it is null.
    """
    return pa.field(name, PICTURES)


def is_list(kind: pa.DataType) -> bool:
    """Whether a column is of lists, in any of Arrow's layouts."""
    return any(is_layout(kind) for is_layout in LISTS)


class Reader:
    """A parquet shard of a source, read by column name: other columns and their order do not matter."""

    def __init__(self, path: str | SourceFile, columns: Sequence[str | pa.Field]) -> None:
        """Open the shard at `path`.

        A column is a field, or a name for one of RAW_TEXT. The shard's columns are cast: large_string or
        string_view to binary, a struct by the names of its fields, a number or a date to its text. Raises
        BadShard when the footer or a column is missing.
        """
        self.path = Path(path) if isinstance(path, str) else path
        self.schema = pa.schema([pa.field(c, RAW_TEXT) if isinstance(c, str) else c for c in columns])
        check_not_lfs_pointer(self.path)
        with explain_broken(self.path, lambda: "cannot be opened"):
            # With pre_buffer, pyarrow keeps all that it read until the last row is read.
            source = self.path if isinstance(self.path, Path) else self.path.open("rb")
            self._file = pq.ParquetFile(source, buffer_size=BUFFER_BYTES, pre_buffer=False)
            self.file_schema = self._file.schema_arrow
            if lacking := [name for field in self.schema for name in _lacking(field, self.file_schema)]:
                has = ", ".join(self.file_schema.names)
                raise BadShard(self.path, f"no column {', '.join(lacking)}", f"it has: {has}")
            misfits = [_misfit(f.name, self.file_schema.field(f.name).type, f.type) for f in self.schema]
            if any(misfits):
                raise BadShard(self.path, "; ".join(filter(None, misfits)))

    @property
    def footer_sha256(self) -> str:
        """The sha256 of the footer, which lists the place of every page and so identifies the shard.

        Its length in four bytes and `PAR1`, in which the file ends, are hashed with it.
        """
        with self.path.open("rb") as file:
            file.seek(-8 - self._file.metadata.serialized_size, os.SEEK_END)
            return hashlib.sha256(file.read()).hexdigest()

    def batches(self, take: int | None = None) -> Iterator[pa.RecordBatch]:
        """The first `take` rows (None: all) in order, in the schema that was asked for, in batches.

        A batch has about BATCH_BYTES; no reference to it is kept. Raises BadShard where the file is broken.
        """
        groups = self._groups(take)
        self._check_growth()
        rows = sum(about.num_rows for about in groups)
        wanted = rows if take is None else min(rows, take)
        at_a_time = _rows_at_a_time(groups)
        held: list[pa.RecordBatch] = []
        done = held_bytes = 0
        with explain_broken(self.path, lambda: f"row group {self._broken_group(done)} cannot be read"):
            for batch in self._read(at_a_time, range(len(groups))):
                held.append(batch.slice(0, wanted - done))
                done += held[-1].num_rows
                held_bytes += batch.nbytes
                del batch  # a large row must not stay in memory while the next is read
                if done == wanted or held_bytes >= BATCH_BYTES or len(held) * at_a_time >= GROUP_ROWS:
                    held_bytes = 0
                    yield self._cast(_joined(held))
                if done == wanted:  # the rest of the row group is not decoded
                    return
        if done < wanted:
            raise BadShard(self.path, f"it has {done} rows where its footer says {wanted}")

    def _groups(self, take: int | None) -> list[pq.RowGroupMetaData]:
        """The footer's metadata of the row groups that hold the first `take` rows."""
        found, rows = [], 0
        for group in range(self._file.num_row_groups):
            if take is not None and rows >= take:
                break
            found.append(self._file.metadata.row_group(group))
            rows += found[-1].num_rows
        return found

    def _check_growth(self) -> None:
        """Raise BadShard for a decompression bomb: a file that is small and would fill the memory.

        Row groups alone are asked: pyarrow aborts the process where it cannot read what a footer says of a
        column.
        """
        sizes = [group.total_byte_size for group in self._groups(None)]
        if max(sizes, default=0) <= BOMB_BYTES:
            return
        with self.path.open("rb") as file:
            packed = file.seek(0, os.SEEK_END)
        if sum(sizes) > BOMB_RATIO * packed:
            number = sizes.index(max(sizes))
            line = f"row group {number} cannot be read: it takes {sizes[number]} bytes"
            raise BadShard(self.path, f"{line} in a file of {packed}")

    def _read(self, at_a_time: int, groups: Sequence[int]) -> Iterator[pa.RecordBatch]:
        """The rows of some row groups as one stream; a stream for each row group would cost more."""
        return self._file.iter_batches(
            at_a_time, row_groups=groups, columns=self.schema.names, use_threads=False
        )

    def _cast(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays = [_cast(batch.column(field.name), field.type) for field in self.schema]
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _broken_group(self, row: int) -> int:
        """The first row group that cannot be read, when the stream broke at `row` or soon after."""
        start = group = 0
        for group in range(self._file.num_row_groups):
            start += self._file.metadata.row_group(group).num_rows
            if start > row:
                try:
                    for batch in self._read(1, [group]):
                        self._cast(batch)
                except Exception:
                    return group
        return group


def _rows_at_a_time(groups: Sequence[pq.RowGroupMetaData]) -> int:
    """How many rows to read at a time: a power of two that divides GROUP_ROWS.

    A row may be as large as its row group: the footer counts a dictionary once, however often its values
    occur. Small rows are never read one by one, which takes five times as long.
    """
    largest = max((about.total_byte_size for about in groups), default=0)
    mean = max((about.total_byte_size // max(1, about.num_rows) for about in groups), default=0)
    rows = max(FEW_ROWS if mean <= SMALL_ROW else 1, min(GROUP_ROWS, READ_BYTES // max(1, largest)))
    return 1 << (rows.bit_length() - 1)


def _joined(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Concatenate the batches, and clear the list."""
    batch = held[0] if len(held) == 1 else pa.concat_batches(held)
    held.clear()
    return batch


def _lacking(wanted: pa.Field, found: pa.Schema | pa.StructType) -> list[str]:
    """The dotted names of a field and its nested fields that are missing or ambiguous."""
    if found.get_field_index(wanted.name) < 0:
        return [wanted.name]
    has, wants = found.field(wanted.name).type, wanted.type
    if wants == PICTURES and not is_list(has):
        wants = wants.value_type
    if pa.types.is_list(wants) and hasattr(has, "value_type"):
        has, wants = has.value_type, wants.value_type
    if pa.types.is_struct(wants) and pa.types.is_struct(has):
        return [f"{wanted.name}.{name}" for field in wants for name in _lacking(field, has)]
    return []


LISTS = (
    pa.types.is_list,
    pa.types.is_large_list,
    pa.types.is_fixed_size_list,
    pa.types.is_list_view,
    pa.types.is_large_list_view,
)


def _misfit(name: str, has: pa.DataType, wants: pa.DataType, nested: bool = False) -> str | None:
    """Say that the type of a column or nested field cannot be cast to the wanted one; None if it can."""
    if pa.types.is_null(has):
        return None
    if wants == PICTURES:
        one = has.value_type if is_list(has) else has
        return None if _is_binary(one) else _misfit(name, one, wants.value_type, nested=is_list(has))
    if pa.types.is_list(wants):
        if is_list(has):
            return _misfit(name, has.value_type, wants.value_type, nested=True)
        wanted = "a list"
    elif pa.types.is_struct(wants):
        if pa.types.is_struct(has):
            found = (_misfit(f"{name}.{f.name}", has.field(f.name).type, f.type, nested=True) for f in wants)
            return next(filter(None, found), None)
        wanted = f"a struct of {', '.join(field.name for field in wants)}"
    else:
        wanted = "text or bytes" if wants == RAW_TEXT else str(wants)
        with contextlib.suppress(pa.ArrowException):
            (pa.Array.cast if nested else _cast)(pa.nulls(0, has), wants)
            return None
    return f"column {name} is {has}, wanted is {wanted}"


def _is_binary(kind: pa.DataType) -> bool:
    """Whether a column holds bytes; a text is none, since it may be a path or an address."""
    kinds = ("binary", "large_binary", "fixed_size_binary", "binary_view")
    return any(getattr(pa.types, f"is_{name}")(kind) for name in kinds)


def _cast_pictures(column: pa.Array) -> pa.ListArray:
    """A column of pictures, in any of the layouts that `pictures` names, as PICTURES."""
    if is_list(column.type):
        values, counts = column.flatten(), pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32())
        ends = pc.cumulative_sum(counts).to_pylist()
    else:
        values, ends = column, range(1, len(column) + 1)
    if _is_binary(values.type):
        names = pa.nulls(len(values), RAW_TEXT)
        mask = values.is_null()
        values = pa.StructArray.from_arrays(
            [values.cast(pa.binary()), names], fields=list(PICTURE.type), mask=mask
        )
    return pa.ListArray.from_arrays(pa.array([0, *ends], pa.int32()), values.cast(PICTURE.type))


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Cast a column; where RAW_TEXT is wanted, a number or a date becomes its text."""
    if kind == PICTURES:
        return _cast_pictures(column)
    if kind == RAW_TEXT and (pa.types.is_primitive(column.type) or pa.types.is_decimal(column.type)):
        column = column.cast(pa.string())
    if pa.types.is_list_view(column.type) or pa.types.is_large_list_view(column.type):
        # pyarrow's own cast gives a list without its last offset.
        ends = pc.cumulative_sum(pc.fill_null(pc.list_value_length(column), 0).cast(pa.int32()))
        offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
        column = pa.ListArray.from_arrays(offsets, column.flatten(), mask=column.is_null())
    return column.cast(kind)


def decode_or_error(cell: bytes | None) -> str | UnicodeDecodeError | None:
    """The text of a RAW_TEXT cell, or its error where it is not UTF-8: so it costs its row and no other."""
    try:
        return decode(cell)
    except UnicodeDecodeError as error:
        return error


def decode(cell: bytes | None) -> str | None:
    """The text of a RAW_TEXT cell; raises UnicodeDecodeError where it is not UTF-8."""
    return None if cell is None else cell.decode()


class Writer:
    """A writer of one parquet file that also takes the sha256 of its bytes."""

    def __init__(self, file: IO[bytes], schema: pa.Schema, hasher: Executor) -> None:
        self.schema, self.rows = schema, 0
        self._digest = hashlib.sha256()
        self._hasher, self._hashing = hasher, hasher.submit(int)  # a first future, which is done at once
        self._file = file
        self._held: list[pa.Table] = []
        self._held_rows = self._held_bytes = self._written = 0
        # Pictures are compressed already and do not repeat: a codec, a dictionary or statistics cost time
        # and save nothing. Texts shrink to a third under zstd. With write_batch_size, a page ends at the
        # first 32 rows past a megabyte, not with its row group: reader and writer hold less.
        paths = list(_leaves("", pa.struct(list(schema))))
        texts = [path for path in paths if path not in ("images.list.element.bytes", "image.bytes")]
        self._writer = pq.ParquetWriter(
            pa.PythonFile(self, mode="w"),
            schema,
            compression=dict.fromkeys(paths, "NONE") | dict.fromkeys(texts, "ZSTD"),
            use_dictionary=texts,
            write_statistics=texts,
            write_batch_size=32,
            # With the page index, a reader finds rows without a scan. Pages that end where their content says
            # are the same bytes when other rows change, and the hub does not take them again.
            write_page_index=True,
            use_content_defined_chunking=CHUNKING,
        )

    def add(self, table: pa.Table | pa.RecordBatch) -> None:
        """Append rows; they are written in row groups within GROUP_ROWS and GROUP_BYTES."""
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
            self._held_rows += table.num_rows
            self._held_bytes += table.nbytes
            self.rows += table.num_rows

    def add_rows(self, rows: list[dict]) -> None:
        """Append rows that are Python objects."""
        self.add(pa.Table.from_pylist(rows, self.schema))

    def add_metadata(self, metadata: Mapping[str, str]) -> None:
        """Add key-value metadata to the footer."""
        if metadata:
            self._writer.add_key_value_metadata(metadata)

    def _write_group(self) -> None:
        if self._held:
            self._writer.write_table(pa.concat_tables(self._held))
            self._held.clear()
            self._held_rows = self._held_bytes = 0

    def write(self, data: bytes) -> int:
        """Write bytes of the parquet writer to the file, and hash them on another thread."""
        self._hashing.result()
        self._hashing = self._hasher.submit(self._digest.update, data)
        self._written += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Arrow calls this; atomic_write syncs the file."""

    def finish(self) -> None:
        """Write the rows still held, and the footer."""
        self._write_group()
        self._writer.close()

    def close(self) -> None:
        """Arrow calls this; atomic_write closes the file."""

    @property
    def closed(self) -> bool:
        """Arrow reads this before it writes and closes."""
        return self._file.closed

    @property
    def bytes(self) -> int:
        """The bytes written; until finished, those held in memory count as much as they take there."""
        return self._written + self._held_bytes

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
def open_writer(path: str | Path, schema: pa.Schema) -> Iterator[Writer]:
    """Write a parquet file that appears at `path` when the block ends well, and not at all otherwise."""
    with atomic_write(path) as part, part.open("wb") as file, ThreadPoolExecutor(1) as hasher:
        writer = Writer(file, schema, hasher)
        yield writer
        writer.finish()


def write_rows(path: str | Path, rows: Iterable[dict], schema: pa.Schema) -> Writer:
    """Write a stream of rows as a parquet file; the closed writer knows its `rows` and `sha256`."""
    with open_writer(path, schema) as writer:
        for batch in batch_rows(rows, STREAMED_ROWS):
            writer.add_rows(batch)
    return writer


def batch_rows(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """The rows as lists of `size`, and the rest."""
    rows = iter(rows)
    return iter(lambda: list(islice(rows, size)), [])


def list_files(path: str | Path) -> list[Path]:
    """The parquet files of what this project wrote: the file at `path`, or in order those of a folder."""
    path = Path(path)
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def count_rows(path: str | Path) -> int:
    """The rows of a file or folder that this project wrote, by the footers."""
    return sum(pq.read_metadata(file).num_rows for file in list_files(path))


def read_groups(file: str | Path, start: int, stop: int) -> Iterator[pa.Table]:
    """The rows of a file that this project wrote from `start` to before `stop`, one row group at a time."""
    with pq.ParquetFile(file) as opened:
        first = 0
        for group in range(opened.num_row_groups):
            end = first + opened.metadata.row_group(group).num_rows
            if first < stop and start < end:
                own = max(start, first) - first
                yield opened.read_row_group(group).slice(own, min(stop, end) - first - own)
            first = end


def read_rows(path: str | Path, columns: Sequence[str] | None = None) -> Iterator[dict]:
    """The rows of a file or folder that this project wrote, one by one, with one row group in memory."""
    for name in list_files(path):
        with pq.ParquetFile(name) as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, columns).to_pylist()


def read_rows_at(path: str | Path, positions: Sequence[int]) -> Iterator[dict]:
    """The rows at these positions (ascending); only their row groups are read, one in memory at a time."""
    start = 0
    for name in list_files(path):
        with pq.ParquetFile(name) as file:
            for group in range(file.num_row_groups):
                end = start + file.metadata.row_group(group).num_rows
                here = [position - start for position in positions if start <= position < end]
                if here:
                    rows = file.read_row_group(group)
                    for position in here:
                        yield rows.slice(position, 1).to_pylist()[0]
                start = end
