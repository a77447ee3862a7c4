"""Row readers of source files by their container: Parquet, JSON Lines, a JSON array, WebDataset tar.

The ending of a file's name tells its container. Whatever it is, its rows come in batches of one Arrow schema,
with the first column as PICTURES: each form reads every container, and each row has its number in the file.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple, Protocol

import pyarrow as pa

from prep.containers import archives
from prep.containers.picture_files import PICTURES_BYTES, PictureFiles
from prep.records import json_rows
from prep.records.reason import Reason, Rejection
from prep.storage import atomic, parquet
from prep.storage.parquet import RAW_TEXT, BadShard, SourceFile

JSON = (".json", ".jsonl", ".ndjson")
TEXT_BYTES = 16 * 1024 * 1024
"""The most that a text of a WebDataset sample may take."""
KEY = "__key__"
"""The column of a WebDataset sample's own key."""

Picture = tuple[bytes | None, bytes | None]
"""A picture's bytes, and its name."""


class Batch(NamedTuple):
    """Some rows: their cells, which of them may have several pictures, and what is wrong with some.

    `several` tells for each row whether its pictures are a list at the source. The cells of a row of which
    `faults` says why it cannot be read, by its number in the batch, are null.
    """

    cells: pa.RecordBatch
    several: Sequence[bool]
    faults: Mapping[int, Rejection]


class RowReader(Protocol):
    """The rows of a file. `footer_sha256` tells a file from its replacement."""

    @property
    def footer_sha256(self) -> str:
        """The digest of what lists the rows; those of some containers are read whole for it."""

    def batches(self, take: int | None = None) -> Iterator[Batch]:
        """The first `take` rows (None: all) in order; raises BadShard where the file is broken."""


class Row(NamedTuple):
    """A row on its way into a batch: its pictures, whether they are a list at the source, its other cells."""

    pictures: list[Picture]
    several: bool
    cells: list[Any]


def open_rows(
    path: SourceFile, image: str, columns: Sequence[str | pa.Field], pictures: PictureFiles | None = None
) -> RowReader:
    """The reader of a file's pictures, which are in the column `image`, and of its other `columns`.

    With `pictures`, the column holds the names of files there. Raises BadShard where the file cannot be read
    or lacks a column.
    """
    fields = [pa.field(column, RAW_TEXT) if isinstance(column, str) else column for column in columns]
    kind = path.suffix.lower()
    if kind == ".parquet":
        return NamedParquet(path, image, fields, pictures) if pictures else Parquet(path, image, fields)
    if kind in JSON:
        return Json(path, image, fields, pictures)
    if kind == ".tar":
        return WebDataset(path, image, fields, pictures)
    raise BadShard(path, f"has rows that cannot be read: it is none of .parquet, {', '.join(JSON)}, .tar")


class Parquet:
    """A Parquet file that holds its pictures."""

    def __init__(self, path: SourceFile, image: str, fields: Sequence[pa.Field]) -> None:
        self._file = parquet.Reader(path, [parquet.pictures(image), *fields])
        self._several = parquet.is_list(self._file.file_schema.field(image).type)

    @property
    def footer_sha256(self) -> str:
        return self._file.footer_sha256

    def batches(self, take: int | None = None) -> Iterator[Batch]:
        for cells in self._file.batches(take):
            yield Batch(cells, [self._several] * cells.num_rows, {})
            del cells  # a large row must not stay in memory while the next is read


class NamedParquet:
    """A Parquet file with a column that names the files of pictures, one or a list a row."""

    def __init__(
        self, path: SourceFile, image: str, fields: Sequence[pa.Field], pictures: PictureFiles
    ) -> None:
        kinds = parquet.Reader(path, [*fields]).file_schema
        listed = image in kinds.names and parquet.is_list(kinds.field(image).type)
        names = pa.field(image, pa.list_(RAW_TEXT) if listed else RAW_TEXT)
        self._file = parquet.Reader(path, [names, *fields])
        self._schema, self._pictures = pa.schema([parquet.pictures(image), *fields]), pictures

    @property
    def footer_sha256(self) -> str:
        return join_sha256(self._file.footer_sha256, self._pictures)

    def batches(self, take: int | None = None) -> Iterator[Batch]:
        return pack_rows(self._rows(take), self._schema)

    def _rows(self, take: int | None) -> Iterator[Row | Rejection]:
        for batch in self._file.batches(take):
            for names, *cells in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield add_pictures(names, cells, self._pictures)


