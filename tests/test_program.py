"""How programs end: one clear line for what a user can mend, a traceback for a bug, a code for a signal."""

import json
import os
import signal
import subprocess
import sys
from typing import IO

import pytest

from prep.runtime import program
from running import python_environment

PROGRAM = """
import sys, time
from prep.runtime.program import UserError, run
def main():
    {body}
run(main)
"""


def start(body: str, stdout: int | IO = subprocess.PIPE) -> subprocess.Popen:
    code = PROGRAM.format(body=body)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=python_environment() | {"PYTHONUNBUFFERED": ""},
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('raise UserError("x.parquet: no column y;\\n add it")', "error: x.parquet: no column y; add it"),
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


@pytest.mark.parametrize("printed", ["'x'", "'x' * 1_000_000"], ids=["little", "much"])
@pytest.mark.parametrize("then", ["", "; sys.exit(1)"], ids=["", "exit"])
def test_output_that_nobody_reads_ends_a_program_without_a_word(printed, then):
    done = start(f"sys.stdin.read(); print({printed}){then}")
    done.stdout.close()
    done.stdin.close()
    assert (done.stderr.read(), done.wait()) == ("", 128 + signal.SIGPIPE)


def test_a_broken_pipe_that_is_not_the_output_is_told():
    done = start("import os; reader, writer = os.pipe(); os.close(reader); os.write(writer, b'x')")
    _, stderr = done.communicate()
    assert (done.returncode, stderr) == (1, "error: [Errno 32] Broken pipe\n")


def test_output_that_finds_no_room_is_one_line():
    with open("/dev/full", "w") as full:
        done = start("print('x')", stdout=full)
    _, stderr = done.communicate()
    assert (done.returncode, stderr.count("\n")) == (1, 1)
    assert stderr.startswith("error: a file: No space left on device; free some space there")


def test_a_bug_keeps_its_traceback():
    done = start("1 / 0")
    _, stderr = done.communicate()
    assert done.returncode == 1
    assert "Traceback" in stderr


@pytest.mark.parametrize(
    ("number", "told"),
    [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT), (signal.SIGHUP, signal.SIGTERM)],
)
def test_a_signal_unwinds_what_is_open(number, told):
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
    assert (done.returncode, stdout) == (128 + told, "closed\n")
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


def test_settings_are_the_flags_that_their_keys_name():
    flags = program.parser("")
    for name, kind in (
        ("--take", int),
        ("--style", json.loads),
        ("--no-think-share", float),
        ("--name", str),
    ):
        flags.add_argument(name, type=kind, required=True)
    flags.add_argument("--patterns", nargs="+", required=True)
    flags.add_argument("--reference", nargs="?")
    settings = {"take": -1, "style": {"a": [1, "b c"]}, "no_think_share": 0.5, "patterns": ["x", "y"]}
    given = ["--name", "n", "--settings", json.dumps(settings | {"reference": None})]
    args = flags.parse_args(given)
    assert vars(args) == settings | {"name": "n", "reference": None}
    with pytest.raises(SystemExit):
        flags.parse_args([*given[:-1], json.dumps(settings | {"taken": 1})])


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (["--rows", "many"], "error: argument --rows: invalid int value: 'many'"),
        (["--rows", "1", "x\n\x1b[2Jy"], "error: unrecognized arguments: x y"),
        ([], "error: the following arguments are required: --rows"),
    ],
)
def test_a_wrong_flag_is_one_line(given, line, capsys):
    flags = program.parser("")
    flags.add_argument("--rows", type=int, required=True)
    with pytest.raises(SystemExit) as ended:
        flags.parse_args(given)
    assert (ended.value.code, capsys.readouterr().err) == (2, f"{line}\n")
