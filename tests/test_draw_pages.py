"""What `make pages` says of a question, and the pages that it writes."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from batch import question
from prep.rendering.typeset import Typesetter
from prep.storage import parquet
from prep.storage.schema import QUESTIONS
from render_config import RENDER

KINDS = {
    "formula": "What is $\\sqrt{1-x^2}$?",
    "mixed": "Is $\\foo{x}$ more than $y$?",
    "raw": "$\\foo{x}$",
    "unseen": "\ue000",
}


NO_FILE = "--configfile or CONFIG= names one that stands"


def make_pages(folder: Path, **values: object) -> subprocess.CompletedProcess:
    """Call `make pages` with these values; pages go to `folder`."""
    words = [f"{name}={value}" for name, value in {"FOLDER": folder, **values}.items()]
    command = ["make", "--silent", "pages", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def read_pages(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "the texts"
    folder.mkdir()
    for name, text in KINDS.items():
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    (folder / "notes.md").write_text("no text")
    return folder


def test_a_text_is_drawn_under_many_looks(tmp_path: Path, texts: Path) -> None:
    done = make_pages(tmp_path / "a", TEXT=texts / "formula.txt", LOOKS=7)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    assert last == "typeset 7, partly literal 0, all literal 0, rejected 0"
    paths = [line.rpartition("; ")[2] for line in lines]
    assert sorted(paths) == [str(tmp_path / "a" / name) for name in read_pages(tmp_path / "a")]
    assert [Path(path).stem for path in paths] == [f"formula_{look:03}_1" for look in range(1, 8)]
    assert len({line.partition("; ")[2].rpartition("; ")[0] for line in lines}) == 7
    assert all(": typeset; layout " in line for line in lines)
    make_pages(tmp_path / "b", TEXT=texts / "formula.txt", LOOKS=5, JOBS=1)
    again = read_pages(tmp_path / "b")
    assert again.items() <= read_pages(tmp_path / "a").items()
    assert len(set(again.values())) == 5


def test_each_text_of_a_folder_has_a_line(tmp_path: Path, texts: Path) -> None:
    done = make_pages(tmp_path / "pages", TEXT=texts, LOOKS=2)
    assert done.stdout.splitlines() == [
        "formula: typeset 2, partly literal 0, all literal 0, rejected 0",
        "mixed: typeset 0, partly literal 2, all literal 0, rejected 0; drawn as written: $\\foo{x}$ (2)",
        "raw: typeset 0, partly literal 0, all literal 2, rejected 0; drawn as written: $\\foo{x}$ (2)",
        "unseen: typeset 0, partly literal 0, all literal 0, rejected 2; missing_glyph: \ue000 (U+E000) (2)",
        "typeset 2, partly literal 2, all literal 2, rejected 2",
    ]


def test_one_look_is_the_default(tmp_path: Path, texts: Path) -> None:
    done = make_pages(tmp_path / "pages", TEXT=texts / "unseen.txt")
    assert done.returncode == 0
    line, last = done.stdout.splitlines()
    assert line.startswith("unseen, look 1: rejected: missing_glyph: \ue000 (U+E000); layout ")
    assert last == "typeset 0, partly literal 0, all literal 0, rejected 1"


def test_a_question_of_a_run_is_drawn_as_in_the_run(tmp_path: Path) -> None:
    (tmp_path / "batches").mkdir()
    parquet.write_rows(tmp_path / "batches/00000.parquet", [question(0), question(1)], QUESTIONS)
    asked = question(2, "What is $x$?")
    parquet.write_rows(tmp_path / "batches/00001.parquet", [asked], QUESTIONS)
    for id, row in (("set/file:2", "thinking.0"), ("set/file:2#no_thinking.1", "no_thinking.1")):
        done = make_pages(tmp_path / row, ID=id, QUESTIONS=tmp_path / "batches")
        assert done.stdout.endswith("typeset 1, partly literal 0, all literal 0, rejected 0\n")
        (name, page), *others = read_pages(tmp_path / row).items()
        assert not others
        assert Path(name).stem == f"set_file_2_{row}_001_1"
        assert page == Typesetter(RENDER, 42).render(asked["question"], f"set/file:2#{row}").pages[0].bytes


def test_a_config_changes_the_pages(tmp_path: Path, texts: Path) -> None:
    (tmp_path / "my.yaml").write_text(yaml.safe_dump({"render": {"format": "jpeg", "max_font_px": 15}}))
    done = make_pages(tmp_path / "pages", TEXT=texts / "formula.txt", CONFIG=tmp_path / "my.yaml", LOOKS=2)
    assert done.returncode == 0, done.stderr
    assert all(name.endswith(".jpg") for name in read_pages(tmp_path / "pages"))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "error: what is to be drawn? TEXT=file, TEXT=folder or ID=… says it"),
        ({"TEXT": "no.txt"}, "error: TEXT=no.txt: no such file or folder"),
        ({"TEXT": "empty"}, "error: empty: no *.txt in this folder"),
        (
            {"TEXT": "latin.txt"},
            "error: latin.txt: is not UTF-8: invalid continuation byte at byte 1; save it as UTF-8",
        ),
        ({"TEXT": "a.txt", "ID": "set/file:0"}, "error: a text or an ID is drawn, not both"),
        (
            {"ID": "set/file:9", "QUESTIONS": "q.parquet"},
            "error: set/file:9: no question in q.parquet has this id, such as alpaca/train:3",
        ),
        (
            {"ID": "x", "QUESTIONS": "no"},
            "error: no: no parquet of questions; QUESTIONS=… says where a run has them",
        ),
        (
            {"TEXT": "a.txt", "LOOKS": "many"},
            "error: many: is no whole number of 1 or more, which LOOKS and JOBS are",
        ),
        (
            {"TEXT": "a.txt", "JOBS": "0"},
            "error: 0: is no whole number of 1 or more, which LOOKS and JOBS are",
        ),
        (
            {"TEXT": "a.txt", "CONFIG": "typo.yaml"},
            "error: config: top level: Additional properties are not allowed ('imagez' was unexpected);"
            " allowed: images, hub, sources, onevision, on_bad_shard, keep_raw, output, text_reasoning,"
            " image_reasoning, decontaminate, render, servers, plan, max_failed_share, calibration, seed",
        ),
        (
            {"TEXT": "a.txt", "CONFIG": "no.yaml"},
            f"error: config: no file no.yaml; {NO_FILE}",
        ),
    ],
)
def test_what_a_user_can_mend_is_one_line(tmp_path: Path, values: dict[str, str], line: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("What?")
    (tmp_path / "latin.txt").write_bytes(b"a\xe9t")
    (tmp_path / "typo.yaml").write_text("imagez: {}")
    parquet.write_rows(tmp_path / "q.parquet", [question(0)], QUESTIONS)
    places = ("TEXT", "QUESTIONS", "CONFIG")
    given = {name: tmp_path / value if name in places else value for name, value in values.items()}
    done = make_pages(tmp_path / "pages", **given)
    assert done.returncode != 0
    assert done.stdout == ""
    told, *rest = done.stderr.replace(f"{tmp_path}{os.sep}", "").splitlines()
    assert told == line
    assert all(re.match(r"make(\[\d+\])?: \*\*\*", each) for each in rest)
