"""Questions as their sources have them: one case for each reason, and each kind of file."""

import argparse
import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

import nasty
import read_questions
from containers import write_array, write_lines, write_zip
from prep.convert import questions
from prep.records import json_rows
from prep.records.reason import Reason
from prep.storage.atomic import read_json
from prep.storage.parquet import BadShard
from running import run


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
    ],
)
def test_a_question_is_its_columns_that_are_not_empty(cells, reference, found):
    assert questions.build_question(cells, reference) == found


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


def read(tmp_path: Path, raw: list[Path], count=None, bad="fail", question=("input",), reference="content"):
    """Run the program over some files that stand in a repository's folder `data`."""
    summaries = []
    for path in raw:
        summaries.append(path.with_name(f"{path.name}.json"))
        summaries[-1].write_text(json.dumps({"files": {"raw": {"path": f"data/{path.name}"}}}))
    out = {kind: tmp_path / f"out.{kind}" for kind in ("questions", "rejects", "summary")}
    done = run(
        "read_questions.py",
        *("--raw", *raw, "--raw-summaries", *summaries, "--repo", "org/set"),
        *("--question", *question, "--reference", *([reference] if reference else [])),
        *([] if count is None else ["--max-questions", count]),
        *("--on-bad-shard", bad),
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
        b"[1, 2]\n[3, 4]\n",
        b"input,content\nWhat?,That.\n",
        gzip.compress(b'{"input": "What?", "content": "That."}\n' * 1000),
    ],
    ids=["arrays", "csv", "gzip"],
)
def test_a_file_of_another_kind_is_a_bad_shard(tmp_path, content):
    path = tmp_path / "train.jsonl"
    path.write_bytes(content)
    done, out = read(tmp_path, [path])
    assert done.returncode == 1
    assert (
        done.last
        == f"error: {path}: neither JSON Lines nor a JSON array of objects: none of its rows is an object"
    )
    done, out = read(tmp_path, [path], bad="reject")
    assert done.returncode == 0
    assert read_json(out["summary"])["sources"]["set"]["data/train.jsonl"]["state"] == "bad"


def test_a_first_line_that_is_broken_costs_no_other_row(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text('{"input": "cut\n{"input": "What?", "content": "That."}\n')
    _, out = read(tmp_path, [path])
    assert [row["id"] for row in rows(out["questions"])] == ["set/train:1"]
    assert [row["id"] for row in rows(out["rejects"])] == ["set/train:0"]


def test_an_array_with_one_object_a_line_is_read_whole(tmp_path):
    cases = ROOT.parent / "shared/cases/hub/Congliu/Chinese-DeepSeek-R1-Distill-data-110k"
    path = tmp_path / "array.jsonl"
    path.write_bytes((cases / "array_one_object_a_line.jsonl").read_bytes())
    done, out = read(tmp_path, [path])
    assert done.returncode == 0, done.stderr
    assert [(row["id"], row["question"], row["reference"]) for row in rows(out["questions"])] == [
        (f"set/array:{n}", f"问题{n}?", f"答{n}") for n in range(3)
    ]
    assert rows(out["rejects"]) == []


def in_file(tmp_path: Path, content: bytes, name="rows.jsonl") -> list:
    """The rows of a file: an object, or the reason and the detail."""
    path = tmp_path / name
    path.write_bytes(content)
    return list(json_rows.read_rows(path))


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(
    st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=4), min_size=1),
    st.booleans(),
    st.integers(1, 9),
)
def test_the_same_rows_come_out_however_they_are_written(tmp_path_factory, found, ascii_only, chunk):
    folder = tmp_path_factory.mktemp("rows")
    lines = [json.dumps(row, ensure_ascii=ascii_only) for row in found]
    with pytest.MonkeyPatch.context() as patch:
        for text in (
            "\n".join(lines),
            json.dumps(found, ensure_ascii=ascii_only),
            json.dumps(found, ensure_ascii=ascii_only, indent=2),
            "[\n" + ",\n".join(lines) + "\n]\n",
            "[\r\n" + ",\r\n".join(lines) + "\r\n]\r\n",
        ):
            content = text.encode(errors="surrogatepass")
            assert in_file(folder, content) == found
            assert in_file(folder, b"\xef\xbb\xbf" + content, "rows.json") == found
            if text.startswith("["):
                path = folder / "rows.jsonl"
                patch.setattr(json_rows, "CHUNK_BYTES", chunk)
                with path.open("rb") as file:
                    assert [json.loads(row) for row in json_rows.split_array(path, file)] == found
                patch.undo()


