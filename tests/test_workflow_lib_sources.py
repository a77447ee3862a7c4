"""Sources: what is read of each, and when it is listed anew."""

import json
import os
from pathlib import Path

import pytest
from snakemake.exceptions import WorkflowError
from test_workflow_lib_config import checked

from workflow_lib.entries import missing_tag
from workflow_lib.names import Names
from workflow_lib.sources import (
    configured_sources,
    mirror_digest,
    moving_revisions,
    read_listing,
    reading_mb,
)

SHA = "0123456789" * 4


def test_every_source_says_where_it_is_and_what_is_read() -> None:
    config = checked({"onevision": {"configs": ["geo170k(qa)"], "revision": SHA}})
    names = Names(config)
    sources = configured_sources(names)
    assert list(sources) == [*names.converted, *names.questions]
    assert sources["llavaonevision_converted/geo170k_qa"] == {
        "repo": "lmms-lab/LLaVA-OneVision-Data",
        "revision": SHA,
        "patterns": ["geo170k(qa)/train-*.parquet"],
        "take": None,
    }
    assert sources["LLaVA_ReCap_CC12M"]["take"] == 2_000_000
    assert "*.jsonl" in sources["Chinese-DeepSeek-R1-Distill-data-110k"]["patterns"]
    moving = moving_revisions(sources)
    assert moving["tatsu-lab/alpaca@main"] == sources["alpaca"]
    assert not any(SHA in name for name in moving)


def test_a_mirror_is_listed_anew_when_a_file_of_the_source_changes(tmp_path: Path) -> None:
    source = {"repo": "org/name", "patterns": ["data/train-*.parquet"]}
    folder = tmp_path / "org/name/data"
    folder.mkdir(parents=True)
    (folder / "train-0.parquet").write_text("a")
    before = mirror_digest(tmp_path, source)
    (folder / "test-0.parquet").write_text("b")
    assert mirror_digest(tmp_path, source) == before
    (folder / "train-1.parquet").symlink_to("gone")
    assert mirror_digest(tmp_path, source) != before
    (folder / "train-1.parquet").unlink()
    os.utime(folder / "train-0.parquet", (1, 1))
    assert mirror_digest(tmp_path, source) != before
    assert mirror_digest(None, source) is None


@pytest.mark.parametrize(
    ("config", "policy"),
    [("ai2d(cauldron,llava_format)", "prepend"), ("geo170k(qa)", "reject")],
)
def test_a_missing_tag_is_put_in_front_where_sources_leave_it_out(config: str, policy: str) -> None:
    assert missing_tag(config) == policy


def test_memory_grows_with_the_largest_row_group_and_each_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    listing = Path("work/list_shards/some/set.json")
    listing.parent.mkdir(parents=True)
    assert reading_mb("some/set", 1) == 2000

    def listed(*group_bytes: int | None) -> None:
        files = [{"file": f"data/{row}.parquet", "group_bytes": each} for row, each in enumerate(group_bytes)]
        listing.write_text(json.dumps({"files": files}))
        os.utime(listing, ns=(sum(filter(None, group_bytes)),) * 2)

    listed(None, 10_000_000)
    assert list(read_listing(listing)) == ["0.parquet", "1.parquet"]
    assert reading_mb("some/set", 1) == 2000
    listed(None, 1_700_000_000)
    assert [reading_mb("some/set", attempt) for attempt in (1, 2)] == [4900, 9800]


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null"])
def test_a_broken_listing_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    listing = tmp_path / "listing.json"
    listing.write_text(text)
    with pytest.raises(WorkflowError, match=r"listing\.json is broken; delete it, and run again"):
        read_listing(listing)
