"""Faults of the place where a build runs: its folder's name, its disks, its user, its environment, its clock.

Each does no harm, or ends in one clear line, with nothing under its final name that is not whole; the same
command goes on once the fault is gone, and then `data/` is that of an undisturbed build.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import ROOT

from disks import MOUNTS, NOBODY, as_nobody, disk
from fault_server import FaultServer
from small_build import ARTIFACTS, TARGETS, Undisturbed, digest_data, journaled, small_config
from teachers import note_requests, teach
from workflow import Build, Run

pytest_plugins = ("chaos.fixtures",)

CAPTIONS = ARTIFACTS[0]
NAME = "-a 'b' \"c\" {d} {{e}} %s 100% #f $HOME `g` & ; | < > * ? [h] \\ é 字 😀"
UNMOVED = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}
"""A clock that is wrong runs as fast as another."""


def check_end(done: Run, words: str) -> None:
    """A run ended in a line with these words, which tells a user enough."""
    assert done.returncode != 0
    assert re.search(rf"^(?:error|config): .*(?:{words})", done.output, re.MULTILINE), done.output[-4000:]
    assert "Traceback" not in done.output, done.output[-4000:]


def check_whole(folder: Path) -> None:
    """Every file under its final name is whole."""
    for file in folder.rglob("*"):
        if file.is_file() and not file.name.startswith(".") and ".snakemake" not in file.parts:
            if file.suffix == ".parquet":
                pq.read_table(file)
            elif file.suffix == ".json" and "stats" not in file.parts:
                json.loads(file.read_text(encoding="utf-8"))


def stage1(undisturbed: Undisturbed) -> dict[str, str]:
    """What an undisturbed build of stage 1 has below `data/`, without the registration, which names all."""
    return {name: digest for name, digest in undisturbed.data.items() if CAPTIONS in name}


def captions(build: Build) -> dict[str, str]:
    return {name: digest for name, digest in digest_data(build.folder).items() if CAPTIONS in name}


@pytest.fixture
def base_url() -> Iterator[str]:
    with FaultServer(teach) as server:
        yield server.base_url


def test_folders_of_any_name_are_built_in_and_read(
    tmp_path: Path, undisturbed: Undisturbed, base_url: str
) -> None:
    """Also where the temporary folder is missing."""
    mirror = tmp_path / f"{NAME} mirror"
    mirror.symlink_to(undisturbed.hub)
    build = Build(tmp_path / NAME, small_config(mirror, base_url))
    done = build.run(*TARGETS, environment=os.environ | {"TMPDIR": str(tmp_path / "missing")})
    assert done.returncode == 0, done.output[-4000:]
    assert digest_data(build.folder) == undisturbed.data


@pytest.mark.parametrize("name", ["new\nline", "/".join(["x" * 200] * 12)], ids=["line_break", "long"])
def test_a_folder_of_an_odd_name_is_built_in(tmp_path: Path, undisturbed: Undisturbed, name: str) -> None:
    mirror = tmp_path / "mirror" / name
    mirror.parent.mkdir(parents=True)
    mirror.symlink_to(undisturbed.hub)
    build = Build(tmp_path / "build" / name, small_config(mirror, "http://127.0.0.1:9/v1"))
    done = build.run("stage1")
    assert done.returncode == 0, done.output[-4000:]
    assert captions(build) == stage1(undisturbed)


@MOUNTS
def test_a_bare_environment_and_other_disks_do_no_harm_once_they_have_room(
    tmp_path: Path, undisturbed: Undisturbed, base_url: str
) -> None:
    build = Build(tmp_path / "build", small_config(undisturbed.hub, base_url))
    few = ["bash", "-c", 'umask 077; ulimit -n 64; exec "$@"', "bash"]
    bare = {"PATH": os.defpath, "TMPDIR": str(tmp_path / "small")}
    with disk(tmp_path / "disk", "size=200m"), disk(tmp_path / "small", "size=20k"):
        (build.folder / "work").symlink_to(tmp_path / "disk")
        line = f"{tmp_path}/small: No space left on device; free some space there"
        check_end(build.run(*TARGETS, prefix=few, environment=bare), line)
        subprocess.run(["mount", "-o", "remount,size=100m", tmp_path / "small"], check=True)
        done = build.run(*TARGETS, prefix=few, environment=bare)
        assert done.returncode == 0, done.output[-4000:]
        assert digest_data(build.folder) == undisturbed.data
        modes = {file.stat().st_mode & 0o077 for file in (build.folder / "data").rglob("*")}
        assert modes == {0}


@MOUNTS
@pytest.mark.parametrize("kilobytes", [40, 120, 200, 300])
def test_a_full_disk_is_one_line_and_the_build_goes_on_when_there_is_room(
    tmp_path: Path, undisturbed: Undisturbed, kilobytes: int
) -> None:
    build = Build(tmp_path / "build", small_config(undisturbed.hub, "http://127.0.0.1:9/v1"))
    build.configfile = tmp_path / "run.yaml"
    with disk(build.folder, f"size={kilobytes}k"):
        done = build.run("stage1")
        check_end(done, "No space left on device; free some space there")
        check_whole(build.folder)
        subprocess.run(["mount", "-o", "remount,size=100m", build.folder], check=True)
        done = build.run("stage1")
        assert done.returncode == 0, done.output[-4000:]
        assert captions(build) == stage1(undisturbed)


def test_a_limit_on_files_is_one_line_and_the_build_goes_on_without_it(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    build = Build(tmp_path / "build", small_config(undisturbed.hub, "http://127.0.0.1:9/v1"))
    limit = ["bash", "-c", 'ulimit -f 80; exec "$@"', "bash"]
    check_end(build.run("stage1", prefix=limit), "File too large")
    check_whole(build.folder)
    done = build.run("stage1")
    assert done.returncode == 0, done.output[-4000:]
    assert captions(build) == stage1(undisturbed)


@MOUNTS
def test_a_disk_that_runs_full_as_teachers_answer_loses_no_answer(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    asked = tmp_path / "asked"
    with FaultServer(note_requests(teach, asked)) as server, disk(tmp_path / "journal", "size=12k"):
        build = Build(tmp_path / "build", small_config(undisturbed.hub, server.base_url))
        (build.folder / "work").mkdir()
        (build.folder / "work/journal").symlink_to(tmp_path / "journal")
        check_end(build.run(*TARGETS), "No space left on device")
        answered, before = journaled(build.folder), asked.read_text().split()
        assert 0 < len(answered) < len(set(before))
        subprocess.run(["mount", "-o", "remount,size=10m", tmp_path / "journal"], check=True)
        done = build.run(*TARGETS)
        assert done.returncode == 0, done.output[-4000:]
        assert digest_data(build.folder) == undisturbed.data
        assert answered.isdisjoint(asked.read_text().split()[len(before) :])


@MOUNTS
@pytest.mark.parametrize("place", ["data", "work", "."])
def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, undisturbed: Undisturbed, place: str
) -> None:
    build = Build(tmp_path / "build", small_config(undisturbed.hub, "http://127.0.0.1:9/v1"))
    build.configfile = tmp_path / "run.yaml"
    line = "cannot be written; name another" if place == "." else f"{place}: Read-only file system; mend"
    with disk(build.folder / place, "ro"):
        check_end(build.run("stage1"), line)
    done = build.run("stage1")
    assert done.returncode == 0, done.output[-4000:]
    assert captions(build) == stage1(undisturbed)


@MOUNTS
def test_a_user_without_permission_is_told_so_in_one_line(
    short_folder: Path, undisturbed: Undisturbed
) -> None:
    short_folder.chmod(0o755)
    hub, home = short_folder / "hub", short_folder / "home"
    shutil.copytree(undisturbed.hub, hub)
    build = Build(short_folder / "build", small_config(hub, "http://127.0.0.1:9/v1"))
    build.configfile = short_folder / "run.yaml"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    nobody = as_nobody(short_folder / "disks", ROOT, sys.prefix, sys.base_prefix)

    def run_as_nobody() -> Run:
        return build.run("stage1", prefix=nobody, environment=os.environ | {"HOME": str(home)})

    check_end(run_as_nobody(), "cannot be written; name another folder by --directory")
    os.chown(build.folder, NOBODY, NOBODY)
    (build.folder / "data").mkdir()
    check_end(run_as_nobody(), "data: Permission denied; mend that, and run again")
    os.chown(build.folder / "data", NOBODY, NOBODY)
    shard = next(hub.rglob("*558K*/data/*.parquet"))
    shard.chmod(0o000)
    check_end(run_as_nobody(), f"Permission denied.*{shard.name}|{shard.name}.*Permission denied")
    shard.chmod(0o644)
    done = run_as_nobody()
    assert done.returncode == 0, done.output[-4000:]
    assert captions(build) == stage1(undisturbed)


@pytest.fixture(scope="module")
def libfaketime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that tells programs another time; in that of Debian 12, 0.9.10, Python's waits fail."""
    folder = tmp_path_factory.mktemp("libfaketime")
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*install, "libfaketime==3.0.1"], check=True)
    return next(folder.rglob("libfaketime.so.1"))


@pytest.mark.parametrize("years", ["-20y", "+20y"])
def test_a_clock_that_is_years_off_does_no_harm(
    tmp_path: Path, undisturbed: Undisturbed, libfaketime: Path, years: str
) -> None:
    clock = os.environ | UNMOVED | {"LD_PRELOAD": str(libfaketime), "FAKETIME": years}
    build = Build(tmp_path / "build", small_config(undisturbed.hub, "http://127.0.0.1:9/v1"))
    done = build.run("stage1", environment=clock)
    assert done.returncode == 0, done.output[-4000:]
    assert captions(build) == stage1(undisturbed)
    # The clock is set right.
    assert "Nothing to be done" in build.run("stage1").output
