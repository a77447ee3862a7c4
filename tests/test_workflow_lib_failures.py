"""What a failed run says last."""

import contextlib
import errno
import logging
import re
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError

from disks import MOUNTS, disk
from workflow_lib.failures import check_room, explain_errors, find_refusals, find_unwritable, report_failures
from workflow_lib.locked_folder import explain_lock

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


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of a run, which is the working folder."""
    monkeypatch.chdir(tmp_path)
    for folder in ("data", "logs", "work"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_folders_that_can_be_written_stop_no_run(build: Path) -> None:
    check_room(["data/x.parquet"])
    assert sorted(build.rglob("*")) == [build / "data", build / "logs", build / "work"]


@contextlib.contextmanager
def files_of(size: int) -> Iterator[None]:
    """No file may be longer than so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_what_stops_a_write_is_told_also_where_a_part_still_fits(build: Path) -> None:
    with files_of(1000):
        found = {folder: error.errno for folder, error in find_unwritable(["data"])}
    assert found == {build / "data": errno.EFBIG, Path(tempfile.gettempdir()): errno.EFBIG}


def test_a_machine_without_a_temporary_folder_is_told(build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)  # of a process that has not asked for it
    monkeypatch.setenv("TMPDIR", "/full")
    words = r"config: /full: No usable temporary directory.*mend"
    with files_of(0), pytest.raises(WorkflowError, match=words):
        check_room([])


@MOUNTS
def test_a_full_disk_is_told_before_a_run_and_after_it(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = f"{build}/data: No space left on device; free some space there (df shows where), and run again"
    with disk(build / "data", "size=16k"):
        with pytest.raises(WorkflowError, match=re.escape(f"config: {line}")):
            check_room(["data/manifest/x.json"])
        check_room(["work/x.json"])
        report_failures(since=0, run_logs=[])
    assert capsys.readouterr().err == f"\nerror: {line}\n"


@MOUNTS
def test_a_full_temporary_folder_is_told_though_python_takes_another(
    build: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(build / "temporary"))
    with disk(build / "temporary", "size=16k"):
        assert [(folder, error.errno) for folder, error in find_unwritable([])] == [
            (build / "temporary", errno.ENOSPC)
        ]
    with disk(build / "temporary", "ro"):
        assert not [*find_unwritable([])]


@MOUNTS
def test_a_read_only_folder_stops_only_a_run_that_writes_into_it(
    build: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with disk(build / "data", "ro"):
        with pytest.raises(WorkflowError, match="data: Read-only file system; mend that, and run again"):
            check_room(["data/manifest/x.json"])
        check_room(["work/x.json"])
        report_failures(since=0, run_logs=[])
    assert capsys.readouterr().err == ""


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Snakemake's log, whose errors are explained."""
    log = logging.getLogger("snakemake.logging")
    before = list(log.handlers)
    explain_errors()
    yield log
    log.handlers[:] = before


def test_of_snakemakes_errors_a_lock_and_a_full_disk_are_explained(
    build: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.error("no rule", extra={"exception": "MissingRuleException"})
    log.error("[Errno 28] of a job")
    assert capsys.readouterr().err == ""
    log.error("locked", extra={"exception": "LockException"})
    assert capsys.readouterr().err == f"error: {explain_lock()}\n"
    # There is room again: files of the jobs that failed were removed.
    for number, words in ((28, "No space left on device"), (122, "Disk quota exceeded")):
        text = f"Error recording metadata for finished job ([Errno {number}] {words})."
        log.error(text, extra={"exception": "WorkflowError"})
        line = f"{build}: {words}; free some space there (df shows where), and run again"
        assert capsys.readouterr().err == f"error: {line}\n"
