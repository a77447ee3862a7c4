"""What the jobs of a run are told of it."""

import os
import sys

import pytest

from prep.serving import workflow_run
from workflow_lib import run_folder

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows when a process was started")


@pytest.fixture(autouse=True)
def untold(monkeypatch):
    monkeypatch.setattr(run_folder.atexit, "register", lambda *_, **__: None)
    monkeypatch.setenv(run_folder.VARIABLE, "")


def test_a_job_finds_the_run_and_its_folder_which_nobody_else_may_enter():
    run_folder.export_run(is_main_process=True, is_remote=False)
    run = workflow_run.find_run()
    assert run.is_alive()
    assert run.process == run_folder.identify_process()
    assert run.folder.stat().st_mode & 0o777 == 0o700
    run.folder.rmdir()


def test_a_job_on_a_cluster_has_no_run():
    run_folder.export_run(is_main_process=True, is_remote=False)
    run_folder.export_run(is_main_process=False, is_remote=True)
    assert workflow_run.find_run() is None


def test_a_job_that_is_run_by_a_snakemake_of_its_own_keeps_the_run(monkeypatch):
    monkeypatch.setenv(run_folder.VARIABLE, "told before")
    run_folder.export_run(is_main_process=False, is_remote=False)
    assert os.environ[run_folder.VARIABLE] == "told before"


def test_a_folder_whose_sockets_would_have_too_long_a_path_is_not_taken(tmp_path, monkeypatch):
    long = tmp_path / ("x" * 60)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    assert not run_folder.choose_folder("1:2").is_relative_to(long)
