"""Containers of rows: every form reads each, every row is kept or rejected, and pictures stay as they are."""

import hashlib
import json
import math
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasty
from containers import write_array, write_lines, write_tar, write_zip
from converted import Converted, outputs
from prep.containers import archives, rows
from prep.containers.picture_files import PictureFiles
from prep.convert import caption, ocr, qa, shard
from prep.convert.llava import LLAVA
from prep.convert.messages import MESSAGES
from prep.storage.atomic import sha256
from prep.storage.parquet import RAW_TEXT, BadShard

FIRST, SECOND = nasty.plain(), nasty.encoded(nasty.photograph(30, 20), "PNG")
TEXT = "A cat. 貓"
FORMS: dict[str, dict[str, Any]] = {
    "llava": {
        "columns": [LLAVA.column("conversations")],
        "build_messages": partial(LLAVA.build_messages, prepend_tag=True),
        "row": {"conversations": [{"from": "human", "value": "Q?"}, {"from": "gpt", "value": TEXT}]},
    },
    "messages": {
        "columns": [MESSAGES.column("messages")],
        "build_messages": partial(MESSAGES.build_messages, prepend_tag=True),
        "row": {"messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": TEXT}]},
    },
    "caption": {
        "columns": ["text"],
        "build_messages": partial(caption.build_messages, prompts=["Q?"], seed=None),
        "row": {"text": TEXT},
    },
    "qa": {
        "columns": [pa.field("question", RAW_TEXT), pa.field("answer", RAW_TEXT)],
        "build_messages": partial(qa.build_cells, given=["question", "answer"], answer_by="text"),
        "row": {"question": "Q?", "answer": TEXT},
    },
    "ocr": {
        "columns": ["text"],
        "build_messages": partial(ocr.build_messages, path=[], prompts=["Q?"], seed=None),
        "row": {"text": TEXT},
    },
}


def convert(raw: Path, out: Path, form: str, pictures: list[Path], **about: Any) -> Converted:
    """Convert a file in a form; `pictures` are the archives that its rows name."""
    files = {path.as_posix(): sha256(path) if path.is_file() else "" for path in pictures}
    given = {key: value for key, value in FORMS[form].items() if key != "row"}
    given |= {"image": "image", "source_id": None, "take": None, "max_pixels": 10**6} | about
    job = shard.Conversion(
        raw=raw,
        file="data/train-00000-of-00001.parquet",
        sha256="",
        name="NAME",
        check="header",
        threads=1,
        pictures={"files": files, "folder": "in"} if files else None,
        **given,
    )
    made = outputs(out)
    shard.convert(job, "fail", made.shard, made.rejects, made.summary)
    return made


def lines(folder: Path, given: list[dict]) -> Path:
    return write_lines(folder / "train.jsonl", given)


def array(folder: Path, given: list[dict]) -> Path:
    return write_array(folder / "train.json", given)


def parquet(folder: Path, given: list[dict]) -> Path:
    pq.write_table(pa.Table.from_pylist(given), folder / "train.parquet")
    return folder / "train.parquet"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("write", [lines, array, parquet])
def test_every_form_reads_rows_that_name_their_pictures(
    write: Callable[[Path, list[dict]], Path], form: str, tmp_path: Path
) -> None:
    names = ["1.png", "none.png", "../1.png", "/in/1.png", "cut.png", None, "2.png"]
    raw = write(tmp_path, [{"image": name} | FORMS[form]["row"] for name in names])
    pictures = write_zip(tmp_path / "a.zip", {"in/1.png": FIRST, "in/2.png": SECOND, "in/cut.png": b"PNG"})
    out = convert(raw, tmp_path / "out", form, [pictures])
    missing = "image_missing"
    assert out.fates == [None, missing, missing, missing, "image_unreadable", missing, None]
    assert [row["images"] for row in out.rows] == [
        [{"bytes": FIRST, "path": "1.png"}],
        [{"bytes": SECOND, "path": "2.png"}],
    ]
    for row in out.rows:
        assert [message["content"] for message in row["messages"]] == ["<image>\nQ?", TEXT]