INVALID, NOT_UTF8 = Reason.QUESTION_INVALID, Reason.TEXT_NOT_UTF8
DEEP = b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}"


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (b"[]", []),
        (b" \n\n [ ] \n", []),
        (b'[{"a": 1}, 2, "x", [{"a": 1}], null, {"a": 2}]', [None, INVALID, INVALID, INVALID, INVALID, None]),
        (b'[{"a": 1},, {"a": 2}]', [None, INVALID, None]),
        (b'[{"a": 1}, {"a": 2},\n]', [None, None, INVALID]),
        (b'[{"a": "\xff"}, {"a": 2}]', [NOT_UTF8, None]),
        (b'[{"a": "x\ny"}, {"a": 2}]', [INVALID, None]),
        (b'[{"a": ' + b"1" * 5000 + b'}, {"a": 2}]', [INVALID, None]),
        (b"[" + DEEP + b"," + DEEP + b"]", [None, None]),
        (b'[{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b'}, {"a": 2}]', [INVALID, None]),
        (b'[{"a": NaN}, {"a": -Infinity}, {"a": "\\ud800"}]', [None] * 3),
        (b'[{"a": "],[{}\\\\"}, {"a": "\\"]"}]', [None, None]),
        (b'[1, 2]\n{"a": 1}\n', [INVALID, None]),
        (b'{"a": 1},\n{"a": 2}\n', [INVALID, None]),
    ],
)
def test_a_broken_element_costs_no_other(tmp_path, content, reasons):
    found = in_file(tmp_path, content)
    assert [None if isinstance(row, dict) else row[0] for row in found] == reasons


def test_a_comma_after_a_line_is_named(tmp_path):
    found = in_file(tmp_path, b'{"a": 1},\n{"a": 2} , \n{"a": 3}\n')
    assert found == [(INVALID, "not JSON: a comma after the object")] * 2 + [{"a": 3}]


def flags(bad: str) -> argparse.Namespace:
    columns = {"question": ["input"], "reference": None, "choices": None, "image": None}
    return argparse.Namespace(**columns, pictures=[], on_bad_shard=bad)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b'[{"input": "x"}, {"inp', "the JSON array does not end: cut, or a quote left open, at element 1"),
        (b'[{"input": "x"},', "the JSON array does not end: cut, or a quote left open, at element 1"),
        (b"[", "the JSON array does not end: cut, or a quote left open, at element 0"),
        (b'[{"input": "x\\', "the JSON array does not end: cut, or a quote left open, at element 0"),
        (b'[{"input": "x"}] more', "there is text after the end of the JSON array"),
        (b'[{"input": "x"}]\n{"input": "y"}\n', "there is text after the end of the JSON array"),
        (b'[{"input": "x"} {"input": "y"}]', "element 0 of the JSON array is not JSON"),
        (b'[{"input": "x"]}, {"input": "y"}]', "element 0 of the JSON array is not JSON"),
        (
            b'[{"input": "cut},\n{"input": "y"}]',
            "the JSON array does not end: cut, or a quote left open, at element 0",
        ),
        ('[{"input": "x"}]'.encode("utf-16"), "is UTF-16, and JSON must be UTF-8: convert it"),
        (b'{"data": [\n{"input": "x"},\n{"input": "y"}\n]}', "a JSON object over several lines"),
        (b'{\n  "input": "x"\n}\n', "a JSON object over several lines"),
        (b'{"data": [{"input": "x"}]}', "no column input"),
        (b"[1, 2]", "neither JSON Lines nor a JSON array of objects"),
    ],
)
def test_a_file_whose_rows_cannot_be_told_apart_is_a_bad_shard(tmp_path, content, what):
    path = tmp_path / "rows.json"
    path.write_bytes(content)
    with pytest.raises(BadShard) as bad:
        read_questions.check_file(flags("fail"), path)
    assert bad.value.what.startswith(what)
    assert read_questions.check_file(flags("reject"), path) == {"state": "bad", "detail": bad.value.what}


class CountingFile:
    """A file that counts the calls and keeps the largest number of bytes asked for at once."""

    def __init__(self, file):
        self.file, self.calls, self.largest = file, 0, 0

    def read(self, count):
        self.calls, self.largest = self.calls + 1, max(self.largest, count)
        return self.file.read(count)


