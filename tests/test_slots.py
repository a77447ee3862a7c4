"""A semaphore over processes: never more slots than there are, and those of a killed process are free."""

import subprocess
import sys

import pytest

from prep.inference import slots
from prep.inference.slots import Slots, open_slots, take_place
from prep.serving.workflow_run import WorkflowRun
from running import python_environment
from server_config import server_config

HOLDER = """
import sys
from pathlib import Path
from prep.inference.slots import Slots
slots = Slots(Path(sys.argv[1]), 8)
for line in sys.stdin:
    print(slots.hold(int(line)), flush=True)
"""

ASK_PLACE = """
import sys
from pathlib import Path
from prep.inference import slots
from prep.serving.workflow_run import WorkflowRun
slots.find_run = lambda: WorkflowRun("1:1", Path(sys.argv[1]))
print(slots.take_place(type("Config", (), {"name": "toy"})), flush=True)
input()
"""


@pytest.fixture
def other(tmp_path):
    """Another process, which holds so many slots as it is told; gives whether it got them, and itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "slots")],
        env=python_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def hold(count: int) -> bool:
        print(count, file=process.stdin, flush=True)
        return process.stdout.readline() == "True\n"

    with process:
        yield hold, process
        process.kill()


def test_the_sum_over_processes_is_never_more_than_there_are(tmp_path, other):
    slots, (hold, _) = Slots(tmp_path / "slots", 8), other
    assert slots.hold(5)
    assert hold(3)
    assert not hold(4)
    assert not slots.hold(6)
    assert slots.hold(2)
    assert hold(6)
    assert not slots.hold(3)
    slots.close()
    assert hold(8)


def test_slots_of_a_process_that_is_killed_are_free(tmp_path, other):
    slots, (hold, process) = Slots(tmp_path / "slots", 8), other
    assert hold(8)
    assert not slots.hold(1)
    process.kill()
    process.wait()
    assert slots.hold(8)
    slots.close()


def test_a_job_without_a_run_shares_nothing(monkeypatch):
    monkeypatch.delenv("VLM_DATA_PREP_RUN", raising=False)
    assert open_slots(server_config("toy", "external", "model", concurrency=4)) is None
    assert open_slots(server_config("toy", "external", "model", concurrency="auto")) is None


def test_a_job_takes_the_first_free_place_at_a_server(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "find_run", lambda: WorkflowRun("1:1", tmp_path))
    toy, other = (server_config(name, "external", "model") for name in ("toy", "other"))
    command = [sys.executable, "-c", ASK_PLACE, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=python_environment(), **pipes) as process:
        assert process.stdout.readline() == "0\n"
        assert take_place(toy) == 1
        assert take_place(other) == 0
        process.kill()
    assert take_place(toy) == 0
    monkeypatch.setattr(slots, "find_run", lambda: None)
    assert take_place(toy) == 0
