"""A batch has one owner at a time: others wait for its end, or until it is silent."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from prep.inference import lease
from prep.inference.lease import hold_lease
from prep.runtime import process_group
from prep.runtime.process_group import identify_machine, identify_process
from running import python_environment

# Appends to a file "in" and "out", with a moment between, while it holds the lease.
WORKER = """
import sys, time
from pathlib import Path
from prep.inference import lease
lease.POLL_INTERVAL_S = 0.01
folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
for _ in range(rounds):
    with lease.hold_lease(folder, "batch"), (folder / "told").open("a") as told:
        told.write("in\\n")
        told.flush()
        time.sleep(0.002)
        told.write("out\\n")
"""
HOLDER = """
import sys, time
from pathlib import Path
from prep.inference.lease import hold_lease
with hold_lease(Path(sys.argv[1]), "batch"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(lease, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(lease, "RENEW_INTERVAL_S", 0.02)
    monkeypatch.setattr(lease, "EXPIRY_S", 0.3)


def write_lease(folder: Path, term: int, machine: list[str], process: str) -> Path:
    file = folder / f"batch.{term}.lease"
    file.write_text(json.dumps({"machine": machine, "process": process}))
    return file


def start(code: str, *args) -> subprocess.Popen:
    command = [sys.executable, "-c", code, *map(str, args)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=python_environment())


def hold_once(folder: Path) -> list[str]:
    """The files while the lease is held."""
    with hold_lease(folder, "batch"):
        return sorted(file.name for file in folder.glob("*.lease"))


def test_a_lease_is_taken_and_released_and_leaves_one_small_file(tmp_path):
    assert hold_once(tmp_path / "new") == ["batch.1.lease"]
    assert hold_once(tmp_path / "new") == ["batch.2.lease"]
    (left,) = (tmp_path / "new").iterdir()
    assert left.read_text() == lease.RELEASED


def test_leases_of_two_teachers_jobs_of_one_batch_are_held_at_once(tmp_path):
    for first, second in (("judge-00000", "judge-00000.second"), ("judge-00001.second", "judge-00001")):
        with hold_lease(tmp_path, first), hold_lease(tmp_path, second):
            held = {file.name for file in tmp_path.iterdir() if file.read_text() != lease.RELEASED}
            assert held == {f"{first}.1.lease", f"{second}.1.lease"}


def test_on_a_full_disk_no_lease_stays_that_the_next_job_would_wait_for(tmp_path, caplog):
    """A file at its limit stands for the disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
        with pytest.raises(OSError, match="File too large"), hold_lease(tmp_path, "batch"):
            pass
        assert not [*tmp_path.iterdir()]
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        with hold_lease(tmp_path, "batch"):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "the lease was not released: [Errno 27] File too large" in caplog.text
    assert json.loads((tmp_path / "batch.1.lease").read_text())["process"] == identify_process(os.getpid())


def test_processes_hold_it_one_after_the_other(tmp_path):
    workers = [start(WORKER, tmp_path, 20) for _ in range(4)]
    assert [worker.wait() for worker in workers] == [0] * 4
    assert (tmp_path / "told").read_text().split() == ["in", "out"] * 80


def test_a_job_waits_while_the_owner_of_this_machine_lives_and_says_so(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(lease, "EXPIRY_S", 1e9)
    caplog.set_level("INFO")
    with start(HOLDER, tmp_path) as holder:
        assert holder.stdout.readline() == "held\n"
        waiter = threading.Thread(target=hold_once, args=(tmp_path,), daemon=True)
        waiter.start()
        while not caplog.messages:
            assert waiter.is_alive()
            time.sleep(0.001)
        holder.stdin.close()
        waiter.join(60)
    assert not waiter.is_alive()
    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("batch: another job works on this batch (")


def test_without_proc_a_lease_is_taken_and_released_and_a_silent_one_expires(tmp_path, monkeypatch):
    """macOS has no /proc."""
    monkeypatch.setattr(process_group, "PROC", tmp_path / "none")
    assert hold_once(tmp_path) == ["batch.1.lease"]
    assert hold_once(tmp_path) == ["batch.2.lease"]
    (tmp_path / "batch.3.lease").write_text(json.dumps({"machine": identify_machine(), "process": None}))
    assert hold_once(tmp_path) == ["batch.4.lease"]


def test_a_killed_owner_of_this_machine_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "EXPIRY_S", 1e9)
    with start(HOLDER, tmp_path) as holder:
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    assert hold_once(tmp_path) == ["batch.2.lease"]


@pytest.mark.parametrize("content", ["", '{"machine": ["other", "", ""], "process": "1:2"}'])
def test_a_silent_owner_of_another_machine_loses_its_lease(tmp_path, content):
    (tmp_path / "batch.7.lease").write_text(content)
    assert hold_once(tmp_path) == ["batch.8.lease"]


def test_an_owner_of_another_machine_that_renews_keeps_its_lease(tmp_path, monkeypatch):
    file = write_lease(tmp_path, 1, ["other", "", ""], "1:2")
    waits = []

    def renew(seconds: float) -> None:
        """What the other node does while this one waits."""
        waits.append(seconds)
        if len(waits) < 1000:
            os.utime(file, ns=(len(waits), len(waits)))
        else:
            file.write_text(lease.RELEASED)

    monkeypatch.setattr(lease.time, "sleep", renew)
    monkeypatch.setattr(lease.time, "monotonic", lambda: 0.2 * len(waits))
    assert hold_once(tmp_path) == ["batch.2.lease"]
    assert len(waits) == 1000


def test_an_owner_that_lost_its_lease_ends(tmp_path, caplog):
    ended = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        with hold_lease(tmp_path, "batch"):
            write_lease(tmp_path, 2, ["other", "", ""], "1:2")
            assert ended.wait(60)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "another job took this batch" in caplog.text
    assert json.loads((tmp_path / "batch.2.lease").read_text())["process"] == "1:2"


def test_a_slow_waiter_does_not_take_a_term_that_is_over(tmp_path, monkeypatch):
    """It saw term 1 released; meanwhile term 2 came and went, and term 3 is held by this process."""
    write_lease(tmp_path, 1, [], "").write_text(lease.RELEASED)
    read_terms, looks = lease._read_terms, []

    def read(folder: Path, name: str) -> list:
        looks.append(terms := read_terms(folder, name))
        if len(looks) == 1:
            (tmp_path / "batch.1.lease").unlink()
            write_lease(tmp_path, 3, identify_machine(), identify_process(os.getpid()))
        elif len(looks) == 3:
            assert [term.number for term in terms] == [3]
            (tmp_path / "batch.3.lease").write_text(lease.RELEASED)
        return terms

    monkeypatch.setattr(lease, "_read_terms", read)
    assert hold_once(tmp_path) == ["batch.4.lease"]
