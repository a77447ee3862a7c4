"""Signals that end a run, in real runs of Snakemake."""

import subprocess

from conftest import ROOT

from workflow import SNAKEMAKE

# Snakemake's scheduler says that it restarts a job while it holds its lock.
SNAKEFILE = f"""
import logging, os, signal, sys
sys.path.insert(0, {str(ROOT)!r})
from workflow_lib.stop_signals import wait_for_locks_at_sigterm

class Terminates(logging.Handler):
    def emit(self, record):
        if "Trying to restart" in record.getMessage():
            os.kill(os.getpid(), signal.SIGTERM)

logging.getLogger("snakemake.logging").addHandler(Terminates())

rule all:
    input: expand("out/{{n}}.txt", n=range(9))

rule fail:
    output: "out/{{n}}.txt"
    retries: 1
    shell: "exit 1"

onstart:
    wait_for_locks_at_sigterm()
"""


def test_sigterm_ends_a_run_also_while_the_scheduler_takes_in_a_failure(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    command = [SNAKEMAKE, "--cores", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Will exit after finishing currently running jobs" in done.stderr
    assert done.stderr.count("Error in rule fail") < 9
