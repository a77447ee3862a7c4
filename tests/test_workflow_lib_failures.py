"""What a failed run says last."""

from pathlib import Path

import pytest

from workflow_lib.failures import find_refusals, report_failures

REFUSED = """
    message: SLURM sbatch failed. The error message was 'sbatch: error: invalid partition specified: gpuu
sbatch: error: Batch job submission failed: Invalid partition name specified'.
    sbatch call:
        sbatch --parsable --job-name 62039b64
"""


def test_what_sbatch_refused_is_said_once_for_each_cause(tmp_path: Path) -> None:
    log = tmp_path / "run.log"
    log.write_text("rule a:\n" + 3 * REFUSED + REFUSED.replace("partition specified: gpuu", "account: x"))
    lines = find_refusals(log)
    assert [line.partition(";")[0] for line in lines] == [
        "error: sbatch refused 3 submissions: invalid partition specified: gpuu",
        "error: sbatch refused 1 submission: invalid account: x",
    ]


def test_without_a_log_or_a_refusal_nothing_is_said(tmp_path: Path) -> None:
    assert find_refusals(tmp_path / "none.log") == []
    (tmp_path / "run.log").write_text("Error in rule a:\n    message: exit code 1\n")
    assert find_refusals(tmp_path / "run.log") == []


def test_failures_are_the_last_lines_of_this_runs_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    report_failures(since=0, run_logs=[])
    assert capsys.readouterr().err == ""
    (tmp_path / "logs/rule").mkdir(parents=True)
    (tmp_path / "logs/rule/a.log").write_text("much\nerror: it broke\n")
    (tmp_path / "logs/rule/b.log").write_text("error: no\nat last it went well\n")
    report_failures(since=0, run_logs=[])
    assert capsys.readouterr().err == "\nerror: it broke\n       (log: logs/rule/a.log)\n"
    report_failures(since=(tmp_path / "logs/rule/a.log").stat().st_mtime + 2, run_logs=[])
    assert capsys.readouterr().err == ""
