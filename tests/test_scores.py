"""Counts of kept answers by mode and score, and rows of each."""

from pathlib import Path

from prep.report.scores import count_scores
from prep.storage import parquet
from prep.storage.schema import REASONED, TRAINING
from reports import row


def test_all_rows_are_counted_and_some_of_each_mode_and_score_are_picked(tmp_path: Path) -> None:
    rows = [
        row("a", n, score=3 if n % 10 else None, mode=("thinking", "no_thinking")[n % 2]) for n in range(1000)
    ]
    parquet.write_rows(tmp_path / "a.parquet", rows, REASONED)
    found = count_scores(tmp_path / "a.parquet", "a", 3)
    assert found.counts == {("thinking", None): 100, ("thinking", 3): 400, ("no_thinking", 3): 500}
    assert (found.modes, found.scores) == (["no_thinking", "thinking"], [3, None])
    picked = [(rows[at]["mode"], rows[at]["score"]) for at in found.positions]
    assert {key: picked.count(key) for key in picked} == dict.fromkeys(found.counts, 3)
    assert found.positions == sorted(found.positions)
    assert found.others["rule"] == {"agrees": 1000}
    assert found.others["needs_picture"] == {None: 1000}
    assert count_scores(tmp_path / "a.parquet", "a", 3) == found


def test_rows_without_a_mode_have_no_scores(tmp_path: Path) -> None:
    parquet.write_rows(tmp_path / "a.parquet", [], TRAINING)
    assert count_scores(tmp_path / "a.parquet", "a", 3) is None
