"""Shards: no file has more bytes than the limit, but one of a single row; equal rows give equal bytes."""

import random
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prep.storage import parquet, shards
from prep.storage.schema import TRAINING


def row(number: int, picture: int, text: int) -> dict:
    """A row with a picture and an answer of so many bytes, neither of which compresses."""
    noise = random.Random(number)
    said = "".join(chr(noise.randrange(0x4E00, 0x9F00)) for _ in range(text // 3))
    messages = [{"content": "<image>", "role": "user"}, {"content": said, "role": "assistant"}]
    images = [{"bytes": noise.randbytes(picture), "path": None}]
    return {"id": f"a/s:{number}", "source_id": None, "messages": messages, "images": images}


def write(folder: Path, rows: list[dict], limit: int, at_a_time: int) -> list[dict]:
    with shards.open_artifact(folder, TRAINING, limit) as (writer, about):
        for start in range(0, len(rows), at_a_time):
            writer.add(pa.RecordBatch.from_pylist(rows[start : start + at_a_time], TRAINING))
    return about["files"]


SIZES = {
    "alike": [(5_000, 300)] * 60,
    "texts alone": [(1, 4_000)] * 60,
    "short rows": [(1, 10)] * 3_000,
    "one by one larger": [(400 * number, 30) for number in range(60)],
    "some above the limit": [(120_000 if number % 7 == 3 else 4_000, 30) for number in range(30)],
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("at_a_time", [1, 64])
def test_no_file_is_larger_than_the_limit_unless_it_has_one_row(
    sizes: str, at_a_time: int, tmp_path: Path
) -> None:
    limit = 100_000
    rows = [row(number, *size) for number, size in enumerate(SIZES[sizes])]
    files = write(tmp_path / "a", rows, limit, at_a_time)
    assert all(file["bytes"] <= limit or file["rows"] == 1 for file in files), files
    assert [each.stat().st_size for each in sorted((tmp_path / "a").iterdir())] == [f["bytes"] for f in files]
    assert list(parquet.read_rows(tmp_path / "a")) == rows
    assert files == [
        again | {"file": file["file"]}
        for file, again in zip(files, write(tmp_path / "b", rows, limit, at_a_time), strict=True)
    ]


def test_files_are_well_filled(tmp_path: Path) -> None:
    rows = [row(number, 5_000, 300) for number in range(200)]
    files = write(tmp_path / "a", rows, 100_000, 64)
    assert all(a["bytes"] + b["bytes"] > 100_000 for a, b in pairwise(files))
    assert sum(file["bytes"] for file in files) / len(files) > 80_000


def test_a_file_that_its_footer_made_too_large_is_written_again_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many short row groups: what the footer says of them is more than what was left for it."""
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    read, again = parquet.read_groups, []
    monkeypatch.setattr(parquet, "read_groups", lambda *given: again.append(given) or read(*given))
    rows = [row(number, 50, 50) for number in range(300)]
    files = write(tmp_path / "a", rows, 30_000, 1)
    assert again
    assert all(file["bytes"] <= 30_000 for file in files)
    assert list(parquet.read_rows(tmp_path / "a")) == rows
    assert [pq.read_metadata(tmp_path / "a" / Path(f["file"]).name).num_rows for f in files] == [
        file["rows"] for file in files
    ]


def test_a_limit_below_a_footer_gives_each_row_a_file(tmp_path: Path) -> None:
    files = write(tmp_path / "a", [row(number, 10, 10) for number in range(5)], 1, 5)
    assert [file["rows"] for file in files] == [1] * 5