class Json:
    """JSON Lines or a JSON array of objects; a dotted column is a path into nested objects."""

    def __init__(
        self, path: SourceFile, image: str, fields: Sequence[pa.Field], pictures: PictureFiles | None
    ) -> None:
        if pictures is None:
            line = "its pictures are files of their own, and `pictures` of the source must say which"
            raise BadShard(path, f"JSON holds no pictures: {line}")
        self._path, self._image, self._fields, self._pictures = path, image, fields, pictures

    @property
    def footer_sha256(self) -> str:
        return join_sha256(atomic.sha256(self._path), self._pictures)

    def batches(self, take: int | None = None) -> Iterator[Batch]:
        schema = pa.schema([parquet.pictures(self._image), *self._fields])
        return pack_rows(self._rows(take), schema)

    def _rows(self, take: int | None) -> Iterator[Row | Rejection]:
        objects = islice(json_rows.read_rows(self._path), take)
        for row in check_columns(self._path, objects, [self._image, *(field.name for field in self._fields)]):
            yield (
                build_row(row, self._image, self._fields, self._pictures)
                if isinstance(row, dict)
                else as_row_fault(row)
            )


class WebDataset:
    """A tar of samples: members in a row whose names are the same up to the first dot of their last part.

    A column is what follows that dot (`jpg`, `txt`), several of which `;` joins (`jpg;png`), `__key__`, or a
    path into a JSON member (`json.caption`). Members that no column names are passed over: a pickle is never
    read. (https://github.com/webdataset/webdataset, FORMAT.md)
    """

    def __init__(
        self, path: SourceFile, image: str, fields: Sequence[pa.Field], pictures: PictureFiles | None
    ) -> None:
        archives.check_not_lfs_pointer(path)
        self._path, self._image, self._fields, self._pictures = path, image, fields, pictures
        self._tar = archives.Tar(path, lazily=True)

    @property
    def footer_sha256(self) -> str:
        return join_sha256(self._tar.sha256, self._pictures)

    def batches(self, take: int | None = None) -> Iterator[Batch]:
        schema = pa.schema([parquet.pictures(self._image), *self._fields])
        return pack_rows(self._rows(take), schema)

    def _rows(self, take: int | None) -> Iterator[Row | Rejection]:
        wanted = [self._image, *(field.name for field in self._fields)]
        for sample in check_columns(self._path, islice(self._samples(wanted), take), wanted):
            if not isinstance(sample, dict):
                yield sample
            elif self._pictures:
                yield build_row(sample, self._image, self._fields, self._pictures)
            else:
                picture = find_value(sample, self._image)
                cells = convert_cells(sample, self._fields)
                yield cells if isinstance(cells, tuple) else Row([picture or (None, None)], False, cells)

    def _samples(self, wanted: Sequence[str]) -> Iterator[dict[str, Any] | Rejection]:
        """Each sample: what the `wanted` columns name of it, by what follows the dot."""
        key, members = None, {}
        for name, place in self._tar.list_members():
            folder, _, last = name.rpartition("/")
            stem, _, field = last.partition(".")
            if not stem or not field:
                continue  # no part of a sample, such as what macOS adds
            if (own := f"{folder}/{stem}") != key and members:
                yield self._read(key, members, wanted)
                members = {}
            key = own
            members.setdefault(field.lower(), []).append((name, place))
        if members:
            yield self._read(key, members, wanted)

    def _read(
        self, key: str, members: dict[str, list[tuple[str, Any]]], wanted: Sequence[str]
    ) -> dict[str, Any] | Rejection:
        sample: dict[str, Any] = {KEY: key.removeprefix("/")} | dict.fromkeys(members)
        pictures = [] if self._pictures else self._image.split(";")
        for field, [(name, place), *others] in members.items():
            if field not in pictures and not any(is_path_of(field, column) for column in wanted):
                continue
            if others:
                data = Reason.IMAGE_MISSING, f"several files have the name {sample[KEY]}.{field}"
            else:
                data = self._tar.read(place, PICTURES_BYTES if field in pictures else TEXT_BYTES)
            if isinstance(data, tuple):
                return data if field in pictures else (Reason.ROW_INVALID, f"{name}: {data[1]}")
            if field in pictures:
                sample[field] = (data, name.encode(errors="surrogateescape"))
            elif field.split(".")[-1] == "json":
                try:
                    sample[field] = json.loads(data)
                except (ValueError, RecursionError) as error:
                    return Reason.ROW_INVALID, f"{name}: not JSON: {error}"[:200]
            else:
                sample[field] = data
        return sample


