"""`output.shard_bytes` in a whole build: the form that is asked for stands alone, and is verified."""

import json
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import nasty
from prep.storage.atomic import sha256
from workflow import CAPTIONS, PAGES, Build, config

OTHERS = dict.fromkeys([*CAPTIONS, *PAGES])
SOURCE = {"repo": "org/mine", "revision": "main", "stage": 2, "form": "caption", "prompts": ["Describe it."]}
LIMIT = 20_000
ROWS = 20


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("sharded")
    path = folder / "hub/org/mine/data/train-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    picture = nasty.encoded(nasty.photograph(60, 60), "PNG")
    pq.write_table(pa.table({"image": [picture] * ROWS, "text": ["A cat."] * ROWS}), path)
    alone = {"onevision": None, "text_reasoning": {"sources": []}, "sources": OTHERS | {"mine": SOURCE}}
    given = config("http://127.0.0.1:1/v1", hub={"mirror": str(folder / "hub")}, **alone)
    return Build(folder / "build", given)


def test_a_switch_of_the_form_leaves_the_new_one_alone_and_it_is_verified(build: Build) -> None:
    data = build.folder / "data"
    for limit, path in ((None, "data/mine.parquet"), (LIMIT, "data/mine"), (None, "data/mine.parquet")):
        build.config["output"] = {"shard_bytes": limit}
        done = build.run(path, "work/verify_again/mine.txt", "--quiet", "progress")
        assert done.returncode == 0, done.output
        standing = {each.name for each in data.iterdir()} & {"mine", "mine.parquet"}
        assert standing == {Path(path).name}
    assert not list(data.glob(".*"))


def test_all_publishes_every_file_of_an_artifact(build: Build) -> None:
    build.config["output"] = {"shard_bytes": LIMIT}
    done = build.run("all", "--quiet", "progress")
    assert done.returncode == 0, done.output
    data, manifest = build.folder / "data", build.manifest("mine")

    files = sorted((data / "mine").iterdir())
    last = f"{len(files):05d}"
    assert len(files) > 3
    assert [file.name for file in files] == [f"mine-{i:05d}-of-{last}.parquet" for i in range(len(files))]
    assert manifest["rows"] == manifest["kept"] == ROWS
    assert manifest["file"] == "data/mine"
    assert manifest["files"] == [
        {
            "file": f"data/mine/{file.name}",
            "rows": pq.read_metadata(file).num_rows,
            "bytes": file.stat().st_size,
            "sha256": sha256(file),
        }
        for file in files
    ]
    assert all(file.stat().st_size <= LIMIT for file in files)
    assert manifest["bytes"] == sum(file.stat().st_size for file in files)

    registered = json.loads((data / "dataset_info.json").read_text())
    assert registered["mine"]["file_name"] == "mine"
    mixed = yaml.safe_load((data / "llamafactory/stage2.1.yaml").read_text())
    assert mixed["dataset"] == ["mine"]
    _, header, _ = (data / "README.md").read_text().split("---\n", 2)
    (about,) = yaml.safe_load(header)["configs"]
    assert about == {"config_name": "mine", "data_files": [{"split": "train", "path": "mine/*.parquet"}]}
    verified = (build.folder / "work/publish/verified/mine.txt").read_text().splitlines()
    assert "✓ mine: sizes of files" in verified
    assert all(line.startswith("✓") for line in verified)

    loaded = datasets.load_dataset(str(data), "mine", split="train", cache_dir=str(build.folder / "cache"))
    assert loaded["id"][:] == [f"mine/train-00000-of-00001:{row}" for row in range(ROWS)]
    assert "Nothing to be done" in build.run("all").output


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
