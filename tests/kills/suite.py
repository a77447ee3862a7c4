"""Thirty random moments at which the main process, a job, a keeper or a guard of a run is killed.

A run is a process that starts jobs as Snakemake does, two at a time. Their server ignores SIGTERM.
Fifteen seconds after its end nothing of it runs. By hand: `python -m pytest -s tests/kills/suite.py`, which
takes a quarter of an hour.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import ROOT

from prep.storage.atomic import write_json
from running import python_environment
from server_config import stand_in_config
from stand_in_server import processes, starts, until

LEFT_AT_MOST_S = 15.0
MOMENT_S = 6.0  # after the first process of the kind that is killed
RUN = """
import subprocess, sys
from concurrent.futures import ThreadPoolExecutor
from workflow_lib.run_folder import export_run

export_run(is_main_process=True, is_remote=False)

def run(number):
    with open(f"log.{number}", "w") as log:
        subprocess.run([sys.executable, "job.py", "server.json"], stderr=log)

with ThreadPoolExecutor(2) as pool:  # jobs that fail do not end the run
    list(pool.map(run, range(4)))
"""
JOB = """
import asyncio, sys
from pathlib import Path
from prep.runtime.program import run
from prep.serving.kept_server import open_server
from prep.serving.server_config import read_server_config

async def work(config):
    with open_server(read_server_config(config), config.resolve().parent) as server:
        for _ in range(10):
            await server.ensure_endpoints()
            await asyncio.sleep(0.1)

run(lambda: asyncio.run(work(Path(sys.argv[1]))))
"""
VICTIMS = {
    "main process": "run.py",
    "job": "job.py",
    "keeper": "keep_server.py",
    "guard": "process_group.py",
}


def find(folder: Path, victim: str) -> list[int]:
    """The processes of a kind; those of the run's jobs and servers name its folder or run in it."""
    found = []
    for pid in processes(VICTIMS[victim]):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cwd").samefile(folder):
                found.append(pid)
    return found


def left(folder: Path) -> dict[int, str]:
    """All processes that work in the folder, or name it."""
    found = processes(folder)
    for word in ("job.py", "stand_in_server.py", "keep_server.py", "process_group.py"):
        for pid, line in processes(word).items():
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/cwd").samefile(folder):
                    found[pid] = line
    return found


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_left_after_a_kill(tmp_path, seed):
    draw = random.Random(seed)
    victim = list(VICTIMS)[seed % len(VICTIMS)]
    (tmp_path / "run.py").write_text(RUN)
    (tmp_path / "job.py").write_text(JOB)
    write_json(tmp_path / "server.json", asdict(stand_in_config(tmp_path, "--stubborn", start_timeout=120)))
    command = [sys.executable, "run.py"]
    environment = python_environment()
    environment["PYTHONPATH"] += os.pathsep + str(ROOT)
    with (tmp_path / "output").open("wb") as output:
        main = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        until(lambda: find(tmp_path, victim) or main.poll() is not None, 120)
        time.sleep(draw.uniform(0, MOMENT_S))
        for pid in find(tmp_path, victim)[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        main.wait(300)
        ended = time.monotonic()
        until(lambda: not left(tmp_path), 10 * LEFT_AT_MOST_S)
        seconds = time.monotonic() - ended
        print(
            f"{victim}: exit {main.returncode}, {len(starts(tmp_path))} starts, nothing after {seconds:.1f} s"
        )
        assert seconds <= LEFT_AT_MOST_S
    finally:
        main.kill()
        for pid in left(tmp_path):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
