"""Files appear when they are whole, and only then."""

import os
import subprocess
import sys
import time

import pytest

from prep.storage import parts
from prep.storage.atomic import atomic_write, read_json, sha256, write_json, write_text
from running import python_environment

DIES_WRITING = """
import os, sys
from prep.storage.atomic import atomic_write
with atomic_write(sys.argv[1]):
    os._exit(1)
"""


def test_a_whole_file_replaces_the_old_one(tmp_path):
    path = tmp_path / "folder/x.txt"
    write_text(path, "old")
    write_text(path, "neu\n")
    assert path.read_text() == "neu\n"
    assert os.listdir(path.parent) == ["x.txt"]


def test_a_block_that_fails_changes_nothing(tmp_path):
    path = tmp_path / "x.txt"
    write_text(path, "old")
    with pytest.raises(UnicodeEncodeError), atomic_write(path) as part:
        part.write_text("half \ud800", encoding="utf-8")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.txt"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the system has no device that is always full")
def test_a_full_disk_names_the_file(tmp_path):
    """An error of writing names no file by itself."""
    with (
        pytest.raises(OSError, match=r"No space left on device: '.*/x.txt'"),
        atomic_write(tmp_path / "x.txt"),
        open("/dev/full", "wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert not os.listdir(tmp_path)


def test_several_writers_of_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "x.txt"
    with atomic_write(path) as one, atomic_write(path) as two:
        one.write_text("content")
        two.write_text("content")
    assert path.read_text() == "content"
    assert os.listdir(tmp_path) == ["x.txt"]


def test_what_a_killed_program_left_is_removed(tmp_path):
    (tmp_path / ".x[1].txt.abc.part").write_text("half")
    (tmp_path / ".other.txt.abc.part").write_text("half")
    write_text(tmp_path / "x[1].txt", "new")
    assert sorted(os.listdir(tmp_path)) == [".other.txt.abc.part", "x[1].txt"]


def test_a_part_goes_with_its_process_and_that_of_another_machine_after_the_longest_job(
    tmp_path, monkeypatch
):
    path = tmp_path / "x.txt"
    run = [sys.executable, "-c", DIES_WRITING, path]
    subprocess.run(run, env=python_environment(), check=False)
    (part,) = tmp_path.glob("*.part")
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(parts, "identify_machine", lambda: ["another"])
        write_text(path, "new")
        assert part.exists()
        os.utime(part, (0, time.time() - parts.LONGEST_WRITE_S - 1))
        write_text(path, "new")
        assert not part.exists()
    subprocess.run(run, env=python_environment(), check=False)
    write_text(path, "new")
    assert os.listdir(tmp_path) == ["x.txt"]


def test_a_file_may_be_read_by_whom_the_umask_lets(tmp_path):
    write = "import sys; from prep.storage.atomic import write_text; write_text(sys.argv[1], '')"
    command = [sys.executable, "-c", write, tmp_path / "x"]
    subprocess.run(command, env=python_environment(), umask=0o027, check=True)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


def test_json_is_for_people_and_keeps_its_order(tmp_path):
    write_json(tmp_path / "x.json", {"b": "字", "a": None})
    assert (tmp_path / "x.json").read_text() == '{\n  "b": "字",\n  "a": null\n}\n'
    assert list(read_json(tmp_path / "x.json")) == ["b", "a"]


def test_sha256_is_the_files(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    assert sha256(tmp_path / "x").startswith("ba7816bf8f01cfea")
