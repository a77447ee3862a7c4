"""Questions about pictures are drawn by a hash of seed and id: the same ones each time, in their order."""

from pathlib import Path

import pyarrow.parquet as pq

import sample_questions
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256
from prep.storage.schema import QUESTIONS
from running import run


def write(path: Path, count: int) -> Path:
    image = {"bytes": b"picture", "path": None}
    rows = (
        {"id": f"set/a:{row}", "question": "<image>\nQ", "row": row, "image": image} for row in range(count)
    )
    parquet.write_rows(path, rows, QUESTIONS)
    return path


def test_more_rows_keep_those_of_fewer(tmp_path: Path) -> None:
    path = write(tmp_path / "q.parquet", 60)
    few, many = (sample_questions.sample_positions(path, count, 42) for count in (10, 20))
    assert len(few) == 10
    assert set(few) < set(many)
    assert few == sorted(few)
    assert sample_questions.sample_positions(path, 10, 43) != few
    assert sample_questions.sample_positions(path, 99, 42) == list(range(60))


def test_the_program_writes_whole_questions(tmp_path: Path) -> None:
    path, out, summary = write(tmp_path / "q.parquet", 60), tmp_path / "out.parquet", tmp_path / "out.json"
    done = run(
        *("sample_questions.py", "--questions", path, "--count", 5, "--seed", 42),
        *("--samples", out, "--summary", summary),
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out).to_pylist()
    assert [row["row"] for row in rows] == sample_questions.sample_positions(path, 5, 42)
    assert rows[0]["image"]["bytes"] == b"picture"
    assert read_json(summary)["files"]["samples"] == {"rows": 5, "sha256": sha256(out)}
