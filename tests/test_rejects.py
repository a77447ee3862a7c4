"""Examples of rejected rows: which ones, and their pictures in raw shards."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prep.report import rejects
from prep.report.gallery import Limits
from prep.storage import parquet
from prep.storage.schema import REJECTS
from reports import encoded, reject


def write(path: Path, rows: list[dict]) -> Path:
    parquet.write_rows(path, rows, REJECTS)
    return path


def test_examples_of_each_reason_are_from_all_over_and_always_the_same(tmp_path: Path) -> None:
    rows = [reject(n, "odd_turns") for n in range(20_000)] + [
        reject(n, "wrong_speaker", "a cat") for n in (7, 8)
    ]
    found = rejects.sample_rejects(write(tmp_path / "r.parquet", rows), "a", 10)
    assert {reason: len(each) for reason, each in found.items()} == {"odd_turns": 10, "wrong_speaker": 2}
    positions = sorted(row["row"] for row in found["odd_turns"])
    assert positions[0] < 5000
    assert positions[-1] > 15_000
    turned = rejects.sample_rejects(write(tmp_path / "t.parquet", rows[::-1]), "a", 10)
    assert turned == found  # the order of the file decides nothing
    assert rejects.sample_rejects(tmp_path / "t.parquet", "a", 4)["odd_turns"] == found["odd_turns"][:4]
    assert rejects.sample_rejects(tmp_path / "t.parquet", "b", 10)["odd_turns"] != found["odd_turns"]


def test_a_long_detail_is_cut() -> None:
    assert len(rejects.build_reject(reject(0, "odd_turns", "x" * 5000), []).detail) == rejects.DETAIL + 1


@pytest.mark.parametrize("kind", ["struct", "bytes", "list"])
def test_a_picture_is_read_from_its_row_group_alone(tmp_path: Path, kind: str) -> None:
    cells = []
    for n in range(10):
        data = encoded((10 + n, 10), "PNG")
        cells.append(
            {"struct": {"bytes": data, "path": "x"}, "bytes": data, "list": [{"bytes": data}] * 2}[kind]
        )
    path = tmp_path / "raw/org/s.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table({"pic": cells, "n": range(10)}), path, row_group_size=3)
    raw = rejects.RawRows(tmp_path / "raw", {"org": "pic"})
    found, text = raw.find("org/s:7", "data/s.parquet", 7, Limits())
    assert text.head + text.rest == '{\n "n": 7\n}'
    assert [picture.note.split(",")[1] for picture in found] == [" 17 by 10"] * (2 if kind == "list" else 1)
    assert raw.find("org/s:99", "data/s.parquet", 99, Limits()) == ([], None)


@pytest.mark.parametrize(
    ("columns", "file"),
    [
        ({"org": None}, "s.parquet"),
        ({}, "s.parquet"),
        ({"org": "n"}, "s.jsonl"),
        ({"org": "n"}, "gone.parquet"),
    ],
    ids=["elsewhere", "no-column", "json", "gone"],
)
def test_where_there_is_no_picture_there_is_none(tmp_path: Path, columns: dict, file: str) -> None:
    (tmp_path / "org").mkdir()
    pq.write_table(pa.table({"n": [1]}), tmp_path / "org/s.parquet")
    (tmp_path / "org/s.jsonl").write_text("{}\n")
    pictures, text = rejects.RawRows(tmp_path, columns).find("org/s:0", file, 0, Limits())
    assert pictures == []
    assert (text is not None) == (file == "s.parquet")


def test_a_raw_shard_that_is_torn_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "org").mkdir()
    (tmp_path / "org/s.parquet").write_bytes(b"PAR1 and no more")
    assert rejects.RawRows(tmp_path, {}).find("org/s:0", "s.parquet", 0, Limits()) == ([], None)
