"""The trial of a run: one job at a time, over its batches; once it has failed, no other job asks."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from prep.reasoning import trial
from prep.reasoning.trial import Trial
from prep.runtime.program import UserError
from prep.serving.workflow_run import WorkflowRun
from running import python_environment

HOLD = """
import sys
from pathlib import Path
from prep.inference.slots import Slots
print(Slots(Path(sys.argv[1]), 1).hold(1), flush=True)
input()
"""


@pytest.fixture
def passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mark of a trial at the server `toy`, in a run."""
    monkeypatch.setattr(trial, "find_run", lambda: WorkflowRun("1:1", tmp_path))
    for server in ("toy", "other"):
        (tmp_path / server).mkdir()
    return tmp_path / "toy/form.passed"


def begin(passed: Path, batch: str = "00000") -> Trial:
    begun = Trial(passed, batch)
    begun.wait()
    return begun


def test_one_job_of_a_run_is_on_trial_at_a_time(tmp_path, passed, monkeypatch):
    waited = []
    command = [sys.executable, "-c", HOLD, str(tmp_path / "trial-toy-form")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=python_environment(), **pipes) as process:
        assert process.stdout.readline() == "True\n"
        monkeypatch.setattr(trial.time, "sleep", lambda _: (waited.append(1), passed.touch()))
        assert begin(tmp_path / "other/form.passed").left == 20
        assert waited == []
        assert begin(passed).left == 0
        assert waited == [1]
        passed.unlink()
        monkeypatch.setattr(trial.time, "sleep", lambda _: (waited.append(1), process.kill(), process.wait()))
        assert begin(passed).left == 20  # who was on trial ended without passing it
        assert waited == [1, 1]
    monkeypatch.setattr(trial, "find_run", lambda: None)
    assert begin(passed).left == 20


def test_batches_share_a_trial_and_one_that_is_asked_anew_counts_once(passed):
    for batch in ("00000", "00001", "00001"):
        begin(passed, batch).keep(8, Counter({"empty": 3}))
    last = begin(passed, "00002")
    assert (last.left, last.read_before, last.malformed) == (4, 16, Counter({"empty": 6}))
    last.keep(4, Counter())  # it was passed with the fourth
    assert begin(passed, "00003").left == 4


def test_once_a_trial_has_failed_the_other_jobs_of_the_run_fail_before_they_ask(
    passed, tmp_path, monkeypatch
):
    begin(passed).fail(UserError("most answers are malformed"))
    with pytest.raises(UserError, match="most answers are malformed"):
        begin(passed, "00001")
    assert begin(tmp_path / "other/form.passed").left == 20
    (tmp_path / "again").mkdir()
    monkeypatch.setattr(trial, "find_run", lambda: WorkflowRun("2:2", tmp_path / "again"))
    assert begin(passed, "00001").left == 20


def test_what_fails_after_the_trial_stops_no_other_job(passed):
    first = begin(passed)
    first.end()
    first.fail(UserError("most answers are malformed"))
    assert begin(passed, "00001").left == 0
