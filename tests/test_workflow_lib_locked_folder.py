"""Who locked a folder is told with what to do: wait for it, or unlock the folder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from workflow_lib.locked_folder import RUN, explain_lock, note_run
from workflow_lib.run_folder import identify_process


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def change(**keys: object) -> None:
    RUN.write_text(json.dumps(json.loads(RUN.read_text()) | keys))


def test_a_run_that_lives_is_waited_for() -> None:
    note_run()
    pid = identify_process().partition(":")[0]
    assert explain_lock() == (
        f"process {pid} works in this folder: wait until it ends, or end it with `kill -INT {pid}`"
    )


def test_a_run_that_was_killed_is_told_and_how_to_unlock() -> None:
    note_run()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        change(process=identify_process(other.pid))
        assert "works in this folder" in explain_lock()
        other.kill()
    assert f"process {other.pid}, was killed: call `snakemake --unlock` once" in explain_lock()


def test_a_process_that_has_the_id_of_one_that_was_killed_is_none_of_ours() -> None:
    note_run()
    pid, _, start = identify_process().partition(":")
    change(process=f"{pid}:{int(start) - 1}")
    assert "was killed" in explain_lock()


@pytest.mark.parametrize(
    ("part", "words"),
    [(0, "on another locked this folder; if"), (1, "was killed: call"), (2, "locked this folder; if it was")],
    ids=["host", "boot", "namespace"],
)
def test_processes_of_another_machine_cannot_be_looked_up(part: int, words: str) -> None:
    note_run()
    machine = json.loads(RUN.read_text())["machine"]
    machine[part] = "another"
    change(machine=machine)
    assert words in explain_lock()


@pytest.mark.parametrize(
    "text",
    [
        *(None, "", "{", "[]", "null", "5", "Infinity", "[" * 100_000, '{"machine": []}'),
        *(
            json.dumps({"machine": ["a", "b", "c"], "process": process})
            for process in (None, 5, [], "../1:5", "\0:5", "1", "\x1b[2J:1", float("inf"))
        ),
        *(
            json.dumps({"machine": machine, "process": "1:5"})
            for machine in (None, ["a"], [1, 2, 3], ["\x1b[2J", "b", "c"])
        ),
    ],
    ids=lambda text: str(text)[:60],
)
def test_where_nothing_is_known_the_command_is_told(text: str | None) -> None:
    if text is not None:
        RUN.parent.mkdir()
        RUN.write_text(text)
    assert explain_lock().startswith("if no run works in this folder, one was killed there: call")