def join_sha256(own: str, pictures: PictureFiles | None) -> str:
    """The digest of a file and of the pictures that its rows name."""
    return hashlib.sha256(f"{own}{pictures.sha256}".encode()).hexdigest() if pictures else own


def is_path_of(field: str, column: str) -> bool:
    """Whether a column names a member of a sample, or a path into it."""
    return any(each == field or each.startswith(f"{field}.") for each in column.split(";"))


def find_value(row: Mapping[str, Any], column: str) -> Any:
    """What a column names: a key, else a dotted path; of several that `;` joins, the first that is there."""
    for name in column.split(";"):
        if row.get(name) is not None:
            return row[name]
        head, dot, rest = name.partition(".")
        while dot:
            if isinstance(inner := row.get(head), dict) and (found := find_value(inner, rest)) is not None:
                return found
            more, dot, rest = rest.partition(".")
            head = f"{head}.{more}"
    return None


def has_column(row: Mapping[str, Any], column: str) -> bool:
    """Whether a row has the key that a column begins with, whatever it holds."""
    return any(is_path_of(key, column) for key in row)


def check_columns(
    path: SourceFile, rows: Iterator[dict[str, Any] | Rejection], columns: Sequence[str]
) -> Iterator[dict[str, Any] | Rejection]:
    """The rows as they are; raises BadShard where none of the first GROUP_ROWS has one of the columns.

    Where rows are objects, one that lacks a key is no fault of the file.
    """
    lacking, keys, legible, number = [*columns], {}, False, 0
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict) and (lacking or not keys):
            keys |= dict.fromkeys(row)
            lacking = [name for name in lacking if not has_column(row, name)]
        legible |= isinstance(row, dict) or row[0] not in (Reason.QUESTION_INVALID, Reason.TEXT_NOT_UTF8)
        yield row
        del row
        if number == parquet.GROUP_ROWS:
            check_seen(path, lacking, keys, legible)
    if 0 < number < parquet.GROUP_ROWS:
        check_seen(path, lacking, keys, legible)


def check_seen(path: SourceFile, lacking: list[str], keys: Mapping[str, None], legible: bool) -> None:
    """Raise BadShard where no row was legible, or columns that are read are in none of the rows."""
    if not legible:
        raise BadShard(path, "neither JSON Lines nor a JSON array of objects: none of its rows is an object")
    if keys and lacking:
        raise BadShard(path, f"no column {', '.join(lacking)}", f"it has: {', '.join(keys):.300}")


def as_row_fault(rejection: Rejection) -> Rejection:
    """A fault of a JSON row, which is no question here."""
    reason, detail = rejection
    return (Reason.ROW_INVALID if reason == Reason.QUESTION_INVALID else reason), detail


