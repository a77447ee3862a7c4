"""Questions that repeat others or are in an evaluation set are rejected; all others are as they were."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prep.deduplication.contamination import EvaluationQuestions
from prep.deduplication.duplicates import Rows
from prep.deduplication.filtering import QuestionFilter
from prep.records.question import Question
from prep.records.reason import Reason
from prep.storage import parquet
from prep.storage.atomic import read_json, sha256, write_json
from prep.storage.schema import QUESTIONS
from running import Done, run

TEXT = "Name the three largest rivers of South America and say where each of them meets the sea."


def questions(path: Path, *texts: str) -> Path:
    rows = [
        {"id": f"{path.stem}/f:{row}", "source_file": "f.jsonl", "row": row, "question": text}
        for row, text in enumerate(texts)
    ]
    parquet.write_rows(path, rows, QUESTIONS)
    return path


def filter_text(folder: Path, paths: list[Path], **settings: Any) -> Done:
    write_json(folder / "evaluation.json", settings.pop("files", {"questions": {}, "pictures": {}}))
    given = json.dumps({"duplicates": "near", "evaluation": {}} | settings)
    flags = ["--settings", given, "--evaluation-files", folder / "evaluation.json"]
    names = [path.stem for path in paths]
    flags += ["--folder", folder / "out"]
    return run("filter_text.py", "--questions", *paths, "--names", *names, *flags)


def rows_of(path: Path, *columns: str) -> list[tuple[Any, ...]]:
    return [tuple(row[column] for column in columns) for row in pq.read_table(path).to_pylist()]


def test_rows_are_kept_or_rejected_with_the_twin_or_the_evaluation_row(tmp_path: Path) -> None:
    paths = [
        questions(tmp_path / "a.parquet", TEXT, "Who wrote it?", TEXT.upper(), "What is this?"),
        questions(tmp_path / "b.parquet"),
        questions(tmp_path / "c.parquet", TEXT.replace("largest", "biggest"), "who wrote  it?", "New."),
    ]
    (tmp_path / "eval.txt").write_text("something\nWHAT is this\n")
    files = {"questions": {"eval.txt": str(tmp_path / "eval.txt")}, "pictures": {}}
    about = {"ngram": 13, "columns": ["question"], "sha256": "of the file"}
    done = filter_text(tmp_path, paths, files=files, evaluation=about)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert rows_of(out / "a.parquet", "id", "question") == [("a/f:0", TEXT), ("a/f:1", "Who wrote it?")]
    assert rows_of(out / "a.rejects.parquet", "id", "source_file", "row", "reason", "detail") == [
        ("a/f:2", "f.jsonl", 2, "duplicate", "a/f:0"),
        ("a/f:3", "f.jsonl", 3, "contaminated", "eval.txt:1"),
    ]
    assert rows_of(out / "c.parquet", "id") == [("c/f:2",)]
    assert rows_of(out / "c.rejects.parquet", "id", "detail") == [("c/f:0", "a/f:0"), ("c/f:1", "a/f:1")]
    for path in paths:
        summary = read_json(out / f"{path.stem}.json")
        kept, rejected = (summary["files"][key] for key in ("questions", "rejects"))
        assert kept["rows"] + rejected["rows"] == parquet.count_rows(path)
        assert kept["sha256"] == sha256(out / f"{path.stem}.parquet")
        assert (summary["files"]["shard"], summary["raw"], summary["sources"]) == (None, None, {})
    assert sorted(path.suffix for path in out.iterdir()) == [".json"] * 3 + [".parquet"] * 6


def test_an_evaluation_file_that_cannot_be_read_ends_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "eval.jsonl").write_text('{"q": 1}\n')
    files = {"questions": {"eval.jsonl": str(tmp_path / "eval.jsonl")}, "pictures": {}}
    about = {"ngram": 13, "columns": ["question"], "sha256": "of the file"}
    done = filter_text(tmp_path, [questions(tmp_path / "a.parquet", TEXT)], files=files, evaluation=about)
    assert done.returncode == 1
    assert done.last.startswith(f"error: decontaminate.questions: {tmp_path}/eval.jsonl: no row has a text")
    assert "Traceback" not in done.stderr


def outcomes(texts: list[str], how: str, evaluation: list[str]) -> list[tuple[Reason, str] | None]:
    sets = EvaluationQuestions(((f"eval:{row}", text) for row, text in enumerate(evaluation)), 13)
    found = QuestionFilter(how, Rows(io.BytesIO()), sets, None)
    for row, text in enumerate(texts):
        found.add(Question(str(row), "s", None, "f", row, text, None, None))
    return [found.explain(row) if out else None for row, out in enumerate(found.find_twins())]


@pytest.mark.parametrize("how", ["keep", "exact", "near"])
@given(
    st.lists(st.sampled_from(["a b", "A  b", "c", "d?", "d", ""])), st.lists(st.sampled_from(["a b", "c"]))
)
def test_every_question_has_one_outcome(how: str, texts: list[str], evaluation: list[str]) -> None:
    plain = [" ".join(text.lower().split()) for text in texts]
    for row, outcome in enumerate(outcomes(texts, how, evaluation)):
        if plain[row] in evaluation:
            assert outcome == (Reason.CONTAMINATED, f"eval:{evaluation.index(plain[row])}")
        elif how != "keep" and plain.index(plain[row]) < row:
            assert outcome == (Reason.DUPLICATE, str(plain.index(plain[row])))
        else:
            assert outcome is None


def test_what_is_contaminated_is_nobodys_twin() -> None:
    """A near twin that shares no 13 words with the evaluation question is kept: it repeats no question."""
    near = " ".join(f"{word},ly" if number % 9 == 8 else word for number, word in enumerate(TEXT.split()))
    assert outcomes([TEXT, near, near], "near", []) == [
        None,
        (Reason.DUPLICATE, "0"),
        (Reason.DUPLICATE, "0"),
    ]
    assert outcomes([TEXT, near, near], "near", [TEXT]) == [
        *((Reason.CONTAMINATED, "eval:0"), None, (Reason.DUPLICATE, "1"))
    ]
