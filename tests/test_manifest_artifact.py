"""An artifact's manifest: its counts add up, and every listed file is there with what became of it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from prep.records.reason import Reason
from prep.report.manifest import build_manifest, check_counts, list_sources
from prep.runtime.program import UserError


def summary(rows: int = 45, **changes: object) -> dict:
    path = "data/synthdog_en.parquet"
    return {
        "files": {"artifact": {"path": path, "rows": rows, "bytes": 4479641, "sha256": "aa"}},
        "read": 47,
        "kept": 45,
        "rejected": {"text_empty": 1, "image_unreadable": 1},
        "sources": {"synthdog_en": {"data/a.parquet": {"state": "read", "rows": 47}}},
        "notice": None,
    } | changes


def listed(file: str, **changes: object) -> dict:
    return {"file": file, "bytes": 10, "sha256": file[:1] * 4, "rows": 47, "take": None} | changes


def listing(*files: dict, **changes: object) -> dict:
    return {
        "source": "synthdog_en",
        "repo": "naver-clova-ix/synthdog-en",
        "revision": "main",
        "commit": None,
        "files": list(files),
        "missing": [],
    } | changes


def test_manifest_has_its_keys_in_order_and_reasons_in_theirs() -> None:
    found = build_manifest("synthdog_en", summary(), [listing(listed("data/a.parquet"))], [summary()])
    assert " ".join(found) == "name file rows bytes sha256 read kept rejected empty sources"
    assert list(found["rejected"]) == ["image_unreadable", "text_empty"]
    assert found["empty"] is False
    assert found["sources"] == [
        {
            "repo": "naver-clova-ix/synthdog-en",
            "revision": "main",
            "commit": None,
            "file": "data/a.parquet",
            "bytes": 10,
            "sha256": "dddd",
            "rows": 47,
            "state": "read",
        }
    ]
    assert json.loads(json.dumps(found)) == found


def test_an_artifact_without_rows_is_empty_and_a_reason_without_rows_is_left_out() -> None:
    counts = {"rows": 0, "kept": 0, "read": 44, "rejected": {"image_missing": 44, "odd_turns": 0}}
    found = build_manifest("x", summary(**counts), [], [])
    assert found["empty"] is True
    assert found["rejected"] == {"image_missing": 44}


def test_a_notice_comes_last() -> None:
    found = build_manifest("x", summary(notice="a toy"), [], [])
    assert list(found)[-1] == "notice"
    assert found["notice"] == "a toy"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rows": 44}, "has 44 rows, but 45 were kept"),
        ({"read": 48}, "48 rows were read, but 45 kept and 2 rejected"),
        ({"rejected": {"text_empty": 1, "bad_luck": 1}}, "bad_luck"),
    ],
)
def test_counts_that_do_not_add_up_fail(changes: dict, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_counts("x", summary(**changes))


def test_every_reason_of_ours_is_known() -> None:
    rejected = dict.fromkeys(map(str, Reason), 1)
    check_counts("x", summary(rejected=rejected, read=45 + len(Reason)))


def test_rows_are_those_counted_else_those_listed() -> None:
    files = {
        "data/a.parquet": {"state": "read", "rows": 46},
        "data/b.parquet": {"state": "read", "rows": None},
        "data/c.parquet": {"state": "read"},
    }
    found = list_sources(
        "x", [listing(*(listed(file) for file in files))], [summary(sources={"synthdog_en": files})]
    )
    assert [entry["rows"] for entry in found] == [46, 47, 47]


def test_a_bad_file_says_why_and_an_unneeded_one_needs_no_state() -> None:
    bad = {"state": "bad", "detail": "no column image", "rows": None}
    states = [summary(sources={"synthdog_en": {"data/a.parquet": bad}})]
    files = [listed("data/a.parquet", rows=None), listed("data/b.parquet", rows=None, take=0, sha256=None)]
    found = list_sources("x", [listing(*files)], states)
    assert [entry["state"] for entry in found] == ["bad", "unneeded"]
    assert found[0]["detail"] == "no column image"
    assert "detail" not in found[1]
    assert [entry["rows"] for entry in found] == [None, None]


def test_a_file_that_was_to_be_read_and_has_no_state_fails() -> None:
    with pytest.raises(UserError, match=r"naver-clova-ix/synthdog-en/data/b\.parquet"):
        list_sources("x", [listing(listed("data/b.parquet"))], [summary()])


def test_files_of_several_sources_stand_in_the_listings_order() -> None:
    """image_thinking: the pictures' artifacts have a summary each, and equal file names do not mix."""
    one = summary(sources={"one": {"f.parquet": {"state": "read", "rows": 1}}})
    two = summary(sources={"two": {"f.parquet": {"state": "read", "rows": 2}}})
    listings = [listing(listed("f.parquet"), source="two"), listing(listed("f.parquet"), source="one")]
    assert [entry["rows"] for entry in list_sources("x", listings, [one, two])] == [2, 1]


def test_program_writes_the_manifest_or_one_line(tmp_path: Path) -> None:
    for name, value in (("s.json", summary()), ("l.json", listing(listed("data/a.parquet")))):
        (tmp_path / name).write_text(json.dumps(value))
    command = [sys.executable, ROOT / "scripts" / "manifest_artifact.py", "--name", "synthdog_en"]
    command += ["--summary", "s.json", "--listings", "l.json", "--states"]
    command += ["--manifest", "data/manifest/synthdog_en.json"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    written = json.loads((tmp_path / "data/manifest/synthdog_en.json").read_text())
    assert written == build_manifest(
        "synthdog_en", summary(), [listing(listed("data/a.parquet"))], [summary()]
    )

    (tmp_path / "s.json").write_text(json.dumps(summary(kept=1)))
    (tmp_path / "data/manifest/synthdog_en.json").unlink()
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 1
    last = run.stderr.splitlines()[-1]
    assert last == "error: synthdog_en: data/synthdog_en.parquet has 45 rows, but 1 were kept"
    assert not (tmp_path / "data/manifest/synthdog_en.json").exists()


def test_a_missing_file_stands_with_what_is_known_of_it() -> None:
    given = listing(listed("data/a.parquet"), missing=["data/b.parquet"])
    found = build_manifest("synthdog_en", summary(), [given], [summary()])
    missing = found["sources"][-1]
    assert (missing["file"], missing["state"]) == ("data/b.parquet", "missing")
    assert (missing["bytes"], missing["sha256"], missing["rows"]) == (None, None, None)
    assert missing["repo"] == "naver-clova-ix/synthdog-en"