def sample(form: str, key: str, picture: bytes | None = FIRST) -> list[tuple[str, bytes]]:
    """A WebDataset sample of a form: its texts in a JSON member."""
    own = [(f"{key}.png", picture)] if picture is not None else []
    return [*own, (f"{key}.json", json.dumps(FORMS[form]["row"]).encode())]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_reads_a_webdataset(form: str, tmp_path: Path) -> None:
    given = FORMS[form]
    fields = [pa.field(field, RAW_TEXT) if isinstance(field, str) else field for field in given["columns"]]
    columns = [field.with_name(f"json.{field.name}") for field in fields]
    members = [*sample(form, "a/1"), *sample(form, "a/2", None), *sample(form, "a/3", SECOND)]
    members += [("a/4.png", FIRST), ("a/5.png", FIRST), ("a/5.json", b"{"), ("a/5.pyd", b"\x80\x04.")]
    raw = write_tar(tmp_path / "train.tar", members)
    out = convert(raw, tmp_path / "out", form, [], image="jpg;png", columns=columns, source_id="__key__")
    empty = {"llava": "no_conversation", "messages": "no_conversation", "qa": "question_empty"}
    empty |= {"ocr": "ground_truth_invalid", "caption": "text_empty"}
    assert out.fates == [None, "image_missing", None, empty[form], "row_invalid"]
    assert [(row["source_id"], row["images"]) for row in out.rows] == [
        ("a/1", [{"bytes": FIRST, "path": "a/1.png"}]),
        ("a/3", [{"bytes": SECOND, "path": "a/3.png"}]),
    ]
    assert [row["messages"][1]["content"] for row in out.rows] == [TEXT] * 2


def test_texts_of_a_webdataset_are_members_of_their_own(tmp_path: Path) -> None:
    members = [("1.PNG", FIRST), ("1.txt", TEXT.encode()), ("2.png", SECOND), ("2.txt", b"\xff")]
    members += [("._1.png", b""), ("README", b""), ("3.txt", b"x"), ("3.pth", b"\x80\x04.")]
    raw = write_tar(tmp_path / "train.tar", members)
    out = convert(raw, tmp_path / "out", "caption", [], image="png", columns=["txt"])
    assert out.fates == [None, "text_not_utf8", "image_missing"]
    assert hashlib.sha256(out.rows[0]["images"][0]["bytes"]).digest() == hashlib.sha256(FIRST).digest()


def test_a_sample_with_two_members_of_a_column_is_rejected(tmp_path: Path) -> None:
    members = [("1.png", FIRST), ("1.PNG", SECOND), ("1.txt", b"a"), ("2.png", FIRST), ("2.txt", b"a")]
    members += [("2.txt", b"b"), ("3.png", FIRST), ("3.cls", b"1"), ("3.cls", b"2"), ("3.txt", b"c")]
    raw = write_tar(tmp_path / "train.tar", members)
    out = convert(raw, tmp_path / "out", "caption", [], image="png", columns=["txt"])
    assert out.fates == ["image_missing", "row_invalid", None]
    assert [row["detail"] for row in out.rejected] == [
        "several files have the name 1.png",
        "2.txt: several files have the name 2.txt",
    ]


def test_a_webdataset_whose_rows_name_pictures(tmp_path: Path) -> None:
    row = json.dumps({"image": "1.png", "text": TEXT}).encode()
    raw = write_tar(tmp_path / "train.tar", [("1.json", row)])
    pictures = write_tar(tmp_path / "a.tar", [("in/1.png", FIRST)])
    out = convert(raw, tmp_path / "out", "caption", [pictures], image="json.image", columns=["json.text"])
    assert out.fates == [None]


@pytest.mark.parametrize("write", [lines, array, parquet])
def test_several_pictures_of_a_row_are_kept_whole(
    write: Callable[[Path, list[dict]], Path], tmp_path: Path
) -> None:
    turns = [{"from": "human", "value": "<image> or <image>?"}, {"from": "gpt", "value": "Both."}]
    names = [["1.png", "2.png"], ["1.png"], [], ["1.png", "none.png"], ["1.png", None]]
    raw = write(tmp_path, [{"image": each, "conversations": turns} for each in names])
    pictures = write_tar(tmp_path / "a.tar", [("in/1.png", FIRST), ("in/2.png", SECOND)])
    out = convert(raw, tmp_path / "out", "llava", [pictures])
    missing = ["image_missing"] * 3
    assert out.fates == [None, "wrong_image_tags", *missing]
    assert [picture["bytes"] for picture in out.rows[0]["images"]] == [FIRST, SECOND]


def test_every_line_is_accounted_for(tmp_path: Path) -> None:
    good = {"image": "1.png", "meta": {"text": TEXT}, "id": 7}
    odd = [{"image": 1}, {"image": {}}, {"meta": {"text": ["a"]}}, {"meta": {"text": {}}}, {"meta": "a"}]
    odd += [{"meta": {"text": 1.5}}, {"meta": {"text": "\ud800"}}, {"meta": {"text": math.nan}}]
    odd += [{"id": math.inf}]
    broken = ["{", "[1]", '"a"', json.dumps(good) + ","]
    raw = write_lines(tmp_path / "a.jsonl", [json.dumps(good | each) for each in [{}, *odd]] + broken)
    pictures = tmp_path / "loose"
    (pictures / "in").mkdir(parents=True)
    (pictures / "in/1.png").write_bytes(FIRST)
    out = convert(raw, tmp_path / "out", "caption", [pictures], columns=["meta.text"], source_id="id")
    invalid = "row_invalid"
    assert out.fates == [
        *(None, invalid, invalid, invalid, invalid, "text_empty", None, "text_not_utf8", "text_empty", None),
        *[invalid] * 4,
    ]
    assert [row["messages"][1]["content"] for row in out.rows] == [TEXT, "1.5", TEXT]
    assert [row["source_id"] for row in out.rows] == ["7", "7", None]
    details = [row["detail"] for row in out.rejected]
    assert details[0] == "a picture's name is no text: 1"
    assert details[2] == "meta.text is not a text: ['a']"
    assert details[-1] == "not JSON: a comma after the object"


