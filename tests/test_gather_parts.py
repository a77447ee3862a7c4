"""Gathering says what an artifact is made of, by content and in order."""

from pathlib import Path

from prep.storage.atomic import read_json, sha256
from running import run


def gathered(folder: Path, *parts: Path) -> dict[str, str]:
    out = folder / "gathered.json"
    done = run("gather_parts.py", "--parts", *parts, "--summary", out)
    assert done.returncode == 0, done.stderr
    return {path: file["sha256"] for path, file in read_json(out)["files"].items()}


def test_the_parts_stand_in_order_with_what_they_hold(tmp_path):
    late, early = tmp_path / "b.json", tmp_path / "a.json"
    late.write_text('{"rows": 2}')
    early.write_text('{"rows": 1}')
    found = gathered(tmp_path, late, early)
    assert list(found.items()) == [(str(late), sha256(late)), (str(early), sha256(early))]
    early.write_text('{"rows": 3}')
    assert gathered(tmp_path, late, early) != found


def test_an_artifact_of_no_parts_is_one_too(tmp_path):
    assert gathered(tmp_path) == {}


def test_a_part_that_is_gone_is_one_line(tmp_path):
    done = run("gather_parts.py", "--parts", tmp_path / "gone.json", "--summary", tmp_path / "gathered.json")
    assert done.returncode == 1
    assert "gone.json" in done.last
    assert not (tmp_path / "gathered.json").exists()
