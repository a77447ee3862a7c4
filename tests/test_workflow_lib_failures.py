"""What a failed run says last."""

import errno
import os
import resource
import subprocess
from pathlib import Path

import pytest

from workflow_lib.failures import find_refusals, find_unwritable, report_failures

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


def test_a_folder_that_can_be_written_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert find_unwritable() == []
    assert list((tmp_path / "data").iterdir()) == []


def test_what_stops_a_write_is_told_for_each_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a part of what is to be written still fits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        lines = find_unwritable()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"{tmp_path}/data: {os.strerror(errno.EFBIG)}; mend that, and run again" in lines


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk, as root")
def test_a_full_disk_is_told_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", tmp_path / "data"], check=True)
    try:
        lines = find_unwritable()
    finally:
        subprocess.run(["umount", tmp_path / "data"], check=True)
    advice = "free some space there (df shows where), and run again"
    assert lines == [f"{tmp_path}/data: No space left on device; {advice}"]
