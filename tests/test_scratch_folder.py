"""Temporary folders go with their process, or with the next one, and nobody else's are touched."""

import fcntl
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from prep.rendering.scratch_folder import ScratchFolder, abandoned_removed, remove_abandoned
from running import python_environment

KILLED = """
import os
from prep.rendering.scratch_folder import ScratchFolder
folder = ScratchFolder("test")
(folder.path / "file").write_text("left")
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """The temporary folder of this process and those that it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def left_by_a_killed_process() -> None:
    subprocess.run([sys.executable, "-c", KILLED], env=python_environment(), check=False)


def test_a_folder_is_its_owners_alone_and_goes_with_it(temporary):
    folder = ScratchFolder("test")
    assert folder.path.parent == temporary
    assert folder.path.stat().st_mode & 0o777 == 0o700
    remove_abandoned()
    assert folder.path.is_dir()
    del folder
    assert list(temporary.iterdir()) == []


def test_the_next_one_removes_what_killed_processes_left(temporary):
    for _ in range(3):
        left_by_a_killed_process()
        assert len(list(temporary.iterdir())) == 1
    folder = ScratchFolder("test")
    assert list(temporary.iterdir()) == [folder.path]


def test_the_end_of_a_block_removes_what_was_left_in_it(temporary):
    def work() -> None:
        with abandoned_removed():
            left_by_a_killed_process()
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert list(temporary.iterdir()) == []


def test_what_is_not_ours_stays(temporary, tmp_path, monkeypatch):
    left_by_a_killed_process()
    (left,) = temporary.iterdir()
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").write_text("precious")
    link = left.with_name(left.name + "-link")
    link.symlink_to(target)
    file = left.with_name(left.name + "-file")
    file.touch()
    others = temporary / left.name.replace(os.uname().nodename, "another-machine")
    others.mkdir()
    user = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: user + 1)
    remove_abandoned()
    assert left.is_dir()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    remove_abandoned()
    assert set(temporary.iterdir()) == {link, file, others}
    assert [path.name for path in target.iterdir()] == ["file"]


def test_one_that_is_removed_before_it_is_locked_is_made_again(temporary, monkeypatch):
    thieves, lock = [remove_abandoned], fcntl.flock

    def lock_late(*arguments) -> None:
        if thieves:
            thieves.pop()()
            assert list(temporary.iterdir()) == []
        lock(*arguments)

    monkeypatch.setattr(fcntl, "flock", lock_late)
    folder = ScratchFolder("test")
    assert list(temporary.iterdir()) == [folder.path]
    assert (folder.path / "lock").is_file()
