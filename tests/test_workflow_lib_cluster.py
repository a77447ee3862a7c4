"""A cluster without accounts is told at the start, and a run that ends early cancels all its jobs."""

import os
import signal
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

from workflow_lib import cluster
from workflow_lib.cluster import cancel_jobs, check_status_command

SACCT = SimpleNamespace(status_command="sacct")


@pytest.fixture
def sacct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The sacct that PATH finds first."""
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program = tmp_path / "sacct"
    program.touch(0o755)
    return program


def test_a_cluster_without_accounts_is_said_with_what_to_set(sacct: Path) -> None:
    sacct.write_text("#!/bin/sh\necho 'Slurm accounting storage is disabled' >&2\nexit 1\n")
    with pytest.raises(WorkflowError, match=r"storage is disabled.*--slurm-status-command squeue"):
        check_status_command(SACCT)


def test_a_sacct_that_cannot_be_run_or_does_not_answer_is_said_too(
    sacct: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sacct.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(cluster, "ANSWER_S", 0.2)
    with pytest.raises(WorkflowError, match=r"timed out.*--slurm-status-command squeue"):
        check_status_command(SACCT)
    sacct.unlink()
    monkeypatch.setenv("PATH", str(sacct.parent))
    with pytest.raises(WorkflowError, match=r"No such file.*--slurm-status-command squeue"):
        check_status_command(SACCT)


def squeue(interval: int) -> SimpleNamespace:
    return SimpleNamespace(status_command="squeue", init_seconds_before_status_checks=interval)


@pytest.fixture
def scontrol(sacct: Path) -> Path:
    """The scontrol that PATH finds first, of a cluster that remembers jobs for half a minute."""
    program = sacct.with_name("scontrol")
    program.write_text("#!/bin/sh\necho 'MinJobAge               = 30 sec'\n")
    program.chmod(0o755)
    return program


def test_sacct_is_not_asked_where_it_is_not_used(sacct: Path, scontrol: Path) -> None:
    sacct.write_text("#!/bin/sh\nexit 1\n")
    for settings in (None, SimpleNamespace(), squeue(10)):
        check_status_command(settings)


def test_squeue_that_forgets_jobs_too_soon_is_said_where_sacct_cannot_take_its_place(
    sacct: Path, scontrol: Path
) -> None:
    sacct.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(WorkflowError, match=r"MinJobAge is 30 s.*before-status-checks 10$"):
        check_status_command(squeue(20))
    scontrol.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(WorkflowError, match=r"`scontrol show config` must tell MinJobAge"):
        check_status_command(squeue(20))
    sacct.write_text("#!/bin/sh\necho 12 COMPLETED\n")
    check_status_command(squeue(20))


def test_accounts_that_answer_are_taken(sacct: Path) -> None:
    sacct.write_text("#!/bin/sh\necho 12 COMPLETED\n")
    check_status_command(SACCT)


@pytest.fixture
def calls(sacct: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the scancel that PATH finds first, and a qdel beside it, note how they are called."""
    noted = sacct.with_name("calls")
    for name in ("scancel", "qdel"):
        program = sacct.with_name(name)
        program.write_text(f'#!/bin/sh\necho {name} "$@" >> {noted}\nexit 1\n')
        program.chmod(0o755)
    noted.touch()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return noted


def test_the_jobs_of_a_slurm_run_are_cancelled_by_its_name(calls: Path) -> None:
    log = calls.with_name("run.log")
    log.write_text("Building DAG of jobs...\nSLURM run ID: prep_0b5c-11\nJob 7 has been submitted with …\n")
    cancel_jobs(squeue(10), [log])
    assert calls.read_text() == "scancel --quiet --name=prep_0b5c-11\n"


def test_the_jobs_at_another_scheduler_are_cancelled_by_their_ids(calls: Path) -> None:
    log = calls.with_name("run.log")
    lines = [f"Submitted job {job} with external jobid '9{job}.host'." for job in range(4)]
    lines += ["Finished jobid: 3 (Rule: convert_ocr)", "Submitted job 0 with external jobid '99.host'."]
    log.write_text("\n".join([*lines, "Resuming incomplete job 5 with external jobid '7.host'."]))
    cancel_jobs(SimpleNamespace(cancel_cmd="qdel", cancel_nargs=3), [log])
    assert calls.read_text() == "qdel 99.host 91.host 92.host\nqdel 7.host\n"


def test_nothing_is_cancelled_where_no_jobs_are_submitted(calls: Path) -> None:
    log = calls.with_name("run.log")
    log.write_text("Building DAG of jobs...\n")
    for settings in (None, SimpleNamespace(cancel_cmd="qdel"), SimpleNamespace(cancel_cmd=None)):
        cancel_jobs(settings, [log, log.with_name("gone.log")])
    assert calls.read_text() == ""
