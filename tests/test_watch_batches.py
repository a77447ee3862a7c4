"""What is shown of the batches that run, from what their jobs wrote."""

import os
import pty
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from conftest import ROOT

import plan
from asked import CONFIG, Endpoints, request
from fault_server import FaultServer, Reply
from prep.inference.answer_policy import Answers
from prep.inference.client import Client
from prep.inference.journal import Journal
from prep.inference.progress import JobStats
from prep.storage.atomic import read_json, write_json
from prep.terminal.batches import StatsReader, count_jobs, forecast_rules, format_hours, format_jobs
from running import run


@pytest.fixture(scope="module")
def stats(tmp_path_factory):
    """A folder with what a real batch of 40 wrote: 30 were answered, 8 were on their way and 2 to come."""
    tmp_path = tmp_path_factory.mktemp("batch")
    held = threading.Event()

    def plan(ask):
        return Reply(kind="hang") if len(server.arrivals) > 30 else Reply()

    def ask() -> None:
        with Journal(tmp_path / "journal") as journal:
            answers = Answers(journal, "model", 8192)
            config = replace(CONFIG, request_timeout=2)
            client = Client(config, Endpoints(server), answers, tmp_path / "stats/answer_text/00007.json")
            asked.extend(client.ask(lambda with_pictures: (request(n) for n in range(40)), 1.0))
        held.set()

    asked = []
    with FaultServer(plan) as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("prep.inference.progress.WRITE_INTERVAL_S", 0.02)
        running = threading.Thread(target=ask, daemon=True)
        running.start()
        path = tmp_path / "stats/answer_text/00007.json"
        while not path.exists() or read_json(path)["in_flight"] < 8 or read_json(path)["answered"] < 30:
            time.sleep(0.01)
        seen = read_json(path)
        server.plan = lambda ask: Reply()
        # Those that hang end by their time limit, and are asked again.
        assert held.wait(60)
        running.join()
        assert len(asked) == 40
        yield tmp_path / "stats", seen


def test_a_running_batch_has_a_line(stats, tmp_path):
    folder, seen = stats
    assert StatsReader(folder).read()["answer_text/00007"]["state"] == "done"
    write_json(tmp_path / "answer_text/00007.json", seen)
    shown = format_jobs(
        StatsReader(tmp_path).read(), datetime.fromisoformat(seen["updated"]) + timedelta(seconds=3)
    )
    assert "answer_text/00007" in shown
    assert "30 of 40" in shown
    assert "teacher" in shown
    assert "silent" not in shown
    assert shown.endswith("0 done, 0 failed, 1 running")


def test_one_that_says_nothing_more_is_called_silent(stats):
    _, seen = stats
    shown = format_jobs({"a/b": seen}, datetime.fromisoformat(seen["updated"]) + timedelta(hours=2))
    assert "silent for 2:00:00" in shown


ODD = ["", "{", "[]", "null", "5", "{}", '"x"', "[" * 100_000, "Infinity"]
"""What no job writes."""


@pytest.mark.parametrize(
    "changes",
    [
        *ODD,
        *({key: value} for key in sorted(JobStats.__annotations__) for value in (["x"], True, {"x": "y"})),
        {"updated": "2026-01-01T00:00:00"},
        {"eta_seconds": float("inf")},
        {"eta_seconds": 1e300},
        {"seconds": float("nan")},
        {"unfinished": {"thinking": {"nan": 1}}},
        {"unfinished": {"thinking": {"20.0": 10**9}}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_what_no_job_wrote_is_left_out(stats, tmp_path, changes):
    _, seen = stats
    path = tmp_path / "answer_text/00007.json"
    write_json(tmp_path / "answer_text/00008.json", seen)
    if isinstance(changes, str):
        path.parent.mkdir(exist_ok=True)
        path.write_text(changes)
    else:
        write_json(path, seen | changes)
    assert list(StatsReader(tmp_path).read()) == ["answer_text/00008"]
    assert [
        said["answered"] for said in plan.read_running(tmp_path, datetime.fromisoformat(seen["updated"]))
    ] == [30]


def test_the_program_shows_the_table_once_where_nobody_watches(stats):
    folder, _ = stats
    (folder / "answer_text/torn.json").write_text("{")
    done = run("watch_batches.py", "--stats", folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "No batch is being asked.\n\n1 done, 0 failed, 0 running\n"


def test_no_folder_is_one_line(tmp_path):
    done = run("watch_batches.py", "--stats", tmp_path / "none")
    assert (done.returncode, done.last[:7]) == (1, "error: ")


def test_on_a_terminal_it_goes_on_until_ctrl_c(tmp_path):
    ours, theirs = pty.openpty()
    command = [sys.executable, ROOT / "scripts/watch_batches.py", "--stats", tmp_path]
    watching = subprocess.Popen(command, stdin=theirs, stdout=theirs, start_new_session=True)
    os.close(theirs)
    said = b""
    while said.count(b"0 running") < 2:
        said += os.read(ours, 1000)
    watching.send_signal(2)
    assert watching.wait(10) == 0
    os.close(ours)


def test_when_it_was_written_is_read_in_utc(stats):
    _, seen = stats
    assert abs(datetime.now(UTC) - datetime.fromisoformat(seen["updated"])) < timedelta(minutes=2)


def test_hours_to_come_count_batches_that_have_not_begun(tmp_path):
    for number in range(5):
        (tmp_path / f"batch_questions/{number:05}.parquet").parent.mkdir(exist_ok=True)
        (tmp_path / f"batch_questions/{number:05}.parquet").touch()
    said = {
        "answer_text/00000": {"state": "done", "seconds": 3600, "eta_seconds": None},
        "answer_text/00001": {"state": "running", "seconds": 1800, "eta_seconds": 1800},
        "judge_text/00000": {"state": "running", "seconds": 900, "eta_seconds": 900},
    }
    assert format_hours(forecast_rules(said, count_jobs(tmp_path, said))).splitlines() == [
        "answer_text: 1 of 5 done, 3.5 h to come",
        "judge_text: 0 of 5 done, 2.2 h to come",
    ]
    assert forecast_rules({"answer_text/00000": said["answer_text/00000"]}, {}) == {}
