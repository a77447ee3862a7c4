"""preview_selection: which answers other settings would keep, held against the build that stands."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from batch import POLICY
from prep.storage import parquet
from prep.storage.schema import REASONED
from preview_selection import list_batches, preview
from reports import add, add_answers, encoded, reject, row
from running import run

GIVEN = POLICY | {"samples": 0}
WAS = {
    0: "kept",  # score 4
    1: "low_score",  # score 2
    2: "judge_fail",
    3: "missing_glyph",  # score 4
    4: "length",
    5: "too_long_to_render",  # score 3
}
SCORES = {0: 4, 1: 2, 3: 4, 5: 3}


def answer_id(number: int, mode: str = "thinking", sample: int = 0) -> str:
    return f"set/file:{number}#{mode}.{sample}"


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A build of six answers to texts, of which one is kept."""
    kept = [row("set", 0, encoded((40, 30), "PNG"), id=answer_id(0))]
    rejects = [reject(n, reason, id=answer_id(n)) for n, reason in WAS.items() if reason != "kept"]
    add(tmp_path, "text2image", kept, [reject(9, "duplicate", id="set/file:9"), *rejects], REASONED)
    answers = [
        {
            "id": answer_id(n),
            "question_id": f"set/file:{n}",
            "mode": "thinking",
            "sample": 0,
            "text": "It is.",
            "reason": "length" if n == 4 else None,
        }
        for n in WAS
    ]
    verdicts = [
        {
            "id": answer_id(n),
            "verdict": "pass" if n in SCORES else "fail",
            "score": SCORES.get(n, 1),
            "votes": 1,
        }
        for n in WAS
        if n != 4
    ]
    add_answers(tmp_path, "text", "00000", [], answers, verdicts)
    return tmp_path


def groups(root: Path, **changes: Any) -> dict[tuple[str, str], int]:
    return dict(preview(root, "text2image", GIVEN | changes).difference.groups)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"min_score": 2}, {("low_score", "kept"): 1}),
        ({"min_score": 5}, {("kept", "low_score"): 1, ("missing_glyph", "low_score"): 1,
                            ("too_long_to_render", "low_score"): 1}),
        ({"keep_failed": True}, {("low_score", "kept"): 1, ("judge_fail", "kept"): 1}),
        ({"pass_rate": [0, 0.5]}, {("kept", "pass_rate"): 1, ("missing_glyph", "pass_rate"): 1,
                                   ("too_long_to_render", "pass_rate"): 1}),
    ],
)  # fmt: skip
def test_what_other_settings_would_keep(
    build: Path, changes: dict[str, Any], expected: dict[tuple[str, str], int]
) -> None:
    assert groups(build, **changes) == expected


def test_the_program_prints_the_counts_and_writes_every_change(build: Path) -> None:
    tasks = json.dumps({"text2image": GIVEN | {"min_score": 2}, "image_thinking": GIVEN})
    changes = build / "changes.parquet"
    done = run("preview_selection.py", "--tasks", tasks, "--folder", build, "--changes", changes)
    assert done.returncode == 0, done.stderr
    words = done.stdout.split()
    assert words[words.index("text2image") :][:6] == ["text2image", "1", "2", "1", "0", "0"]
    change = {"artifact": "text2image", "id": answer_id(1), "was": "low_score", "now": "kept"}
    assert list(parquet.read_rows(changes)) == [change]


def test_changes_replace_no_folder_and_no_pipe(build: Path) -> None:
    (build / "folder").mkdir()
    os.mkfifo(build / "pipe")
    for path in (build / "folder", build / "pipe"):
        given = ("--tasks", json.dumps({"text2image": GIVEN}), "--folder", build, "--changes", path)
        done = run("preview_selection.py", *given)
        line = f"error: {path} is no file, and would be replaced by one; name another"
        assert (done.returncode, done.stderr.splitlines(), done.stdout) == (1, [line], "")
        assert path.exists()
        assert not path.is_file()


