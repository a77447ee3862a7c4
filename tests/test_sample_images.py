"""Pictures are drawn by a hash of seed and id: single-round rows, the same ones each time."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import sample_images
from prep.records import seeding
from prep.storage.atomic import read_json, sha256
from prep.storage.schema import TRAINING
from running import run

NAME = "llavaonevision_converted/sroie"


def row(number: int, question: str = "<image>\nWhat?", turns: int = 2) -> dict:
    texts = [question, "That.", "And?", "This."][:turns]
    roles = ["user", "assistant"] * 2
    return {
        "id": f"{NAME}/train-00000-of-00001:{number}",
        "source_id": None if number % 2 else f"s{number}",
        "messages": [{"content": c, "role": r} for c, r in zip(texts, roles, strict=False)],
        "images": [{"bytes": b"picture %d" % number, "path": f"{number}.png"}],
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (row(0), True),
        (row(0, turns=4), False),
        (row(0, "<image>"), False),
        (row(0, " <image>\n "), False),
        (row(0, "?<image>"), True),
    ],
)
def test_eligible_is_one_round_with_text_besides_the_tag(given, expected):
    assert sample_images.is_eligible(given["messages"]) is expected


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """Sixty rows over several row groups, of which every third has two rounds."""
    path = tmp_path / "sroie.parquet"
    rows = [row(number, turns=4 if number % 3 == 0 else 2) for number in range(60)]
    pq.write_table(pa.Table.from_pylist(rows, TRAINING), path, row_group_size=7)
    return path


def sample(tmp_path: Path, artifact: Path, count: int, seed: int = 42) -> list[dict]:
    out, summary = tmp_path / "out.parquet", tmp_path / "out.json"
    done = run(
        "sample_images.py",
        *("--artifact", artifact, "--name", NAME, "--folder", "sroie(x)", "--count", count),
        *("--seed", seed, "--samples", out, "--summary", summary),
    )
    assert done.returncode == 0, done.stderr
    rows = pq.read_table(out).to_pylist()
    samples = {"rows": len(rows), "sha256": sha256(out)}
    assert read_json(summary) == {"files": {"samples": samples}, "wanted": count}
    return rows


def test_the_smallest_hashes_are_drawn_in_the_artifacts_order(tmp_path, artifact):
    ids = [row(number)["id"] for number in range(60) if number % 3]
    smallest = sorted(ids, key=lambda id_: seeding.hash_names(42, "sample", id_))[:10]
    drawn = [asked["id"] for asked in sample(tmp_path, artifact, 10)]
    assert drawn == [id_ for id_ in ids if id_ in smallest]
    assert [asked["id"] for asked in sample(tmp_path, artifact, 10, seed=1)] != drawn


def test_more_samples_keep_those_of_fewer(tmp_path, artifact):
    few, many = ({asked["id"] for asked in sample(tmp_path, artifact, n)} for n in (10, 20))
    assert few < many


def test_all_eligible_rows_are_drawn_when_there_are_too_few(tmp_path, artifact):
    assert len(sample(tmp_path, artifact, 1000)) == 40


def test_a_drawn_row_is_a_question_with_its_own_picture_and_origin(tmp_path, artifact):
    for asked in sample(tmp_path, artifact, 1000):
        number = asked["row"]
        assert asked["image"] == row(number)["images"][0]
        assert asked["source_id"] == row(number)["source_id"]
        assert (asked["source"], asked["source_file"]) == (NAME, "sroie(x)/train-00000-of-00001.parquet")
        assert (asked["question"], asked["reference"]) == ("<image>\nWhat?", "That.")
