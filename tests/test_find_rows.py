"""Search over all rows of a build: by artifact, id, text, reason, score and mode."""

import subprocess
from pathlib import Path

import pytest
from conftest import ROOT

from prep.storage.schema import REASONED
from reports import EVIL, add, encoded, reject, row
from running import run


@pytest.fixture
def data(tmp_path: Path) -> Path:
    picture = encoded((40, 30), "PNG")
    name = "llavaonevision_converted/geo3k"
    add(tmp_path, name, [row(name, n, picture) for n in range(5)], [reject(5, "odd_turns", EVIL)])
    rows = [row("text2image", n, picture, score=3 + n % 2, answer=f"Éclair {n}") for n in range(6)]
    add(
        tmp_path,
        "text2image",
        rows,
        [reject(9, "judge_fail", "score 2: no éclair", id="a/b:9#no_thinking.0")],
        REASONED,
    )
    return tmp_path / "data"


def found(data: Path, *flags: str, rows: int = 20) -> tuple[list[str], str]:
    """The first line of each row that is printed, and the last line."""
    done = run("find_rows.py", "--data", data, "--rows", rows, *flags)
    assert done.returncode == 0, done.stderr
    *rows, last = done.stdout.strip().split("\n\n")
    return [each.split("\n")[0] for each in rows], last


def test_rows_are_found_by_what_they_have(data: Path) -> None:
    kept = [f"text2image/a:{n}: kept, mode thinking, score 3" for n in (0, 2, 4)]
    lines, last = found(data, "--score", "3")
    assert [line[: len(kept[0])] for line in lines] == kept
    assert last == "3 rows, and no more"
    assert len(found(data, "--text", "ÉCLAIR")[0]) == 7
    assert found(data, "--name", "geo3k", "--reason", "odd_turns")[0] == [
        "x:5: rejected as odd_turns, row 5 of a"
    ]
    assert len(found(data, "--name", "geo3k")[0]) == 6
    assert found(data, "--id", "text2image/a:1")[1] == "1 row, and no more"
    assert found(data, "--mode", "no_thinking")[0] == [
        "a/b:9#no_thinking.0: rejected as judge_fail, row 9 of a"
    ]
    assert found(data, "--text", "eclair") == ([], "0 rows, and no more")
    assert found(data, rows=2)[1] == "2 rows; there may be more: N=… shows them"


def test_a_row_is_shown_with_its_turns_and_without_terminal_sequences(data: Path) -> None:
    done = run("find_rows.py", "--data", data, "--rows", 1, "--id", "text2image/a:1")
    assert "  picture: PNG, 40 by 30, RGB" in done.stdout
    assert "  assistant:\n    Éclair 1" in done.stdout
    evil = run("find_rows.py", "--data", data, "--rows", 1, "--reason", "odd_turns").stdout
    assert "alert(1)" in evil
    assert not set("\x1b\x07\x01\u202e") & set(evil)


def test_what_is_not_there_is_told_in_a_line(data: Path) -> None:
    done = run("find_rows.py", "--data", data, "--rows", 1, "--name", "geo")
    assert done.returncode == 1
    assert "no artifact geo; there are: llavaonevision_converted/geo3k, text2image" in done.last
    done = run("find_rows.py", "--data", data / "rejects", "--rows", 1)
    assert "rejects is no build: it has no manifest/*.json" in done.last


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("manifest/text2image.json", b'{"name": "text2im'),
        ("manifest/text2image.json", b"[]"),
        ("manifest/text2image.json", b'{"name": "text2image"}'),
        ("manifest/text2image.json", b'{"name": "text2image", "rows": 1, "file": "/etc/passwd"}'),
        ("manifest/text2image.json", b'{"name": "text2image", "rows": 1, "file": "data/../../x"}'),
        ("manifest/text2image.json", b'{"name": "text2image", "rows": 1, "file": 5}'),
        ("manifest/text2image.json", b'{"name": "text2image", "rows": null, "file": "data/x"}'),
        ("text2image.parquet", None),
        ("rejects/text2image.parquet", None),
    ],
)
def test_a_broken_file_is_named_in_a_line(data: Path, file: str, content: bytes | None) -> None:
    path = data / file
    path.write_bytes(path.read_bytes()[:100] if content is None else content)
    done = run("find_rows.py", "--data", data, "--rows", 100)
    assert done.returncode == 1
    assert done.last.startswith(f"error: {path}")
    assert "is broken: build it again, or copy it anew" in done.last
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rows", [0, -1])
def test_at_least_one_row_is_to_be_shown(data: Path, rows: int) -> None:
    done = run("find_rows.py", "--data", data, "--rows", rows)
    assert (done.returncode, done.last) == (1, f"error: N={rows}: at least one row is to be shown")


def test_more_rows_than_any_number_are_all(data: Path) -> None:
    assert run("find_rows.py", "--data", data, "--rows", 10**30).returncode == 0


@pytest.mark.parametrize("kept", [0, 1])
def test_a_reader_that_has_seen_enough_is_no_error(data: Path, kept: int) -> None:
    command = f"set -o pipefail; make --silent rows DATA={data} | head -{kept}"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", kept)
