"""Kills at random moments: of a client that asks, and of a run, its jobs, its keepers and its guards.

The client goes on where it was. A run is a process that starts jobs as Snakemake does, two at a time; their
server ignores SIGTERM, and fifteen seconds after the run's end nothing of it may be left. `make test-kills`.
"""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import pytest
from conftest import ROOT

from asked import PROGRAM, journaled_prompts, request
from fault_server import FaultServer, Reply, answer_to
from prep.storage.atomic import write_json
from running import python_environment
from server_config import stand_in_config
from stand_in_server import processes, starts, until

KILLS = 30
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


@pytest.mark.parametrize("seed", range(KILLS))
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


def test_killed_thirty_times_in_a_row_it_goes_on_where_it_was(tmp_path):
    moments = random.Random(7)
    with FaultServer(lambda seen: Reply(delay=moments.uniform(0.01, 0.15))) as server:
        command = [sys.executable, "-c", PROGRAM, str(tmp_path), server.base_url]
        answered = set()
        for _ in range(KILLS):
            before = Counter(server.attempts)
            running = subprocess.Popen(command, env=python_environment())
            # Somewhere between two answers; at times before the first.
            target = server.finished.total() + moments.randrange(10)
            while running.poll() is None and server.finished.total() < target:
                time.sleep(0.001)
            time.sleep(moments.uniform(0, 0.02))
            assert running.poll() is None, "it came to its end before it was killed"
            running.kill()
            running.wait()
            assert all(server.attempts[prompt] == before[prompt] for prompt in answered)
            answered = journaled_prompts(tmp_path / "journal")
        asked = Counter(server.attempts)
        subprocess.run(command, env=python_environment(), check=True)
        assert all(server.attempts[prompt] == asked[prompt] for prompt in answered)
        # What a kill loses is what was on its way.
        assert server.attempts.total() <= 300 + 16 * KILLS
    expected = [request(n) for n in range(300)]
    wanted = "".join(f"{each.id} {answer_to(each.body('model'))}\n" for each in expected)
    assert (tmp_path / "out").read_text() == wanted
