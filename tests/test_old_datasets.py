"""Training parquet is read alike by the datasets library of today and by 2.21, which many trainers pin."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import converted
import nasty
from running import run

pytestmark = pytest.mark.datasets_2_21

READ = """
import json, sys
import datasets
file, cache = sys.argv[1:]
rows = datasets.load_dataset("parquet", data_files=file, split="train", cache_dir=cache)
decoded = rows.cast_column("images", [datasets.Image()])
found = {
    "are pictures": "Image(" in repr(rows.features["images"]),
    "ids": rows["id"][:],
    "messages": rows["messages"][:],
    "sizes": [[picture.convert("L").size for picture in row["images"]] for row in decoded],
}
print(datasets.__version__)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with datasets 2.21, which needs a huggingface_hub before 1.0."""
    folder = tmp_path_factory.mktemp("datasets-2.21")
    venv.create(folder, with_pip=True)
    python = folder / "bin/python"
    wanted = ("datasets==2.21.0", "huggingface_hub<1", "pillow")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def test_both_read_the_same(old: Path, tmp_path: Path) -> None:
    table, _ = nasty.whole_llava("decode", "prepend")
    pq.write_table(table, tmp_path / "raw.parquet", row_group_size=30)
    artifact, part = (
        tmp_path / "artifact.parquet",
        converted.llava(tmp_path / "raw.parquet", tmp_path / "part"),
    )
    done = run(
        *("assemble_artifact.py", "--parts", part.summary, "--kind", "converted", "--notice", ""),
        *("--may-be-empty", "none"),
        *("--shard-bytes", 0),
        *("--artifact", artifact, "--rejects", tmp_path / "r.parquet", "--summary", tmp_path / "s.json"),
    )
    assert done.returncode == 0, done.stderr
    said = []
    for python in (old, sys.executable):
        words = [python, "-c", READ, artifact, tmp_path / f"cache{len(said)}"]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        version, found = done.stdout.splitlines()[-2:]
        said.append(json.loads(found))
        assert said[0]["are pictures"], version
        assert version.startswith("2.21.") == (python == old)
    assert said[0] == said[1]
    assert len(said[0]["ids"]) > 20
