"""A reasoned picture is the original picture, the original question, and the kept answer."""

import json

import pyarrow.parquet as pq
from test_render_text import answer, judged

from batch import POLICY, question
from prep.storage import parquet
from prep.storage.schema import ANSWERS, QUESTIONS, VERDICTS
from running import run


def test_rows_and_rejects_are_named_after_their_answers(tmp_path):
    asked = [question(number, f"<image>\nWhat is {number}?", b"picture %d" % number) for number in range(4)]
    asked[1]["question"] = "<image>\nWhat is <|image_pad|>?"
    parquet.write_rows(tmp_path / "q0.parquet", asked[:1], QUESTIONS)
    parquet.write_rows(tmp_path / "q1.parquet", asked[1:], QUESTIONS)
    parquet.write_rows(
        tmp_path / "a.parquet", [answer(n) for n in range(3)] + [answer(3, reason="length")], ANSWERS
    )
    parquet.write_rows(tmp_path / "v.parquet", [judged(2), judged(1, "fail", 1), judged(0)], VERDICTS)
    done = run(
        "select_image.py",
        *("--questions", tmp_path / "q0.parquet", tmp_path / "q1.parquet"),
        *("--answers", tmp_path / "a.parquet", "--verdicts", tmp_path / "v.parquet"),
        *("--settings", json.dumps(POLICY | {"min_score": 4}), "--shard", tmp_path / "s.parquet"),
        *("--rejects", tmp_path / "r.parquet", "--summary", tmp_path / "s.json"),
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(tmp_path / "s.parquet").to_pylist()
    assert [row["id"] for row in rows] == ["set/file:0#thinking.0", "set/file:2#thinking.0"]
    assert rows[1] == {
        "id": "set/file:2#thinking.0",
        "source_id": "s2",
        "messages": [
            {"content": "<image>\nWhat is 2?", "role": "user"},
            {"content": "<think>\n2\n</think>\n\nIt is 2.", "role": "assistant"},
        ],
        "images": [{"bytes": b"picture 2", "path": "2.png"}],
        "source": "org/set",
        "mode": "thinking",
        "score": 4,
        "rule": None,
        "pass_rate": 1.0,
        "votes": 1,
        "needs_picture": None,
    }
    rejects = pq.read_table(tmp_path / "r.parquet").to_pylist()
    assert [(reject["id"], reject["row"], reject["reason"]) for reject in rejects] == [
        ("set/file:1#thinking.0", 1, "judge_fail"),
        ("set/file:3#thinking.0", 3, "length"),
    ]
    note = "template tokens of the question are broken in the request: <|image_pad|>"
    assert [reject["detail"] for reject in rejects] == [f"score 1: d; {note}", "cut"]
