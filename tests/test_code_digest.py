"""The code digest: who uses a module is stale by it, and comments and docstrings count for nothing."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import ROOT
from snakemake.exceptions import WorkflowError

from workflow_lib.code_digest import code_digest

PROGRAMS = {
    "convert.py": '"""Convert."""\nfrom house.storage import parquet\nfrom house.reason import LIMIT\n',
    "publish.py": '"""Publish."""\n\n\ndef main():\n    """Run."""\n    import house.report.card as card\n',
    "alone.py": "import json\nimport numpy.linalg\n",
}
MODULES = {
    "house/__init__.py": '"""A package."""\nVERSION = 1\n',
    "house/reason.py": 'LIMIT = 3\n"""How many."""\n',
    "house/storage/__init__.py": "",
    "house/storage/parquet.py": "from house import VERSION\nROWS = 5\n",
    "house/report/__init__.py": '"""What people read."""\n',
    "house/report/card.py": "NAME = 'card'  # of data\n",
    "templates/publish.md": "# Data\n",
}
USERS = {
    "convert.py": {"convert.py"},
    "publish.py": {"publish.py"},
    "alone.py": {"alone.py"},
    "house/__init__.py": {"convert.py", "publish.py"},
    "house/reason.py": {"convert.py"},
    "house/storage/__init__.py": {"convert.py"},
    "house/storage/parquet.py": {"convert.py"},
    "house/report/__init__.py": {"publish.py"},
    "house/report/card.py": {"publish.py"},
    "templates/publish.md": {"publish.py"},
}


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    for name, text in (PROGRAMS | MODULES).items():
        (tmp_path / "before" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "before" / name).write_text(text)
    return tmp_path / "before"


def digests(scripts: Path) -> dict[str, str]:
    """The digest of each program."""
    return {file.name: code_digest(scripts, file.name) for file in scripts.glob("*.py")}


def stale(scripts: Path, edited: Path) -> set[str]:
    """The programs whose digest differs in an edited copy."""
    before, after = digests(scripts), digests(edited)
    return {name for name in before if before[name] != after[name]}


def copy_of(scripts: Path, name: str) -> Path:
    """A copy to edit: what is read once is not read again."""
    return shutil.copytree(scripts, scripts.with_name(name))


@pytest.mark.parametrize("file", USERS)
def test_an_edited_constant_makes_exactly_its_users_stale(scripts: Path, file: str) -> None:
    edited = copy_of(scripts, "after")
    with (edited / file).open("a") as added:
        added.write("EDITED = True\n")
    assert stale(scripts, edited) == USERS[file]


def test_a_number_in_place_of_a_truth_is_an_edit(scripts: Path) -> None:
    edited = copy_of(scripts, "after")
    (edited / "house/__init__.py").write_text("VERSION = True\n")
    assert stale(scripts, edited) == USERS["house/__init__.py"]


def test_comments_docstrings_and_layout_make_nothing_stale(scripts: Path) -> None:
    edited = copy_of(scripts, "after")
    (edited / "house/reason.py").write_text(
        '# A word.\nLIMIT = (\n    3  # another\n)\n"""Not one more."""\n'
    )
    (edited / "publish.py").write_text("def main():\n    import house.report.card as card\n")
    assert stale(scripts, edited) == set()


def test_no_program_of_ours_is_stale_by_a_comment_or_docstring_anywhere(tmp_path: Path) -> None:
    edited = tmp_path / "scripts"
    shutil.copytree(ROOT / "scripts", edited, ignore=shutil.ignore_patterns("__pycache__"))
    for file in edited.rglob("*.py"):
        text = re.sub(
            r"^( +)(return .*)$", r'\1"""Reworded."""\n\1# reworded\n\1\2', file.read_text(), flags=re.M
        )
        file.write_text(f"{text}\n# Reworded.\n")
    assert stale(ROOT / "scripts", edited) == set()


def test_a_new_digest_is_not_due_to_where_the_code_is(scripts: Path) -> None:
    assert stale(scripts, copy_of(scripts, "elsewhere")) == set()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from . import reason", "relative"),
        ("import importlib\nimportlib.import_module('house.' + name)", "import_module"),
        ("from importlib import import_module as load", "import_module"),
        ("__import__(name)", "__import__"),
        ("from house import nothing", "no module house.nothing"),
        ("from house.storage import *", "no module house.storage.*"),
        ("import house.cellar.wine", "no module house.cellar.wine"),
        ("import inspect\ninspect.getsource(main)", "getsource"),
        ("main.__doc__.split()", "docstrings do not count"),
    ],
)
def test_what_cannot_be_followed_is_one_line_with_its_place(scripts: Path, line: str, said: str) -> None:
    (scripts / "house/reason.py").write_text(f"{line}\n")
    with pytest.raises(WorkflowError, match=re.escape(said)) as error:
        code_digest(scripts, "convert.py")
    told = str(error.value)
    assert told.startswith("code digest: house/reason.py, line ")
    assert "\n" not in told
