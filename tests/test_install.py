"""What is installed is whole, and a file that is as it should be is left alone."""

import os
from pathlib import Path

import pytest

from prep.storage.install import install


def test_writes_a_file_and_its_folder(tmp_path: Path) -> None:
    assert install(tmp_path / "data" / "report.html", b"one")
    assert (tmp_path / "data" / "report.html").read_bytes() == b"one"


def test_replaces_other_content_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(b"old")
    assert install(path, b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["manifest.json"]


def test_leaves_the_same_content_alone(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(b"same")
    os.utime(path, (1, 1))
    before = path.stat()
    assert not install(path, b"same")
    assert (path.stat().st_mtime, path.stat().st_ino) == (1, before.st_ino)


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "dataset_info.json"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link = tmp_path / "dataset_info.json"
    link.symlink_to(target)
    assert install(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_a_folder_in_the_way_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    (tmp_path / "report.html" / "mine").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        install(tmp_path / "report.html", b"new")
    assert [path.name for path in tmp_path.rglob("*")] == ["report.html", "mine"]
