"""Questions as their sources have them: one case for each reason, and each kind of file."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from running import run

import read_questions
from prep.files import read_json
from prep.reason import Reason


@pytest.mark.parametrize(
    ("cells", "reference", "found"),
    [
        (["Add."], "4", ("Add.", "4")),
        (["Add.", "2 and 2"], "4", ("Add.\n2 and 2", "4")),
        (["Add.", ""], "4", ("Add.", "4")),
        (["Add.", None], None, ("Add.", None)),
        ([" Add.\n"], "4", (" Add.\n", "4")),
        ([""], "4", (Reason.QUESTION_EMPTY, "")),
        ([" \n", "\t"], "4", (Reason.QUESTION_EMPTY, "")),
        ([None], "4", (Reason.QUESTION_EMPTY, "")),
        ([4], "4", (Reason.QUESTION_INVALID, "not a string: 4")),
        (["Add."], ["4"], (Reason.QUESTION_INVALID, "not a string: ['4']")),
        (["\ud800"], "4", (Reason.TEXT_NOT_UTF8, "surrogates not allowed")),
        (["Add."], "\udfff", (Reason.TEXT_NOT_UTF8, "surrogates not allowed")),
    ],
)
def test_a_question_is_its_columns_that_are_not_empty(cells, reference, found):
    assert read_questions.question_of(cells, reference) == found


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """JSON Lines of six rows, of which two are questions, with blank lines that are no rows."""
    lines = [
        json.dumps({"input": "一加一？", "content": "二", "score": 9}, ensure_ascii=False).encode(),
        b"",
        b"not json",
        b"[1, 2]",
        b'{"input": "\xff", "content": ""}',
        b'{"input": "  ", "content": ""}',
        b'{"content": "no question", "input": "What?"}',
    ]
    path = tmp_path / "questions.jsonl"
    path.write_bytes(b"\n".join(lines))
    return path


def read(tmp_path: Path, raw: list[Path], count=-1, bad="fail", question=("input",), reference="content"):
    """Run the program over some files that stand in a repository's folder `data`."""
    identities = []
    for path in raw:
        identities.append(path.with_name(f"{path.name}.json"))
        identities[-1].write_text(json.dumps({"file": f"data/{path.name}"}))
    out = {kind: tmp_path / f"out.{kind}" for kind in ("questions", "rejects", "summary")}
    done = run(
        "read_questions.py",
        *("--raw", *raw, "--identities", *identities, "--repo", "org/set"),
        *("--question", *question, "--reference", *([reference] if reference else [])),
        *("--max-questions", count, "--on-bad-shard", bad),
        *(word for kind, path in out.items() for word in (f"--{kind}", path)),
    )
    return done, out


def rows(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_rows_are_counted_without_blank_lines_and_each_is_accounted_for(tmp_path, raw):
    done, out = read(tmp_path, [raw])
    assert done.returncode == 0
    assert [(row["id"], row["question"], row["reference"]) for row in rows(out["questions"])] == [
        ("set/questions:0", "一加一？", "二"),
        ("set/questions:5", "What?", "no question"),
    ]
    assert [(row["id"], row["row"], row["reason"]) for row in rows(out["rejects"])] == [
        ("set/questions:1", 1, "question_invalid"),
        ("set/questions:2", 2, "question_invalid"),
        ("set/questions:3", 3, "text_not_utf8"),
        ("set/questions:4", 4, "question_empty"),
    ]
    assert {row["source_file"] for row in rows(out["rejects"])} == {"data/questions.jsonl"}
    assert read_json(out["summary"])["sources"] == {
        "set": {"data/questions.jsonl": {"state": "read", "rows": 6}}
    }


def test_max_questions_counts_rows_read_and_leaves_later_files_alone(tmp_path, raw):
    later = tmp_path / "z.jsonl"
    later.write_bytes(raw.read_bytes())
    _, out = read(tmp_path, [raw, later], count=4)
    assert len(rows(out["questions"])) + len(rows(out["rejects"])) == 4
    assert read_json(out["summary"])["sources"]["set"]["data/z.jsonl"] == {"state": "unneeded"}


def test_parquet_is_read_by_column_name(tmp_path):
    path = tmp_path / "train.parquet"
    table = pa.table({"output": ["4"], "extra": [1], "input": ["2 and 2"], "instruction": ["Add."]})
    pq.write_table(table, path)
    _, out = read(tmp_path, [path], question=("instruction", "input"), reference="output")
    (row,) = rows(out["questions"])
    assert (row["id"], row["source"], row["question"]) == ("set/train:0", "org/set", "Add.\n2 and 2")


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_a_file_without_the_column_fails_with_one_line_or_is_left_out(tmp_path, suffix):
    path = tmp_path / f"train.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"input": ["x"]}), path)
    else:
        path.write_text('{"input": "x"}\n')
    done, out = read(tmp_path, [path], reference="output")
    assert done.returncode == 1
    assert done.last == f"error: {path}: no column output (it has: input)"
    assert not out["questions"].exists()

    done, out = read(tmp_path, [path], bad="reject", reference="output")
    assert done.returncode == 0
    assert rows(out["questions"]) == rows(out["rejects"]) == []
    assert read_json(out["summary"])["sources"]["set"] == {
        f"data/train.{suffix}": {"state": "bad", "detail": "no column output"}
    }


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("question", "reference", "found"),
    [
        (("a", "b"), "b", ("1\n2", "2")),
        (("a", "a"), "b", ("1\n1", "2")),
        (("a",), None, ("1", None)),
    ],
)
def test_a_column_may_be_named_twice_and_a_reference_be_missing(tmp_path, suffix, question, reference, found):
    path = tmp_path / f"train.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"a": ["1"], "b": ["2"]}), path)
    else:
        path.write_text('{"a": "1", "b": "2"}\n')
    done, out = read(tmp_path, [path], question=question, reference=reference)
    assert done.returncode == 0, done.stderr
    assert [(row["question"], row["reference"]) for row in rows(out["questions"])] == [found]


def test_a_byte_order_mark_costs_no_row(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"input": "What?", "content": "That."}\n' * 2, encoding="utf-8-sig")
    _, out = read(tmp_path, [path])
    assert [row["question"] for row in rows(out["questions"])] == ["What?", "What?"]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"input": "What?", "content": "That."}] * 2).encode(),
        b"input,content\nWhat?,That.\n",
        gzip.compress(b'{"input": "What?", "content": "That."}\n' * 1000),
    ],
    ids=["array", "csv", "gzip"],
)
def test_a_file_of_another_kind_is_a_bad_shard(tmp_path, content):
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    done, out = read(tmp_path, [path])
    assert done.returncode == 1
    assert done.last == f"error: {path}: no JSON Lines: none of its lines is a JSON object"
    done, out = read(tmp_path, [path], bad="reject")
    assert done.returncode == 0
    assert read_json(out["summary"])["sources"]["set"]["data/train.jsonl"]["state"] == "bad"


def test_a_first_line_that_is_broken_costs_no_other_row(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"input": "cut\n{"input": "What?", "content": "That."}\n')
    _, out = read(tmp_path, [path])
    assert [row["id"] for row in rows(out["questions"])] == ["set/train:1"]
    assert [row["id"] for row in rows(out["rejects"])] == ["set/train:0"]
