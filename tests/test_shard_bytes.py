"""`output.shard_bytes` in a whole build: the form that is asked for stands alone, and is verified."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasty
from workflow import Build, config

SOURCE = {"repo": "org/mine", "revision": "main", "stage": 2, "form": "caption", "prompts": ["Describe it."]}
LIMIT = 20_000


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("sharded")
    path = folder / "hub/org/mine/data/train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    picture = nasty.encoded(nasty.photograph(60, 60), "PNG")
    pq.write_table(pa.table({"image": [picture] * 20, "text": ["A cat."] * 20}), path)
    given = config("http://127.0.0.1:1/v1", hub={"mirror": str(folder / "hub")}, onevision=None)
    return Build(folder / "build", given | {"sources": {"mine": SOURCE}})


def test_a_switch_of_the_form_leaves_the_new_one_alone_and_it_is_verified(build: Build) -> None:
    data = build.folder / "data"
    for limit, path in ((None, "data/mine.parquet"), (LIMIT, "data/mine"), (None, "data/mine.parquet")):
        build.config["output"] = {"shard_bytes": limit}
        done = build.run(path, "work/verify_again/mine.txt", "--quiet", "progress")
        assert done.returncode == 0, done.output
        standing = {each.name for each in data.iterdir()} & {"mine", "mine.parquet"}
        assert standing == {Path(path).name}
    assert not list(data.glob(".*"))


@pytest.mark.parametrize(
    ("limit", "named", "right", "why"),
    [
        (LIMIT, "data/mine.parquet", "data/mine", "is set"),
        (None, "data/mine", "data/mine.parquet", "is null"),
    ],
)
def test_a_target_in_the_other_form_says_what_to_name(
    limit: int | None, named: str, right: str, why: str, build: Build
) -> None:
    build.config["output"] = {"shard_bytes": limit}
    done = build.run(named, "--dry-run")
    assert done.returncode == 1
    line = f"config: output.shard_bytes {why}: name {right} in place of {named}"
    assert line in done.output, done.output