@pytest.mark.parametrize("take", [0, 1, 3, 9])
def test_take_counts_rows_that_are_read(take: int, tmp_path: Path) -> None:
    pictures = write_zip(tmp_path / "a.zip", {"in/1.png": FIRST})
    raw = lines(tmp_path, [{"image": "1.png", "text": "a"}, {"image": "2.png", "text": "a"}] * 2)
    out = convert(raw, tmp_path / "out", "caption", [pictures], take=take)
    assert out.fates == [None, "image_missing", None, "image_missing"][:take]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", '{"picture": "1.png", "text": "a"}\n', "no column image (it has: picture, text)"),
        ("a.jsonl", "a\nb\n", "none of its rows is an object"),
        ("a.json", '[{"image": "1.png", "text": "a"}', "the JSON array does not end"),
        ("a.csv", "image,text\n", "has rows that cannot be read"),
        ("a.tar", "nothing", "is no tar"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(name: str, content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(BadShard) as raised:
        convert(tmp_path / name, tmp_path / "out", "caption", [write_zip(tmp_path / "a.zip", {})])
    assert said in str(raised.value)
    assert list((tmp_path / "out").glob("*")) == []


def test_a_column_that_none_of_the_first_rows_has_is_told_where_only_these_are_read(tmp_path: Path) -> None:
    raw = lines(tmp_path, [{"image": "1.png", "txt": "a"}] * 3)
    with pytest.raises(BadShard, match=r"no column text \(it has: image, txt\)"):
        convert(raw, tmp_path / "out", "caption", [write_zip(tmp_path / "a.zip", {"1.png": FIRST})], take=2)


def test_pictures_are_looked_up_no_further_than_to_the_name_that_is_asked_for(tmp_path: Path) -> None:
    first = write_zip(tmp_path / "a.zip", {"1.png": FIRST, "2.png": SECOND})
    files = PictureFiles([first, tmp_path / "gone.zip"], lazily=True)
    assert files.read("1.png", 10**6) == FIRST
    with pytest.raises(FileNotFoundError):
        files.read("3.png", 10**6)


def test_json_without_files_of_pictures_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(BadShard, match=r"JSON holds no pictures: .*`pictures` of the source must say which"):
        convert(lines(tmp_path, [{}]), tmp_path / "out", "caption", [])


def test_a_replaced_archive_is_told_before_it_is_joined(tmp_path: Path) -> None:
    pictures = write_zip(tmp_path / "a.zip", {"in/1.png": FIRST})
    raw = lines(tmp_path, [{"image": "1.png", "text": "a"}])
    out = convert(raw, tmp_path / "out", "caption", [pictures])
    write_zip(tmp_path / "a.zip", {"in/1.png": SECOND})
    with pytest.raises(Exception, match=r"train.jsonl: it, or a picture of its rows, was replaced after"):
        _ = out.rows


def test_memory_stays_flat_over_many_rows(tmp_path: Path) -> None:
    """A hundred times the rows take as much memory: a batch at a time, and no list of what was read."""

    def peak(count: int) -> int:
        raw = write_array(tmp_path / "a.json", ({"image": "1.bin", "text": "a" * 1000} for _ in range(count)))
        pictures = PictureFiles([write_zip(tmp_path / "a.zip", {"1.bin": bytes(100_000)})])
        tracemalloc.start()
        for batch in rows.open_rows(raw, "image", ["text"], pictures).batches():
            assert batch.cells.num_rows
            del batch
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(5000) < 1.5 * peak(100) + 2 * 2**20


def test_a_pickle_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = write_tar(tmp_path / "train.tar", [("1.png", FIRST), ("1.txt", b"a"), ("1.pyd", b"\x80\x04.")])
    read: list[int] = []
    whole = archives.Tar.read
    monkeypatch.setattr(
        archives.Tar, "read", lambda tar, place, limit: read.append(place[1]) or whole(tar, place, limit)
    )
    assert [batch.cells.num_rows for batch in rows.open_rows(raw, "png", ["txt"]).batches()] == [1]
    assert sorted(read) == [1, len(FIRST)]