def test_what_cannot_be_compared_is_said(build: Path) -> None:
    tasks = json.dumps({"text2image": GIVEN | {"rated": "small"}})
    done = run("preview_selection.py", "--tasks", tasks, "--folder", build)
    assert done.returncode == 1
    assert "no batch is answered and judged as these settings ask" in done.last
    more = [reject(7, "length", id=answer_id(7)), reject(8, "length", id=answer_id(8))]
    kept = [row("set", 0, encoded((40, 30), "PNG"), id=answer_id(0))]
    add(build, "text2image", kept, more, REASONED)
    done = run("preview_selection.py", "--tasks", json.dumps({"text2image": GIVEN}), "--folder", build)
    assert done.returncode == 0
    assert "text2image: of 3 answers 2 are not compared" in done.stdout


def test_a_batch_of_an_earlier_cut_counts_nothing_twice(build: Path) -> None:
    verdict = {"id": answer_id(0), "verdict": "pass", "score": 1, "votes": 1}
    answer = {"id": answer_id(0), "question_id": "set/file:0", "mode": "thinking", "sample": 0}
    add_answers(build, "text", "00007", [], [answer], [verdict])
    assert groups(build, min_score=5)["kept", "low_score"] == 1


def test_answers_that_no_artifact_knows_are_left_out(build: Path) -> None:
    id_ = "set/other:0#thinking.0"
    answer = {"id": id_, "question_id": "set/other:0", "mode": "thinking", "sample": 0}
    add_answers(
        build, "text", "00001", [], [answer], [{"id": id_, "verdict": "pass", "score": 5, "votes": 1}]
    )
    assert groups(build) == {}


def test_further_teachers_are_told_apart(build: Path) -> None:
    given = GIVEN | {"teachers": ["big", "small"], "samples": 1}
    assert list(list_batches(build / "work", "text", given)) == []
    answer = {"id": answer_id(0), "question_id": "set/file:0", "mode": "thinking", "sample": 0}
    add_answers(
        build, "text", "00000.small", [], [answer], [{"id": answer_id(0), "verdict": "pass", "score": 5}]
    )
    (batch,) = list_batches(build / "work", "text", given)
    assert [path.name for path in batch.answers] == ["00000.parquet", "00000.small.parquet"]
    assert groups(build, **given)["kept", "not_best"] == 1  # the second teacher's has a better score


@pytest.mark.parametrize("what", ["column", "filter"])
def test_what_needs_no_picture_goes_where_that_is_asked_for(tmp_path: Path, what: str) -> None:
    kept = [row("set", 0, encoded((40, 30), "PNG"), id=answer_id(0))]
    add(tmp_path, "image_thinking", kept, [], REASONED)
    answer = {"id": answer_id(0), "question_id": "set/file:0", "mode": "thinking", "sample": 0}
    said = [{"id": answer_id(0), "verdict": "pass", "score": 4, "votes": 1}]
    for kind in ("image", "blind"):
        add_answers(tmp_path, kind, "00000", [], [answer], said)
    found = preview(tmp_path, "image_thinking", GIVEN | {"blind_check": what}).difference
    assert dict(found.groups) == ({("kept", "picture_not_needed"): 1} if what == "filter" else {})


def test_a_folder_without_stage_3_is_one_clear_line(tmp_path: Path) -> None:
    done = run("preview_selection.py", "--tasks", json.dumps({"text2image": GIVEN}), "--folder", tmp_path)
    assert done.returncode == 1
    assert done.last.endswith("no artifact of stage 3 stands here; FOLDER=… says where one does")


@pytest.mark.parametrize(
    "file", ["data/text2image.parquet", "data/rejects/text2image.parquet", "work/answer_text/00000.parquet"]
)
def test_a_broken_file_is_one_clear_line(build: Path, file: str) -> None:
    (build / file).write_bytes((build / file).read_bytes()[:60])
    done = run("preview_selection.py", "--tasks", json.dumps({"text2image": GIVEN}), "--folder", build)
    assert done.returncode == 1
    assert done.last.startswith(f"error: {build / file}"), done.last
    assert "Traceback" not in done.stderr
