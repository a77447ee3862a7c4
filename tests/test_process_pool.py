"""A program's processes: they work, and never outlive it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from prep.runtime import process_pool
from prep.runtime.program import UserError
from running import python_environment


def test_they_work() -> None:
    with process_pool.open_pool(2) as pool:
        assert list(pool.map(abs, [-1, 2, -3])) == [1, 2, 3]


def test_one_that_is_killed_is_a_line_not_a_traceback() -> None:
    def work() -> None:
        with process_pool.open_pool(1) as pool:
            os.kill(pool.submit(os.getpid).result(), signal.SIGKILL)
            pool.submit(abs, -1).result()

    with pytest.raises(UserError, match="was killed, perhaps because memory ran out"):
        work()


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (MemoryError("malloc of size 9 failed"), "memory ran out"),
        (pa.ArrowMemoryError("malloc of size 9 failed"), "memory ran out"),
        (process_pool.WorkerKilled("killed"), "a process crashed or was killed"),
    ],
)
def test_too_little_memory_is_told_with_the_file_and_the_key(error: Exception, what: str) -> None:
    with (
        pytest.raises(UserError) as caught,
        process_pool.explain_out_of_memory("a.parquet", "convert_llava"),
    ):
        raise error
    said = str(caught.value)
    assert said.startswith(f"a.parquet: {what}; ")
    assert "--set-resources convert_llava:mem_mb=" in said
    assert "--retries" in said


def test_what_breaks_does_not_wait_for_them() -> None:
    slept = []

    def work() -> None:
        with process_pool.open_pool(1) as pool:
            pool.submit(abs, -1).result()
            slept.append(pool.submit(time.sleep, 600))
            raise ValueError("broke")

    with pytest.raises(ValueError, match="broke"):
        work()
    assert slept[0].exception(10) is not None  # it did not come to its end


PROGRAM = """
import os, time
from prep.runtime import process_pool

if __name__ == "__main__":
    with process_pool.open_pool(2) as pool:
        print(*set(pool.map(os.getpgid, [0] * 2)), pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_they_end_with_a_program_that_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, str(program)]
    with subprocess.Popen(words, env=python_environment(), stdout=subprocess.PIPE, text=True) as running:
        running.stdout.readline()
        processes = psutil.Process(running.pid).children(recursive=True)
        assert len(processes) >= 2
        running.kill()
    gone, alive = psutil.wait_procs(processes, timeout=60)
    assert not alive, gone


ENDS_WHILE_ONE_WRITES_A_RESULT = """
import os, psutil, signal, sys, time
from prep.runtime import process_pool, program

def bytes_read():
    return psutil.Process().io_counters().read_chars

def main():
    with process_pool.open_pool(2) as pool:
        pool.submit(time.sleep, 600)
        writer = pool.submit(os.getpid).result()
        enough = bytes_read() + 10_000_000
        result = pool.submit(bytes, 300_000_000)
        while bytes_read() < enough:
            pass
        os.kill(writer if sys.argv[1] == "a worker" else os.getpid(), int(sys.argv[2]))
        result.result()

if __name__ == "__main__":
    program.run(main)
"""


@pytest.mark.parametrize(
    ("who", "number", "word"),
    [
        ("a worker", signal.SIGKILL, "a worker process was killed"),
        ("the program", signal.SIGTERM, "terminated"),
    ],
)
def test_a_result_of_which_only_a_part_came_is_not_waited_for(
    tmp_path: Path, who: str, number: int, word: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(ENDS_WHILE_ONE_WRITES_A_RESULT)
    words = [sys.executable, str(program), who, str(int(number))]
    done = subprocess.run(words, env=python_environment(), capture_output=True, text=True, timeout=60)
    assert word in done.stderr
    assert len(done.stderr.splitlines()) == 1


SIGNALLED_WHILE_IT_STARTS_ONE = """
import multiprocessing.popen_spawn_posix as popen, os, signal, sys
from prep.runtime import process_pool, program

launch = popen.Popen._launch

def launch_and_signal(self, process):
    launch(self, process)
    signal.raise_signal(int(sys.argv[1]))

def main():
    with process_pool.open_pool(2) as pool:
        pool.submit(abs, -1)

if __name__ == "__main__":
    popen.Popen._launch = launch_and_signal
    program.run(main)
"""


@pytest.mark.parametrize(("number", "word"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")])
def test_one_that_has_just_started_ends_with_its_program(tmp_path: Path, number: int, word: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(SIGNALLED_WHILE_IT_STARTS_ONE)
    words = [sys.executable, str(program), str(int(number))]
    ended = subprocess.run(words, env=python_environment(), stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 128 + number
    assert ended.stderr.endswith(f" {word}\n")
    assert len(ended.stderr.splitlines()) == 1


def test_they_do_not_hear_an_interrupt_that_reaches_the_program_too() -> None:
    with process_pool.open_pool(1) as pool:
        process = pool.submit(os.getpid).result()
        os.kill(process, signal.SIGINT)
        assert pool.submit(os.getpid).result() == process
