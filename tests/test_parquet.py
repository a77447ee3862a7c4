"""Parquet shards: read by name whatever the writer did, written in small groups, whole or not at all."""

import hashlib
import io
import pickle
import random
import subprocess
import sys
import tempfile
from collections import Counter
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import nasty
from hub_chunks import measure_upload
from prep.runtime.program import UserError
from prep.storage import parquet, schema
from prep.storage.parquet import BadShard, Reader, Writer
from running import python_environment

IMAGE = pa.field("image", pa.struct([("bytes", pa.binary()), ("path", parquet.RAW_TEXT)]))
TURNS = pa.field(
    "conversations", pa.list_(pa.struct([("from", parquet.RAW_TEXT), ("value", parquet.RAW_TEXT)]))
)
GOOD = [("human", "<image>\nWhat?"), ("gpt", "A cat.")]


def table(rows: int) -> pa.Table:
    """Rows of LLaVA's layout whose pictures are a few bytes, numbered."""
    return nasty.llava([(b"picture %d" % row, GOOD) for row in range(rows)])


def read(path: Path, take: int | None = None) -> list[dict]:
    source = Reader(path, ["id", IMAGE, TURNS])
    return [row for batch in source.batches(take) for row in batch.to_pylist()]


@pytest.mark.parametrize("shape", nasty.shapes(table(1)))
def test_a_shard_is_read_alike_whatever_its_writer_did(shape: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(nasty.shapes(table(5))[shape], path, row_group_size=2)
    assert read(path) == [
        {
            "id": b"%09d" % row,
            "image": {"bytes": b"picture %d" % row, "path": b"a.jpg"},
            "conversations": [
                {"from": b"human", "value": b"<image>\nWhat?"},
                {"from": b"gpt", "value": b"A cat."},
            ],
        }
        for row in range(5)
    ]


@pytest.mark.parametrize("name", nasty.BAD_SHARDS)
def test_a_bad_shard_is_named_with_what_is_wrong(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    nasty.BAD_SHARDS[name](path, table(10))
    with pytest.raises(BadShard) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: ")
    assert "\n" not in said
    expected = {
        "no such column": "no column image (it has: id, conversations, data_source)",
        "no such field": "no column image.bytes (it has: id, image, conversations, data_source)",
        "broken row group": "row group 1 cannot be read",
        "name not utf-8": "cannot be opened ('utf-8' codec can't decode byte 0xff",
        "image a number": "column image is int64, wanted is a struct of bytes, path",
        "bytes a list": "column image.bytes is list<element: int8>, wanted is text or bytes",
        "bytes a number": "column image.bytes is int8, wanted is text or bytes",
        "column of another type": "column image is string, wanted is a struct of bytes, path",
    }
    assert expected.get(name, "") in said


def test_rows_before_a_broken_group_can_be_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    nasty.BAD_SHARDS["broken row group"](path, table(10))
    assert len(read(path, 5)) == 5
    with pytest.raises(BadShard, match="row group 1 cannot be read"):
        read(path, 6)


def test_no_batch_is_decoded_after_the_rows_that_are_taken(tmp_path, monkeypatch) -> None:
    pq.write_table(table(100), tmp_path / "a.parquet")
    monkeypatch.setattr(parquet, "_rows_at_a_time", lambda groups: 10)
    decoded, read_batches = [], Reader._read
    monkeypatch.setattr(Reader, "_read", lambda *about: map(count, read_batches(*about)))

    def count(batch: pa.RecordBatch) -> pa.RecordBatch:
        decoded.append(batch.num_rows)
        return batch

    batches = Reader(tmp_path / "a.parquet", ["id"]).batches(25)
    assert sum(batch.num_rows for batch in batches) == 25
    assert decoded == [10, 10, 10]


def test_what_the_system_cannot_open_is_not_the_shards_fault(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Reader(tmp_path / "none.parquet", ["id"])


@pytest.mark.parametrize("field", ["conversations.value", "conversations.from"])
def test_a_turn_without_a_field_is_a_column_that_lacks(field: str, tmp_path: Path) -> None:
    path, other = (
        tmp_path / "a.parquet",
        {"conversations.value": "from", "conversations.from": "value"}[field],
    )
    turns = pa.array([[{other: "human"}]])
    pq.write_table(table(1).set_column(2, "conversations", turns), path)
    with pytest.raises(BadShard, match=f"no column {field} "):
        Reader(path, ["id", IMAGE, TURNS])


def test_a_column_of_nulls_alone_has_every_type(tmp_path: Path) -> None:
    path, nulls = tmp_path / "a.parquet", pa.nulls(2)
    pq.write_table(pa.table({"id": nulls, "image": nulls, "conversations": nulls}), path)
    assert read(path) == [{"id": None, "image": None, "conversations": None}] * 2


@pytest.mark.parametrize(
    ("cell", "kind", "text"),
    [
        (True, pa.bool_(), b"true"),
        (Decimal("1.50"), pa.decimal128(5, 2), b"1.50"),
        (date(2024, 5, 17), pa.date32(), b"2024-05-17"),
        (None, pa.null(), None),
    ],
)
def test_whatever_has_a_text_is_read_as_that(tmp_path: Path, cell, kind: pa.DataType, text: bytes) -> None:
    pq.write_table(pa.table({"id": pa.array([cell], kind)}), tmp_path / "a.parquet")
    (batch,) = Reader(tmp_path / "a.parquet", ["id"]).batches()
    assert batch.column("id").to_pylist() == [text]


def test_numbers_are_read_as_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": pa.array([7, None, -(2**60)]), "score": pa.array([0.5, 1.0, None])}), path)
    (batch,) = Reader(path, ["id", "score"]).batches()
    assert batch.column("id").to_pylist() == [b"7", None, b"-1152921504606846976"]
    assert [float(score) for score in batch.column("score").to_pylist()[:2]] == [0.5, 1.0]


@given(st.integers(0, 9), st.integers(1, 10), st.none() | st.integers(0, 12))
def test_the_first_rows_are_read_in_order(rows: int, group: int, take: int | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        pq.write_table(table(rows), path, row_group_size=group)
        found = [row["id"] for row in read(path, take)]
        assert found == [b"%09d" % row for row in range(rows)][:take]


@pytest.mark.parametrize("size", [1, 1000, 10**6])
def test_whatever_is_read_at_a_time_the_rows_are_the_same(
    size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BATCH_BYTES", size)
    monkeypatch.setattr(parquet, "READ_BYTES", size)
    path = tmp_path / "a.parquet"
    pq.write_table(table(11), path, row_group_size=4)
    for take in range(13):
        assert [row["id"] for row in read(path, take)] == [b"%09d" % row for row in range(min(take, 11))]


def test_row_groups_cost_what_their_rows_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The footer is parsed once, and thousands of row groups are one stream, of few batches."""
    opened, streams = [], []
    plain_open, plain_read = pq.ParquetFile.__init__, pq.ParquetFile.iter_batches

    def count_open(file: pq.ParquetFile, *args: object, **how: object) -> None:
        opened.append(args)
        plain_open(file, *args, **how)

    def count_read(file: pq.ParquetFile, *args: object, **how: object) -> object:
        streams.append(args)
        return plain_read(file, *args, **how)

    monkeypatch.setattr(pq.ParquetFile, "__init__", count_open)
    monkeypatch.setattr(pq.ParquetFile, "iter_batches", count_read)
    path = tmp_path / "a.parquet"
    counts = []
    for size in (1, 100):
        pq.write_table(table(2000), path, row_group_size=size)
        counts.append(len(list(Reader(path, ["id", IMAGE, TURNS]).batches())))
    assert (len(opened), len(streams)) == (2, 2)
    assert counts == [4, 4]


def test_what_a_dictionary_repeats_counts_each_time(tmp_path: Path) -> None:
    """A picture of a megabyte in 256 rows is a megabyte in the footer."""
    path = tmp_path / "a.parquet"
    pq.write_table(nasty.llava([(random.Random(0).randbytes(1024 * 1024), GOOD)] * 256), path)
    assert pq.read_metadata(path).row_group(0).total_byte_size < 2 * 1024 * 1024
    rows = [(batch.num_rows, batch.nbytes) for batch in Reader(path, ["id", IMAGE]).batches()]
    assert sum(number for number, _ in rows) == 256
    assert max(size for _, size in rows) <= parquet.READ_BYTES + parquet.BATCH_BYTES


READ_AND_SAY_PEAK = """
import resource
import pyarrow as pa
from prep.storage import parquet
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = sum(batch.num_rows for batch in parquet.Reader({path!r}, ["id", parquet.PICTURE]).batches())
print(rows, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_row_group(tmp_path: Path) -> None:
    """A row group of 300 MB, pages of 8 MB: pyarrow itself, as it is set, holds all of it."""
    path = tmp_path / "a.parquet"
    noise = random.Random(0).randbytes(2**20)
    large = nasty.llava([(b"%d" % row + noise, GOOD) for row in range(300)])
    pq.write_table(large, path, use_dictionary=False, write_batch_size=8)
    assert pq.read_metadata(path).num_row_groups == 1
    code = READ_AND_SAY_PEAK.format(path=str(path))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=True)
    rows, peak = map(int, done.stdout.split())
    assert rows == 300
    assert peak < 150


def test_a_footer_that_promises_more_rows_is_bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(table(10), path)
    source = Reader(path, ["id", IMAGE, TURNS])
    plain_read = source._read
    monkeypatch.setattr(source, "_read", lambda rows, groups: list(plain_read(rows, groups))[:0])
    with pytest.raises(BadShard, match="it has 0 rows where its footer says 10"):
        list(source.batches())


def mutated(seed: int) -> bytes:
    """A shard with up to three bytes altered, most of them in its footer."""
    chance = random.Random(seed)
    data = bytearray(chance.choice(WRITTEN))
    footer = int.from_bytes(data[-8:-4], "little")
    for _ in range(chance.randint(1, 3)):
        start = len(data) - 8 - footer if chance.random() < 0.75 else 0
        at = chance.randrange(start, len(data) - 8)
        data[at] = chance.choice((0, 127, 255, chance.randrange(256), data[at] ^ 1 << chance.randrange(8)))
    return bytes(data)


def written(**how: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(table(12), file, **how)
    return file.getvalue()


WRITTEN = [
    written(row_group_size=5),
    written(row_group_size=4, compression="none", use_dictionary=False, store_schema=False),
    written(compression="zstd", data_page_version="2.0", store_schema=False),
    written(write_page_index=True),
]


def test_whatever_a_file_holds_it_gives_rows_or_is_bad(tmp_path: Path) -> None:
    path, fates = tmp_path / "a.parquet", Counter()
    for seed in range(600):
        path.write_bytes(mutated(seed))
        try:
            fates["rows" if read(path) else "no rows"] += 1
        except BadShard as bad:
            fates["bad" if str(bad).startswith(f"{path}: ") and "\n" not in str(bad) else "badly told"] += 1
    assert fates["rows"] > 100
    assert fates["bad"] > 100
    assert not fates["badly told"]


def test_a_name_that_is_not_utf8_is_a_bad_shard() -> None:
    path = ROOT.parent / "shared/cases/column_name_not_utf8.parquet"
    with pytest.raises(BadShard, match=r"column_name_not_utf8\.parquet: cannot be opened"):
        read(path)


def test_another_shard_has_another_footer(tmp_path: Path) -> None:
    sums = []
    for name, shard in (
        ("a", table(3)),
        ("again", table(3)),
        ("b", table(4)),
        ("c", nasty.llava([(b"", GOOD)] * 3)),
    ):
        pq.write_table(shard, tmp_path / f"{name}.parquet")
        sums.append(Reader(tmp_path / f"{name}.parquet", ["id"]).footer_sha256)
    assert sums[0] == sums[1]
    assert len(set(sums)) == 3


def test_a_bad_shard_is_told_from_one_process_to_another() -> None:
    bad = pickle.loads(pickle.dumps(BadShard(Path("a"), "cannot be opened", "no footer")))
    assert (str(bad), bad.what) == ("a: cannot be opened (no footer)", "cannot be opened")


@pytest.mark.parametrize("groups", [0, 1])
def test_no_rows_are_no_batches(groups: int, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with pq.ParquetWriter(path, table(1).schema) as writer:
        for _ in range(groups):
            writer.write_table(table(0))
    assert read(path) == []


def test_batches_are_small_however_large_the_sources_groups(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    large = nasty.llava([(bytes(1024 * 1024), GOOD)] * 12)
    pq.write_table(large, path, compression="none", use_dictionary=False)
    sizes = [batch.nbytes for batch in Reader(path, ["id", IMAGE]).batches()]
    assert max(sizes) <= parquet.BATCH_BYTES + 1024 * 1024
    pq.write_table(table(2000), path, row_group_size=2000)
    batches = [batch.num_rows for batch in Reader(path, ["id", IMAGE]).batches()]
    assert sum(batches) == 2000
    assert max(batches) <= parquet.GROUP_ROWS


def test_texts_give_an_error_in_place_of_what_is_not_utf8() -> None:
    column = pa.array([b"a", None, b"", b"\xff", "字\x00".encode(), b"\xed\xa0\x80"])
    first, null, empty, broken, chinese, surrogate = map(parquet.decode_or_error, column.to_pylist())
    assert (first, null, empty, chinese) == ("a", None, "", "字\x00")
    assert isinstance(broken, UnicodeDecodeError)
    assert isinstance(surrogate, UnicodeDecodeError)


def rejects(rows: int, start: int = 0) -> pa.Table:
    numbers = range(start, start + rows)
    return pa.Table.from_pylist([{"id": f"a:{row}", "row": row} for row in numbers], schema.REJECTS)


def groups_of(path: Path) -> list[int]:
    about = pq.read_metadata(path)
    return [about.row_group(group).num_rows for group in range(about.num_row_groups)]


@pytest.mark.parametrize(
    ("added", "groups"),
    [
        ([], []),
        ([0, 0], []),
        ([1, 0, 2], [3]),
        ([512], [512]),
        ([511, 1, 1], [512, 1]),
        ([500, 13], [500, 13]),
        ([513], [256, 257]),
        ([1024], [512, 512]),
    ],
)
def test_rows_are_gathered_into_groups(added: list[int], groups: list[int], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with parquet.open_writer(path, schema.REJECTS) as writer:
        start = 0
        for rows in added:
            writer.add(rejects(rows, start))
            start += rows
    assert groups_of(path) == groups
    assert pq.read_table(path).column("row").to_pylist() == list(range(start))
    assert writer.rows == start


def test_a_group_stays_small_in_bytes_too(tmp_path: Path) -> None:
    path, picture = tmp_path / "a.parquet", bytes(5 * 1024 * 1024)
    rows = [{"id": str(row), "images": [{"bytes": picture, "path": None}]} for row in range(16)]
    with parquet.open_writer(path, schema.TRAINING) as writer:
        for row in rows[:8]:
            writer.add(pa.Table.from_pylist([row], schema.TRAINING))
        writer.add(pa.Table.from_pylist(rows[8:], schema.TRAINING).to_batches()[0])
    about = pq.read_metadata(path)
    sizes = [about.row_group(group).total_byte_size for group in range(about.num_row_groups)]
    assert max(sizes) <= parquet.GROUP_BYTES + 1024
    assert groups_of(path) == [6, 6, 4]
    assert [row["id"] for row in parquet.read_rows(path, ["id"])] == [str(row) for row in range(16)]


def test_a_picture_larger_than_a_group_is_written_all_the_same(tmp_path: Path) -> None:
    path, picture = tmp_path / "a.parquet", bytes(parquet.GROUP_BYTES + 1)
    rows = [{"id": name, "images": [{"bytes": picture, "path": None}]} for name in "ab"]
    with parquet.open_writer(path, schema.TRAINING) as writer:
        writer.add(pa.Table.from_pylist(rows, schema.TRAINING))
    assert groups_of(path) == [1, 1]
    assert [row["images"][0]["bytes"] == picture for row in parquet.read_rows(path)] == [True, True]


def test_pictures_are_stored_as_they_are_and_texts_compressed(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_rows(path, [{"id": "a", "images": [{"bytes": b"b", "path": "c"}]}], schema.TRAINING)
    group = pq.read_metadata(path).row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    assert columns["images.list.element.bytes"].compression == "UNCOMPRESSED"
    assert not columns["images.list.element.bytes"].is_stats_set
    assert columns["messages.list.element.content"].compression == "ZSTD"
    assert pq.read_schema(path).equals(schema.TRAINING)
    assert pq.read_schema(path).metadata[b"huggingface"] == schema.TRAINING.metadata[b"huggingface"]


def test_the_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    written = parquet.write_rows(path, rejects(3).to_pylist(), schema.REJECTS)
    assert isinstance(written, Writer)
    assert written.rows == 3
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


@given(st.lists(st.integers(0, 700), max_size=8))
def test_rows_come_out_as_they_went_in(added: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder) / "a.parquet", 0
        with parquet.open_writer(path, schema.REJECTS) as writer:
            for rows in added:
                writer.add(rejects(rows, start))
                start += rows
        assert [row["row"] for row in parquet.read_rows(path)] == list(range(sum(added)))
        assert all(0 < rows <= parquet.GROUP_ROWS for rows in groups_of(path))
        assert writer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


BREAK = """
import pyarrow as pa
from prep.runtime import program
from prep.storage import parquet, schema

def main():
    with parquet.open_writer({path!r}, schema.REJECTS) as writer:
        for _ in range(3):
            writer.add(pa.Table.from_pylist([{{"id": "a"}}] * 512, schema.REJECTS))
        raise program.UserError("it broke")

program.run(main)
"""


def test_what_breaks_leaves_nothing_behind_and_says_no_more_than_why(tmp_path: Path) -> None:
    path = tmp_path / "out/a.parquet"
    code = BREAK.format(path=str(path))
    done = subprocess.run(
        [sys.executable, "-c", code], env=python_environment(), capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (1, "error: it broke\n")
    assert list(path.parent.iterdir()) == []


def test_an_older_file_stays_when_a_new_one_breaks(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_rows(path, [{"id": "old"}], schema.REJECTS)

    def break_off() -> None:
        with parquet.open_writer(path, schema.REJECTS) as writer:
            writer.add(rejects(1200))
            raise UserError("it broke")

    with pytest.raises(UserError, match="it broke"):
        break_off()
    assert [row["id"] for row in parquet.read_rows(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_git_lfs_pointer_is_named_as_one(tmp_path: Path) -> None:
    path = tmp_path / "train-00000-of-00001.parquet"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(BadShard, match=r"train-00000-of-00001.parquet: is a Git LFS pointer .*git lfs pull"):
        Reader(path, ["id"])


def test_rows_at_positions_are_read_and_other_row_groups_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"number": range(30), "text": ["a"] * 30}), path, row_group_size=10)
    assert [row["number"] for row in parquet.read_rows_at(path, [3, 9, 10, 29])] == [3, 9, 10, 29]

    group = pq.read_metadata(path).row_group(1)
    with path.open("r+b") as file:  # what is not read cannot hurt
        file.seek(group.column(0).data_page_offset)
        file.write(b"\xff" * 64)
    assert [row["number"] for row in parquet.read_rows_at(path, [0, 29])] == [0, 29]
    with pytest.raises(OSError, match=r"."):
        list(parquet.read_rows_at(path, [15]))


def test_a_stream_of_rows_is_written_in_order_a_few_at_a_time(tmp_path: Path) -> None:
    kind = pa.schema([("number", pa.int64())])
    taken = []
    rows = ({"number": taken.append(number) or number} for number in range(1000))
    writer = parquet.write_rows(tmp_path / "a.parquet", rows, kind)
    assert (writer.rows, len(taken)) == (1000, 1000)
    assert writer.sha256 == hashlib.sha256((tmp_path / "a.parquet").read_bytes()).hexdigest()
    assert [row["number"] for row in parquet.read_rows(tmp_path / "a.parquet")] == list(range(1000))


def captioned(row: int, text: int = 0, picture: int = 0) -> dict:
    """A training row with a picture of about 100 kB; other numbers give another text or picture."""
    words = random.Random(f"{row} {text}").choices([f"word{n}" for n in range(3000)], k=100)
    data = random.Random(f"{row} {picture} picture")
    return {
        "id": f"a/s:{row}",
        "source_id": None,
        "messages": [
            {"content": "<image>", "role": "user"},
            {"content": " ".join(words), "role": "assistant"},
        ],
        "images": [{"bytes": data.randbytes(data.randrange(50_000, 150_000)), "path": None}],
    }


@pytest.mark.parametrize(
    ("rows", "text", "picture", "share"),
    [((3, 107, 230), 1, 0, 0.03), ((140, 141, 142), 1, 1, 0.06), ((3, 107, 230), 1, 1, 0.06)],
    ids=["texts here and there", "whole rows side by side", "whole rows here and there"],
)
def test_the_hub_has_most_of_a_file_of_which_some_rows_changed(
    rows: tuple[int, ...], text: int, picture: int, share: float, tmp_path: Path
) -> None:
    """One row in a hundred changes; a changed picture costs the two chunks of 64 kB at its ends as well."""
    new = (captioned(row, text, picture) if row in rows else captioned(row) for row in range(300))
    parquet.write_rows(tmp_path / "old.parquet", map(captioned, range(300)), schema.TRAINING)
    parquet.write_rows(tmp_path / "new.parquet", new, schema.TRAINING)
    assert 0 < measure_upload(tmp_path / "old.parquet", tmp_path / "new.parquet") <= share


def test_rows_are_found_by_the_page_index(tmp_path: Path) -> None:
    parquet.write_rows(tmp_path / "a.parquet", [captioned(0)], schema.TRAINING)
    column = pq.read_metadata(tmp_path / "a.parquet").row_group(0).column(0)
    assert column.has_offset_index
    assert column.has_column_index
