"""Batches are runs of questions in source order, over the ends of files."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import batch_questions
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256
from prep.storage.schema import QUESTIONS
from running import run


def questions(path: Path, ids: list[str]) -> Path:
    parquet.write_rows(path, [{"id": id_, "question": f"What is {id_}?"} for id_ in ids], QUESTIONS)
    return path


def ids(tables: list[pa.Table]) -> list[str]:
    return pa.concat_tables(tables).column("id").to_pylist()


@pytest.mark.parametrize(
    ("size", "batches"),
    [
        (1, ["a", "b", "c", "d", "e"]),
        (2, ["ab", "cd", "e"]),
        (3, ["abc", "de"]),
        (4, ["abcd", "e"]),
        (5, ["abcde"]),
        (6, ["abcde"]),
    ],
)
def test_batches_are_full_but_for_the_last(tmp_path, size, batches):
    paths = [questions(tmp_path / f"{n}.parquet", list(part)) for n, part in enumerate(["ab", "", "cde"])]
    assert ["".join(ids(batch)) for batch in batch_questions.batch_tables(paths, size)] == batches


def test_more_batches_than_numbers_are_an_error(tmp_path, monkeypatch):
    path = questions(tmp_path / "0.parquet", ["a", "b", "c"])
    monkeypatch.setattr(batch_questions, "MOST_BATCHES", 2)
    flags = ["--questions", path, "--batch-size", 1, "--folder", tmp_path / "batches"]
    monkeypatch.setattr("sys.argv", ["batch_questions.py", *map(str, flags)])
    with pytest.raises(UserError, match="more than 2 batches: set a larger text_reasoning"):
        batch_questions.main()


def test_no_questions_make_no_batch(tmp_path):
    assert list(batch_questions.batch_tables([questions(tmp_path / "0.parquet", [])], 3)) == []


def test_a_batch_stands_beside_its_summary(tmp_path):
    path = questions(tmp_path / "q.parquet", list("abc"))
    done = run("batch_questions.py", "--questions", path, "--batch-size", 2, "--folder", tmp_path / "out")
    assert done.returncode == 0
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["00000.json", "00000.parquet", "00001.json", "00001.parquet"]
    digest = sha256(tmp_path / "out/00001.parquet")
    assert read_json(tmp_path / "out/00001.json") == {"files": {"questions": {"rows": 1, "sha256": digest}}}
    assert pq.read_table(tmp_path / "out/00001.parquet").column("id").to_pylist() == ["c"]