def test_small_elements_are_read_by_chunks_and_a_large_one_by_doubling(tmp_path):
    path = tmp_path / "rows.json"
    path.write_bytes(b"[" + b",".join([b'{"a": "%s"}' % (b"x" * 1000)] * 8000) + b"]")
    with path.open("rb") as file:
        counting = CountingFile(file)
        assert sum(1 for _ in json_rows.split_array(path, counting)) == 8000
    assert counting.largest == json_rows.CHUNK_BYTES

    path.write_bytes(b'[{"a": "' + b"x" * 50_000_000 + b'"}, {"a": "y"}]')
    with path.open("rb") as file:
        counting = CountingFile(file)
        assert [len(row) for row in json_rows.split_array(path, counting)] == [50_000_009, 11]
    assert counting.calls <= 10


def test_a_git_lfs_pointer_is_named_as_one(tmp_path):
    path = tmp_path / "questions.jsonl"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(BadShard, match=r"questions.jsonl: is a Git LFS pointer .*git lfs pull"):
        list(json_rows.read_rows(path))


def read_more(tmp_path: Path, raw: Path, *flags: object) -> tuple[list[dict], list[dict]]:
    """The questions and the rejects of a file whose questions are in `q`, with references in `a`."""
    summary = tmp_path / "raw.json"
    summary.write_text(json.dumps({"files": {"raw": {"path": raw.name}}}))
    out = {kind: tmp_path / f"out.{kind}" for kind in ("questions", "rejects", "summary")}
    done = run(
        *("read_questions.py", "--raw", raw, "--raw-summaries", summary, "--repo", "org/set"),
        *("--question", "q", "--reference", "a", "--on-bad-shard", "fail", *flags),
        *(word for kind, path in out.items() for word in (f"--{kind}", path)),
    )
    assert done.returncode == 0, done.stderr
    return rows(out["questions"]), rows(out["rejects"])


def write_rows(path: Path, given: list[dict]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(given), path)
        return path
    return (write_array if path.suffix == ".json" else write_lines)(path, given)


@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_choices_are_lines_of_the_question_and_the_reference_is_one_of_them(
    ending: str, tmp_path: Path
) -> None:
    options = ["red", "blue"]
    given = [{"q": "Which?", "a": answer, "options": options} for answer in ("B", "C", None)]
    given += [{"q": "Which?", "a": "A", "options": None}]
    raw = write_rows(tmp_path / f"train.{ending}", given)
    kept, rejected = read_more(tmp_path, raw, "--choices", "options", "--answer-by", "letter")
    asked = "Which?\nA. red\nB. blue"
    assert [(row["row"], row["question"], row["reference"]) for row in kept] == [
        (0, asked, "B. blue"),
        (2, asked, None),
    ]
    assert [(row["row"], row["reason"]) for row in rejected] == [(1, "choice_invalid"), (3, "choice_invalid")]


@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_numbers_are_texts(ending: str, tmp_path: Path) -> None:
    options = ["red", "blue"]
    raw = write_rows(
        tmp_path / f"train.{ending}", [{"q": n, "a": n, "options": options} for n in (0, 1, None)]
    )
    kept, rejected = read_more(tmp_path, raw)
    assert [(row["question"], row["reference"]) for row in kept] == [("0", "0"), ("1", "1")]
    assert [row["reason"] for row in rejected] == ["question_empty"]
    kept, _ = read_more(tmp_path, raw, "--choices", "options", "--answer-by", "index")
    assert [row["reference"] for row in kept] == ["A. red", "B. blue"]


@pytest.mark.parametrize("write", [write_array, write_lines])
def test_a_key_that_a_row_lacks_is_null(write: Callable[[Path, list[dict]], Path], tmp_path: Path) -> None:
    raw = write(tmp_path / "train.json", [{"q": "One?"}, {"q": "Two?", "a": "2"}, {"a": "3"}])
    kept, rejected = read_more(tmp_path, raw)
    assert [(row["question"], row["reference"]) for row in kept] == [("One?", None), ("Two?", "2")]
    assert [row["reason"] for row in rejected] == ["question_empty"]


def test_numbers_that_json_has_not_are_null(tmp_path: Path) -> None:
    given = ['{"q": "Why?", "a": NaN}', '{"q": -Infinity, "a": "4"}', '{"q": "Why?", "a": 1e999}']
    kept, rejected = read_more(tmp_path, write_lines(tmp_path / "train.jsonl", given))
    assert [(row["row"], row["reference"]) for row in kept] == [(0, None), (2, None)]
    assert [row["reason"] for row in rejected] == ["question_empty"]


def test_a_column_that_none_of_the_first_rows_has_is_told_where_only_these_are_read(tmp_path: Path) -> None:
    raw = write_lines(tmp_path / "train.jsonl", [{"txt": "What?"}] * 3)
    with pytest.raises(BadShard, match=r"no column input \(it has: txt\)"):
        list(questions.read_asked(flags("fail"), raw, None, take=2))


