"""Signals that end a run, in real runs of Snakemake."""

import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from conftest import ROOT

from stand_in_server import until
from workflow import SNAKEMAKE

HEAD = f"""
import logging, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from workflow_lib import stop_signals
"""
# Snakemake's scheduler says that it restarts a job while it holds its lock.
RESTARTS = """
class Terminates(logging.Handler):
    def emit(self, record):
        if "Trying to restart" in record.getMessage():
            os.kill(os.getpid(), signal.SIGTERM)

logging.getLogger("snakemake.logging").addHandler(Terminates())

rule all:
    input: expand("out/{n}.txt", n=range(9))

rule fail:
    output: "out/{n}.txt"
    retries: 1
    shell: "exit 1"

onstart:
    stop_signals.wait_for_locks_at_sigterm()
"""
SLEEPS = """
stop_signals.PATIENCE_S = 0.5
stop_signals.end_at_signals()

rule sleep:
    output: "out.txt"
    shell: "touch began; exec sleep 600"
"""


def test_sigterm_ends_a_run_also_while_the_scheduler_takes_in_a_failure(tmp_path: Path) -> None:
    (tmp_path / "Snakefile").write_text(HEAD + RESTARTS)
    command = [SNAKEMAKE, "--cores", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Will exit after finishing currently running jobs" in done.stderr
    assert done.stderr.count("Error in rule fail") < 9


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_snakemake_alone_ends_its_jobs_too(tmp_path: Path, number: int) -> None:
    (tmp_path / "Snakefile").write_text(HEAD + SLEEPS)
    with subprocess.Popen([SNAKEMAKE, "--cores", "1"], cwd=tmp_path) as run:
        until((tmp_path / "began").exists, 60)
        jobs = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(number)
        assert run.wait(60) == 1
    assert not [job for job in jobs if job.is_running()]
    assert not list(tmp_path.glob(".snakemake/locks/*"))
