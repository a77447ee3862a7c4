"""Orphaned servers end; what only looks like one, or belongs to others, is left alone."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from prep.runtime.process_group import identify_machine, identify_process, is_group_alive
from prep.serving.orphans import end_orphans

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows when a process was started")

GONE = "1:0"  # the first process of a machine does not start with it to the tick
# It leaves a child in its group, says so, and waits.
PARENT = "import os, time; os.fork() and print('ready', flush=True); time.sleep(600)"


@pytest.fixture
def server():
    """A process with a child, in a group of its own, that writes to a pipe."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        if is_group_alive(process.pid):
            os.killpg(process.pid, signal.SIGKILL)


def write_pid_file(folder: Path, process: subprocess.Popen, **changes) -> Path:
    """The PID file of a server whose program is gone."""
    found = {"machine": identify_machine(), "owner": GONE, "server": identify_process(process.pid)}
    found |= {"output": os.fstat(process.stdout.fileno()).st_ino} | changes
    file = folder / "server.json"
    file.write_text(json.dumps(found))
    return file


def test_a_server_whose_program_is_gone_ends(tmp_path, server, caplog):
    file = write_pid_file(tmp_path, server)
    end_orphans("toy", tmp_path, 1)
    assert not is_group_alive(server.pid)
    assert not file.exists()
    assert caplog.messages == [
        f"toy: ending a server that an earlier program left (process group {server.pid})"
    ]


def test_a_program_that_ended_and_was_not_waited_for_is_gone(tmp_path, server):
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as owner:
        own = identify_process(owner.pid)
        owner.stdin.close()
        os.waitid(os.P_PID, owner.pid, os.WEXITED | os.WNOWAIT)
        write_pid_file(tmp_path, server, owner=own)
        end_orphans("toy", tmp_path, 1)
    assert not is_group_alive(server.pid)


def test_the_children_of_a_server_that_was_killed_end(tmp_path, server):
    write_pid_file(tmp_path, server)
    server.kill()
    server.wait()
    assert is_group_alive(server.pid)
    end_orphans("toy", tmp_path, 1)
    assert not is_group_alive(server.pid)


def test_a_process_that_has_the_id_of_one_that_ended_is_left_alone(tmp_path, server, caplog):
    pid, _, start = identify_process(server.pid).partition(":")
    file = write_pid_file(tmp_path, server, server=f"{pid}:{int(start) - 1}", output=0)
    end_orphans("toy", tmp_path, 1)
    assert identify_process(server.pid) == f"{pid}:{start}"
    assert not file.exists()
    assert caplog.messages == []


def test_a_group_that_has_the_id_of_one_that_ended_is_left_alone(tmp_path, server):
    file = write_pid_file(tmp_path, server, output=0)
    server.kill()
    server.wait()
    end_orphans("toy", tmp_path, 1)
    assert is_group_alive(server.pid)
    assert not file.exists()


def test_the_server_of_a_program_that_lives_is_left_alone(tmp_path, server):
    file = write_pid_file(tmp_path, server, owner=identify_process(os.getpid()))
    end_orphans("toy", tmp_path, 1)
    assert identify_process(server.pid)
    assert file.exists()


@pytest.mark.parametrize(
    ("part", "other", "stays"),
    [(0, "another-host", True), (1, "another-boot", False), (2, "pid:[1]", True)],
)
def test_ids_of_another_machine_name_nothing_here(tmp_path, server, part, other, stays):
    ids_of = identify_machine()
    ids_of[part] = other
    file = write_pid_file(tmp_path, server, machine=ids_of)
    end_orphans("toy", tmp_path, 1)
    assert identify_process(server.pid)
    assert file.exists() is stays


def test_another_users_server_is_left_alone(tmp_path, server, monkeypatch):
    file = write_pid_file(tmp_path, server)
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    end_orphans("toy", tmp_path, 1)
    assert identify_process(server.pid)
    assert file.exists()


def test_a_file_that_a_crash_of_the_machine_emptied_is_removed(tmp_path):
    (tmp_path / "server.json").touch()
    end_orphans("toy", tmp_path, 1)
    assert list(tmp_path.iterdir()) == []


def test_where_no_server_was_started_there_is_nothing_to_do(tmp_path):
    end_orphans("toy", tmp_path / "running", 1)
    assert list(tmp_path.iterdir()) == []
