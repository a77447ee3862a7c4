"""Statistics of jobs, summed: requests by rule, tokens by mode, GPU-hours by server."""

import json
from pathlib import Path

import pytest

from prep.report import work


def write(root: Path, files: dict[str, object]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return root


def test_statistics_are_summed_by_rule_and_anything_else_is_passed_over(tmp_path: Path) -> None:
    files = {
        "answer_text/0.json": '{"asked": 3, "failed": {"timeout": 1}, "model": "x", "seconds": 1.5}',
        "answer_text/1.json": '{"asked": 4, "failed": {"timeout": 1, "length": 2}, "retries": {"a": 5}}',
        "judge_text.json": '{"asked": "many", "failed": 7, "seconds": null, "prompt_tokens": true}',
        "torn.json": '{"asked": 3',
        "list.json": "[1]",
        "notes.txt": "x",
    }
    answer, judge = work.sum_work(write(tmp_path, files))
    assert (answer.rule, answer.jobs) == ("answer_text", 2)
    assert answer.figures == {"asked": 7, "seconds": 1.5, "retries": 5}
    assert answer.failures == {"timeout": 2, "length": 2}
    assert (judge.rule, judge.jobs) == ("judge_text", 1)
    assert judge.figures == {"asked": 0, "seconds": 0, "prompt_tokens": 0}
    assert judge.failures == {"all": 7}
    assert work.sum_work(tmp_path / "nowhere") == []


def job(end: str, seconds: float, answered: int, journal: int, server: str = "big") -> dict:
    return {
        "server": server,
        "updated": f"2026-11-30T{end}Z",
        "seconds": seconds,
        "answered": answered,
        "from_journal": journal,
        "modes": {"thinking": {"answers": answered + journal}},
    }


PLAN = {
    "models": {"big": "org/Big"},
    "servers": {"big": {"gpus": 8}, "small": {"gpus": 8}, "api": {"gpus": None}},
    "rates": {"tokens": {"text_thinking": 3600}, "tokens_per_gpu_second": {"big": 100}},
}


def test_gpu_hours_are_of_the_time_in_which_any_job_asked(tmp_path: Path) -> None:
    files = {
        "stats/answer_text/0.json": job("10:00:00", 3600, 60, 40),
        "stats/answer_text/1.json": job("10:30:00", 3600, 40, 60),  # half of it beside the other
        "stats/answer_text/2.json": job("12:00:00", 1800, 0, 100),
        "stats/answer_text/3.json": job("12:00:00", 1800, 9, 0, "small"),
        "stats/answer_text/4.json": job("12:00:00", 1800, 9, 0, "api"),
        "stats/answer_text/5.json": job("25:00:00", 1800, 9, 0),
        "plan.json": PLAN,
        "servers/small/server.json": {"mode": "embedded"},
    }
    write(tmp_path, files)
    (found,) = work.measure_gpu_time(tmp_path / "stats", tmp_path)
    assert (found.server, found.model, found.gpus) == ("big", "org/Big", 8)
    assert (found.answers, found.total) == (100, 300)
    assert found.measured == pytest.approx(8 * 2.0)
    assert found.planned == pytest.approx(100 * 3600 / 100 / 3600)


def test_there_are_no_gpu_hours_without_a_plan(tmp_path: Path) -> None:
    write(tmp_path, {"stats/answer_text/0.json": job("10:00:00", 3600, 60, 40)})
    assert work.measure_gpu_time(tmp_path / "stats", tmp_path) == []
    write(tmp_path, {"plan.json": PLAN | {"rates": {}}})
    (found,) = work.measure_gpu_time(tmp_path / "stats", tmp_path)
    assert found.planned is None


def test_spans_are_joined() -> None:
    assert work.sum_spans([(5, 6), (0, 2), (1, 3), (1, 2)]) == 4
    assert work.sum_spans([]) == 0