def build_row(
    row: Mapping[str, Any], image: str, fields: Sequence[pa.Field], pictures: PictureFiles
) -> Row | Rejection:
    """A row of an object that names its pictures."""
    cells = convert_cells(row, fields)
    return cells if isinstance(cells, tuple) else add_pictures(find_value(row, image), cells, pictures)


def add_pictures(names: Any, cells: list[Any], pictures: PictureFiles) -> Row | Rejection:
    """A row whose pictures are read by their names: a text, or a list of texts."""
    several = isinstance(names, list)
    wanted = names if several else [names]
    if None in wanted:
        return Reason.IMAGE_MISSING, "null"
    texts = []
    for name in wanted:
        try:
            texts.append(name.decode() if isinstance(name, bytes) else name)
        except UnicodeDecodeError as error:
            return Reason.TEXT_NOT_UTF8, str(error)[-200:]
        if not isinstance(texts[-1], str):
            return Reason.ROW_INVALID, f"a picture's name is no text: {name!r:.100}"
    found = pictures.read_all(texts)
    return found if isinstance(found, tuple) else Row(found, several, cells)


def convert_cells(row: Mapping[str, Any], fields: Sequence[pa.Field]) -> list[Any] | Rejection:
    """The values of an object as cells of the fields, or what is wrong with one."""
    try:
        return [convert_value(find_value(row, field.name), field.type, field.name) for field in fields]
    except UnicodeEncodeError as error:
        return Reason.TEXT_NOT_UTF8, error.reason
    except TypeError as error:
        return Reason.ROW_INVALID, str(error)


def convert_value(value: Any, kind: pa.DataType, where: str) -> Any:
    """A JSON value as one of a column's type, a number as its text; raises TypeError for one of another kind.

    NaN and Infinity are null: JSON has no such numbers. Raises UnicodeEncodeError for a lone surrogate.
    """
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if pa.types.is_list(kind) and isinstance(value, list):
        return [convert_value(each, kind.value_type, where) for each in value]
    if pa.types.is_struct(kind) and isinstance(value, dict):
        return {f.name: convert_value(value.get(f.name), f.type, f"{where}.{f.name}") for f in kind}
    if kind == RAW_TEXT and isinstance(value, str | int | float):
        return (value if isinstance(value, str) else json.dumps(value)).encode()
    wanted = {True: "a text"}.get(kind == RAW_TEXT, "a list" if pa.types.is_list(kind) else "an object")
    raise TypeError(f"{where} is not {wanted}: {value!r:.100}")


def pack_rows(rows: Iterator[Row | Rejection], schema: pa.Schema) -> Iterator[Batch]:
    """Rows as batches of about BATCH_BYTES, of GROUP_ROWS at most."""
    held: list[Row | Rejection] = []
    held_bytes = 0
    for row in rows:
        held.append(row)
        held_bytes += count_bytes([*row.cells, row.pictures]) if isinstance(row, Row) else 0
        del row
        if held_bytes >= parquet.BATCH_BYTES or len(held) == parquet.GROUP_ROWS:
            yield build_batch(held, schema)
            held_bytes = 0
    if held:
        yield build_batch(held, schema)


def count_bytes(value: Any) -> int:
    """How many bytes the texts and pictures of a nested value take."""
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        value = value.values()
    return 0 if value is None else sum(map(count_bytes, value))


def build_batch(held: list[Row | Rejection], schema: pa.Schema) -> Batch:
    """The batch of some rows; the list is cleared, so that nothing of them stays in memory."""
    faults = {number: row for number, row in enumerate(held) if not isinstance(row, Row)}
    empty = Row([], False, [None] * (len(schema) - 1))
    rows = [empty if number in faults else row for number, row in enumerate(held)]
    held.clear()
    images = [[{"bytes": data, "path": name} for data, name in row.pictures] for row in rows]
    columns = [images, *([row.cells[column] for row in rows] for column in range(len(schema) - 1))]
    arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
    return Batch(pa.RecordBatch.from_arrays(arrays, schema=schema), [row.several for row in rows], faults)
