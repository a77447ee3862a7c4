"""Questions that have kept and rejected answers: which ones are chosen, and where their answers are."""

from pathlib import Path

import pytest

from prep.report import answers
from prep.report.answers import Teachers, find_questions_with_both, shift_sample
from reports import add, reject, row


def build(root: Path, kept: range, rejected: dict[int, str]) -> tuple[Path, Path]:
    rows = [row("a", n, id=f"s/a:{n}#thinking.0") for n in kept]
    rejects = [reject(n, reason, id=f"s/a:{n}#thinking.1") for n, reason in rejected.items()]
    add(root, "a", rows, [*rejects, reject(0, "question_empty", id="s/a:0")])
    return root / "data/a.parquet", root / "data/rejects/a.parquet"


def test_questions_have_both_and_judged_answers_come_first(tmp_path: Path) -> None:
    rejected = dict.fromkeys(range(50, 150), "timeout") | dict.fromkeys((60, 70), "judge_fail")
    found = find_questions_with_both(*build(tmp_path, range(100), rejected), "a", 6)
    assert len(found) == 6
    assert set(found[:2]) == {"s/a:60", "s/a:70"}
    assert all(50 <= int(id_.rpartition(":")[2]) < 100 for id_ in found)
    assert find_questions_with_both(*build(tmp_path, range(100), rejected), "a", 3) == found[:3]


def test_many_candidates_take_no_more_memory_and_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = build(tmp_path, range(2000), dict.fromkeys(range(2000), "judge_fail"))
    found = find_questions_with_both(*paths, "a", 5)
    expected = sorted((f"s/a:{n}" for n in range(2000)), key=lambda id_: answers.hash_question("a", id_))
    assert found == expected[:5]


def test_no_question_has_both(tmp_path: Path) -> None:
    assert find_questions_with_both(*build(tmp_path, range(0), {1: "judge_fail"}), "a", 5) == []
    assert find_questions_with_both(*build(tmp_path, range(3), {}), "a", 5) == []


def test_samples_of_further_teachers_are_numbered_on(tmp_path: Path) -> None:
    for name in ("00000.parquet", "00000.two.parquet", "00000.gone.parquet", "00001.parquet", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    found = [(path.name, *about) for path, *about in Teachers(["one", "two"], 4).files(tmp_path)]
    assert found == [
        ("00000.parquet", "one", 0),
        ("00000.two.parquet", "two", 4),
        ("00001.parquet", "one", 0),
    ]
    # Of one teacher, the others' are of a server whose pass rate counts.
    assert [path.name for path, *_ in Teachers().files(tmp_path)] == ["00000.parquet", "00001.parquet"]
    assert [path.name for path, *_ in Teachers().files(tmp_path / "nowhere")] == []
    assert shift_sample("s/a:0#thinking.1", 4) == "s/a:0#thinking.5"