def test_a_column_may_be_within_an_object(tmp_path: Path) -> None:
    about = {"stem": "Which?", "choices": {"text": ["red", "blue"]}}
    raw = write_lines(tmp_path / "train.jsonl", [{"question": about, "key": {"answer": "B"}}])
    columns = ("--question", "question.stem", "--reference", "key.answer")
    choices = ("--choices", "question.choices.text", "--answer-by", "letter")
    [row], _ = read_more(tmp_path, raw, *columns, *choices)
    assert (row["question"], row["reference"]) == ("Which?\nA. red\nB. blue", "B. blue")


def test_a_cell_of_another_kind_costs_its_row(tmp_path: Path) -> None:
    good = {"q": "Which?", "a": "red", "options": ["red", "blue"]}
    odd = [{"q": ["Which?"]}, {"a": {"text": "red"}}, {"options": "red"}, {"options": [["red"]]}]
    surrogates = [{"q": "\ud800"}, {"a": "\udfff"}, {"options": ["\udfff"]}]
    given = [json.dumps(good | each) for each in [*odd, *surrogates, {}]]
    kept, rejected = read_more(tmp_path, write_lines(tmp_path / "train.jsonl", given), "--choices", "options")
    assert [row["row"] for row in kept] == [7]
    assert [(row["reason"], row["detail"]) for row in rejected] == [
        ("question_invalid", "q is not a text: ['Which?']"),
        ("question_invalid", "a is not a text: {'text': 'red'}"),
        ("question_invalid", "options is not a list: 'red'"),
        ("question_invalid", "options is not a text: ['red']"),
        *[("text_not_utf8", "surrogates not allowed")] * 3,
    ]


@pytest.mark.parametrize("ending", ["parquet", "json", "jsonl"])
def test_a_picture_makes_them_questions_about_it(ending: str, tmp_path: Path) -> None:
    picture = nasty.plain()
    texts = ["What?", "<image> What?", "<image><image>", " ", "What?", "What?", "What?", "<image>\n"]
    names = ["1.png", "1.png", "1.png", "1.png", "none.png", "cut.png", None, "1.png"]
    given = [{"q": text, "a": "That.", "file": name} for text, name in zip(texts, names, strict=True)]
    raw = write_rows(tmp_path / f"train.{ending}", given)
    pictures = write_zip(tmp_path / "a.zip", {"in/1.png": picture, "in/cut.png": b"none"})
    kept, rejected = read_more(
        *(tmp_path, raw, "--image", "file", "--pictures", pictures, "--picture-folder", "in"),
        *("--check", "decode", "--max-pixels", 10**6),
    )
    assert [row["question"] for row in kept] == ["<image>\nWhat?", "<image> What?"]
    assert [row["image"] for row in kept] == [{"bytes": picture, "path": "1.png"}] * 2
    assert kept[0]["image_sha256"] == hashlib.sha256(picture).hexdigest()
    assert {row["row"]: row["reason"] for row in rejected} == {
        **{2: "several_image_tags", 3: "question_empty", 7: "question_empty", 4: "image_missing"},
        **{5: "image_unreadable", 6: "image_missing"},
    }


@pytest.mark.parametrize(
    ("whole", "missing"),
    [
        ([nasty.plain()], [[], None, [None]]),
        (nasty.plain(), [None, b""]),
        ({"bytes": nasty.plain(), "path": "1.png"}, [None, {"bytes": None, "path": "2.png"}]),
        ([{"bytes": nasty.plain(), "path": "1.png"}], [[], None, [None]]),
    ],
    ids=["binary list", "binary", "struct", "struct list"],
)
def test_pictures_may_be_in_the_column_where_a_null_costs_its_row(
    whole: Any, missing: list, tmp_path: Path
) -> None:
    given = [{"q": "What?", "a": None, "image": cell} for cell in [whole, *missing, whole]]
    raw = write_rows(tmp_path / "train.parquet", given)
    kept, rejected = read_more(tmp_path, raw, "--image", "image", "--check", "header", "--max-pixels", 10**6)
    assert [row["image"]["bytes"] for row in kept] == [nasty.plain()] * 2
    assert [row["reason"] for row in rejected] == ["image_missing"] * len(missing)


def test_a_question_has_one_picture(tmp_path: Path) -> None:
    given = [{"q": "What?", "a": None, "image": [nasty.plain()] * 2}]
    raw = write_rows(tmp_path / "train.parquet", given)
    kept, rejected = read_more(tmp_path, raw, "--image", "image", "--check", "header", "--max-pixels", 10**6)
    assert kept == []
    assert [row["reason"] for row in rejected] == ["question_invalid"]
