"""How programs end: one clear line for what a user can mend, a traceback for a bug, a code for a signal."""

import os
import signal
import subprocess
import sys

import pytest

from running import python_environment

PROGRAM = """
import sys, time
from prep.runtime.program import Failure, run
def main():
    {body}
run(main)
"""


def start(body: str) -> subprocess.Popen:
    code = PROGRAM.format(body=body)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=python_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('raise Failure("x.parquet: no column y;\\n add it")', "error: x.parquet: no column y; add it"),
        ('open("/no/such/file")', "error: [Errno 2] No such file or directory: '/no/such/file'"),
        (
            'raise OSError(28, "No space left on device", "data/x.parquet")',
            "error: data/x.parquet: No space left on device; free some space there (df shows where), and run"
            " again",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(body, line):
    done = start(body)
    _, stderr = done.communicate()
    assert (done.returncode, stderr.splitlines()) == (1, [line])


def test_a_bug_keeps_its_traceback():
    done = start("1 / 0")
    _, stderr = done.communicate()
    assert done.returncode == 1
    assert "Traceback" in stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unwinds_what_is_open(number):
    body = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("closed", flush=True)
"""
    done = start(body.strip())
    assert done.stdout.readline() == "ready\n"
    os.kill(done.pid, number)
    stdout, stderr = done.communicate()
    assert (done.returncode, stdout) == (128 + number, "closed\n")
    assert "Traceback" not in stderr


def test_what_is_being_closed_is_not_disturbed_by_a_second_sigterm():
    body = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        print("closing", flush=True)
        sys.stdin.readline()
        print("closed", flush=True)
"""
    done = start(body.strip())
    assert done.stdout.readline() == "ready\n"
    os.kill(done.pid, signal.SIGTERM)
    assert done.stdout.readline() == "closing\n"
    os.kill(done.pid, signal.SIGTERM)
    stdout, stderr = done.communicate("\n")
    assert (done.returncode, stdout) == (128 + signal.SIGTERM, "closed\n")
    assert stderr.count("terminated") == 1
