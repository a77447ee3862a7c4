"""Which slow suites are due: those of which a tested file has changed since their last green run."""

from pathlib import Path

import pytest

import slow_suites
from slow_suites import ROOT, SUITES, changed_files, digest_files, record_green_run
from workflow_lib.code_digest import content_digest, read_code


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree with one suite, which passed as the tree is."""
    monkeypatch.setattr(slow_suites, "SUITES", {"toy": ("scripts/*.py", "lock.txt")})
    (tmp_path / "scripts").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "scripts/a.py").write_text("A = 1  # one\n")
    (tmp_path / "lock.txt").write_text("vllm==1\n")
    record_green_run(tmp_path, "toy")
    return tmp_path


def write(file: Path, text: str) -> None:
    """Change a file as between two runs of the program."""
    file.write_text(text)
    content_digest.cache_clear()
    read_code.cache_clear()


def test_a_suite_that_never_passed_is_due_for_all_its_files(checkout: Path) -> None:
    (checkout / "tests/green/toy.json").unlink()
    assert changed_files(checkout, "toy") == ["lock.txt", "scripts/a.py"]


def test_a_suite_is_skipped_while_nothing_that_it_tests_has_changed(checkout: Path) -> None:
    write(checkout / "scripts/a.py", '"""A docstring."""\n\nA = 1  # a comment\n')
    write(checkout / "README.md", "not tested")
    assert changed_files(checkout, "toy") == []


def test_a_suite_is_due_when_a_file_changes_comes_or_goes(checkout: Path) -> None:
    write(checkout / "scripts/a.py", "A = 2\n")
    write(checkout / "scripts/b.py", "B = 1\n")
    assert changed_files(checkout, "toy") == ["scripts/a.py", "scripts/b.py"]
    record_green_run(checkout, "toy")
    assert changed_files(checkout, "toy") == []
    (checkout / "scripts/b.py").unlink()
    assert changed_files(checkout, "toy") == ["scripts/b.py"]


def test_a_pattern_that_matches_nothing_is_an_error(checkout: Path) -> None:
    (checkout / "lock.txt").unlink()
    with pytest.raises(ValueError, match=r"no file matches lock\.txt"):
        changed_files(checkout, "toy")


@pytest.mark.parametrize("suite", SUITES)
def test_each_suite_names_files_that_exist_and_has_a_make_target(suite: str) -> None:
    assert digest_files(ROOT, SUITES[suite])
    assert f"\ntest-{suite}: " in (ROOT / "Makefile").read_text(encoding="utf-8")
