"""A program's processes: they work, and never outlive it."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from conftest import ROOT

from prep import workers
from prep.program import Failure


def test_they_work() -> None:
    with workers.pool(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_one_that_is_killed_is_a_line_not_a_traceback() -> None:
    def work() -> None:
        with workers.pool(1) as pool:
            os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
            pool.submit(abs, -1).result()

    with pytest.raises(Failure, match="was killed, perhaps for want of memory"):
        work()


def test_what_breaks_does_not_wait_for_them() -> None:
    def work() -> None:
        with workers.pool(1) as pool:
            pool.submit(abs, -1).result()
            pool.submit(time.sleep, 600)
            raise ValueError("broke")

    start = time.monotonic()
    with pytest.raises(ValueError, match="broke"):
        work()
    assert time.monotonic() - start < 60


PROGRAM = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from prep import workers

if __name__ == "__main__":
    with workers.pool(2) as pool:
        print(*set(pool.map(os.getpgid, [0] * 2)), pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_they_end_with_a_program_that_is_killed(tmp_path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, str(program), str(ROOT / "scripts")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as running:
        running.stdout.readline()
        processes = psutil.Process(running.pid).children(recursive=True)
        assert len(processes) >= 2
        running.kill()
    gone, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, gone
