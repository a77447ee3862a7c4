"""The memory that jobs ask a scheduler for grows with what they read, and with each attempt."""

import json
import re
from pathlib import Path

import pytest

from workflow import Build, config

NAME = "LLaVA_ReCap_558K"
SHARD = f"work/convert_llava/{NAME}/train-00000-of-00002.json"


def planned(build: Build, rule: str, *targets: str) -> list[int]:
    """The mem_mb of each planned job of a rule."""
    run = build.run("-n", *targets)
    assert run.returncode == 0, run.output
    blocks = re.findall(rf"^(?:local)?rule {rule}:\n((?: {{4}}.*\n)*)", run.output, re.MULTILINE)
    return [int(re.search(r"mem_mb=(\d+)", block)[1]) for block in blocks]


@pytest.mark.parametrize(("group_bytes", "mem_mb"), [(10_000_000, 2000), (1_700_000_000, 4900), (None, 2000)])
def test_memory_grows_with_the_largest_row_group_listed(
    group_bytes: int | None, mem_mb: int, tmp_path: Path
) -> None:
    build = Build(tmp_path, config("http://127.0.0.1:1/v1"))
    listing = tmp_path / f"work/list_shards/{NAME}.json"
    assert build.run(str(listing.relative_to(tmp_path))).returncode == 0
    listed = json.loads(listing.read_text())
    shard = Path(listed["files"][0]["file"]).stem
    assert all(file["group_bytes"] > 0 for file in listed["files"])
    for file in listed["files"]:
        file["group_bytes"] = group_bytes
    listing.write_text(json.dumps(listed))
    target = f"data/{NAME}.parquet"
    assert set(planned(build, "convert_llava", target)) == {mem_mb}, shard
    assert planned(build, "assemble_artifact", target) == [mem_mb]
