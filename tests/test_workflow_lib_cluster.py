"""A cluster without accounts is told at the start, before a run waits for ever."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

from workflow_lib import cluster
from workflow_lib.cluster import check_status_command

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
