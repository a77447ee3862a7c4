"""Two builds side by side: each row that is not the same is counted once, by what it was and what it is."""

import os
from pathlib import Path
from typing import Any

import pytest

from compare_builds import KEPT, NOT_READ, compare_builds
from prep.runtime.program import UserError
from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import REJECTS, TRAINING
from running import run

ROWS = {f"toy/a:{number}": "an answer" for number in range(6)}


def row(id_: str, text: str, picture: bytes) -> dict[str, Any]:
    messages = [{"role": "user", "content": "<image>\n?"}, {"role": "assistant", "content": text}]
    return {
        "id": id_,
        "source_id": None,
        "messages": messages,
        "images": [{"bytes": picture, "path": "a.png"}],
    }


def write_build(
    data: Path,
    kept: dict[str, str],
    rejected: dict[str, str],
    sum_: str,
    picture: bytes = b"p",
    shards: int = 0,
    name: str = "toy",
) -> Path:
    """A build of one artifact: the texts that it keeps, and the reasons of what it rejects, by id."""
    rows = [row(id_, text, picture) for id_, text in kept.items()]
    manifest = {"name": name, "rows": len(rows), "read": len(rows) + len(rejected), "rejected": rejected}
    if shards:
        files = [f"data/{name}/{name}-{number:05}-of-{shards:05}.parquet" for number in range(shards)]
        manifest |= {"file": f"data/{name}", "files": [{"file": file, "sha256": sum_} for file in files]}
        for number, file in enumerate(files):
            parquet.write_rows(data.parent / file, rows[number::shards], TRAINING)
    else:
        manifest |= {"file": f"data/{name}.parquet", "sha256": sum_}
        parquet.write_rows(data / f"{name}.parquet", rows, TRAINING)
    rejects = [
        {"id": id_, "source_file": "a", "row": 0, "reason": reason, "detail": ""}
        for id_, reason in rejected.items()
    ]
    parquet.write_rows(data / "rejects" / f"{name}.parquet", rejects, REJECTS)
    write_json(data / "manifest" / f"{name}.json", manifest)
    return data


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_build(tmp_path / "old/data", ROWS, {"toy/a:8": "judge_fail", "toy/a:9": "low_score"}, "old")


def test_each_row_that_differs_is_counted_by_what_it_was_and_is(tmp_path, old):
    kept = {id_: text for id_, text in ROWS.items() if id_ not in ("toy/a:0", "toy/a:1")}
    kept |= {"toy/a:2": "another", "toy/a:8": "an answer", "toy/a:10": "an answer"}
    new = write_build(
        tmp_path / "new/data", kept, {"toy/a:0": "low_score", "toy/a:9": "judge_fail"}, "new", shards=2
    )
    found = compare_builds(old, new, with_pictures=False)[0]
    assert found.groups == {
        (KEPT, "low_score"): 1,
        (KEPT, NOT_READ): 1,
        (KEPT, KEPT): 1,
        ("judge_fail", KEPT): 1,
        (NOT_READ, KEPT): 1,
        ("low_score", "judge_fail"): 1,
    }
    assert (found.old, found.new, found.added, found.gone, found.changed) == (6, 6, 2, 2, 1)
    assert found.examples[KEPT, NOT_READ] == ["toy/a:1"]


def test_pictures_are_compared_where_that_is_asked_for(tmp_path, old):
    new = write_build(tmp_path / "new/data", ROWS, {"toy/a:8": "judge_fail"}, "new", picture=b"q")
    assert compare_builds(old, new, with_pictures=False)[0].groups == {("low_score", NOT_READ): 1}
    assert compare_builds(old, new, with_pictures=True)[0].changed == 6


def test_what_has_the_same_checksum_is_not_read(tmp_path, old):
    new = write_build(tmp_path / "new/data", ROWS, {"toy/a:8": "judge_fail", "toy/a:9": "low_score"}, "old")
    for data in (old, new):
        (data / "toy.parquet").unlink()
    assert not compare_builds(old, new, with_pictures=True)[0].groups


def test_an_artifact_of_one_build_alone_has_come_or_gone(tmp_path, old):
    new = write_build(tmp_path / "new/data", {"b:0": "text"}, {}, "new", name="other")
    other, toy = compare_builds(old, new, with_pictures=False)
    assert (other.old, other.new, other.groups) == (None, 1, {(NOT_READ, KEPT): 1})
    assert (toy.new, toy.gone) == (None, 6)


def test_the_program_prints_a_table_and_writes_a_page(tmp_path, old):
    new = write_build(tmp_path / "new/data", ROWS | {"<b>:1": "text"}, {"toy/a:8": "judge_fail"}, "new")
    done = run("compare_builds.py", "--old", old, "--new", new, "--page", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["toy", "6", "7", "1", "0", "0"] in lines
    assert ["toy", "not", "read", "kept", "1", "<b>:1"] in lines
    page = (tmp_path / "page.html").read_text()
    assert "&lt;b&gt;:1" in page
    same = run("compare_builds.py", "--old", old, "--new", old)
    assert "No row differs." in same.stdout


def test_an_id_moves_no_cursor_and_is_no_html(tmp_path, old):
    evil = "\x1b]0;x\x07\x1b[2J<script>alert(1)</script>\u202e:1"
    new = write_build(tmp_path / "new/data", ROWS | {evil: "text"}, {}, "new")
    done = run("compare_builds.py", "--old", old, "--new", new, "--page", tmp_path / "page.html")
    assert done.returncode == 0, done.stderr
    assert "<script>alert(1)</script>" in done.stdout
    assert not set("\x1b\x07\u202e") & set(done.stdout)
    assert "<script>alert" not in (tmp_path / "page.html").read_text()


def test_a_folder_that_is_no_build_is_one_line(tmp_path, old):
    with pytest.raises(UserError, match=r"is no build: it has no manifest/\*\.json"):
        compare_builds(old, tmp_path, with_pictures=False)
    assert run("compare_builds.py", "--old", tmp_path, "--new", old).last.endswith(
        "the folder with the artifacts"
    )


def test_builds_that_are_not_named_and_broken_files_are_one_line(tmp_path, old):
    assert run("compare_builds.py", "--old=", f"--new={old}").last.startswith("error: which builds? OLD=")
    new = write_build(tmp_path / "new/data", ROWS, {}, "new")
    for file in ("toy.parquet", "rejects/toy.parquet", "manifest/toy.json"):
        whole = (new / file).read_bytes()
        (new / file).write_bytes(whole[:60])
        done = run("compare_builds.py", "--old", old, "--new", new)
        (new / file).write_bytes(whole)
        assert done.returncode == 1
        assert done.last.startswith(f"error: {new / file}"), done.last
        assert "Traceback" not in done.stderr


def test_a_page_replaces_no_device_and_no_pipe(tmp_path, old):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    done = run("compare_builds.py", "--old", old, "--new", old, "--page", pipe)
    assert (done.returncode, pipe.is_fifo()) == (1, True)
    assert done.last == f"error: {pipe} is no file, and would be replaced by one; name another"
