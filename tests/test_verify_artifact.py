"""A finished artifact is verified as its users read it: what is whole passes, and every fault is named."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from prep.storage import parquet
from prep.storage.atomic import write_json
from prep.storage.schema import REASONED, REJECTS, TRAINING
from prep.storage.shards import open_artifact
from running import Done, python_environment, run
from verify_artifact import format_lines, sample_positions, verify

ROWS = 10


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6)).save(buffer, "JPEG")
    return buffer.getvalue()


def training(row: int, **changes: object) -> dict:
    turns = [{"content": "<image>\nWhat?", "role": "user"}, {"content": f"{row}", "role": "assistant"}]
    images = [{"bytes": picture(), "path": None}]
    return {"id": f"a/s:{row}", "source_id": None, "messages": turns, "images": images} | changes


def build(
    root: Path, rows: list[dict], schema: pa.Schema = TRAINING, shard_bytes: int = 0, name: str = "a"
) -> dict:
    """An artifact with one rejected row; gives its manifest."""
    path = root / "data" / (name if shard_bytes else f"{name}.parquet")
    with open_artifact(path, schema, shard_bytes) as (writer, about):
        for row in rows:
            writer.add(pa.RecordBatch.from_pylist([row], schema))
    reject = {"id": "a/s:99", "source_file": "s", "row": 99, "reason": "image_missing", "detail": ""}
    parquet.write_rows(root / f"data/rejects/{name}.parquet", [reject], REJECTS)
    files = [each | {"file": str(Path(each["file"]).relative_to(root))} for each in about.get("files", ())]
    sums = {"files": files} if files else {"sha256": about["sha256"]}
    counts = {"rows": len(rows), "read": len(rows) + 1, "kept": len(rows), "rejected": {"image_missing": 1}}
    return {"name": name, "file": str(path.relative_to(root)), "bytes": about["bytes"], **sums, **counts}


def failed(root: Path, manifest: dict, shard_bytes: int = 0) -> dict[str, list[str]]:
    return {check: faults for check, faults in verify(root, manifest, 1, shard_bytes).items() if faults}


@pytest.mark.parametrize("shard_bytes", [0, 2_500])
@pytest.mark.parametrize("rows", [0, ROWS])
def test_what_is_whole_passes(rows: int, shard_bytes: int, tmp_path: Path) -> None:
    manifest = build(tmp_path, [training(row) for row in range(rows)], shard_bytes=shard_bytes)
    assert failed(tmp_path, manifest, shard_bytes) == {}


def test_stage_3_has_mode_and_score(tmp_path: Path) -> None:
    rows = [training(0, source="s", mode="thinking", score=4), training(1, source="s", mode="x", score=9)]
    rows += [training(2, source="s", mode="thinking", score=None, pass_rate=0.5)]
    rows += [training(3, source="s", mode="thinking", score=None, pass_rate=1, rule="agrees")]
    rows += [training(4, source="s", mode="thinking", score=None, pass_rate=1, rule="cannot_tell")]
    manifest = build(tmp_path, rows, REASONED, name="text2image")
    assert failed(tmp_path, manifest) == {
        "mode and score": ["a/s:1 has mode x and score 9", "a/s:4 has mode thinking and score None"]
    }


TURN = {"content": "<image>", "role": "user"}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"messages": [TURN]}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [TURN, TURN]}, "messages"),
        ({"messages": [TURN, {"content": None, "role": "assistant"}]}, "messages"),
        ({"images": []}, "messages"),
        ({"images": [{"bytes": picture(), "path": None}] * 2}, "messages"),
        ({"images": [{"bytes": picture()[:200], "path": None}]}, "decoded pictures"),
        ({"images": [{"bytes": b"", "path": None}]}, "pictures"),
        ({"images": [{"bytes": None, "path": "a.jpg"}]}, "pictures"),
        ({"id": "a/s:0"}, "ids"),
        ({"id": None}, "ids"),
    ],
)
def test_a_row_that_breaks_the_contract_is_a_fault(changes: dict, check: str, tmp_path: Path) -> None:
    rows = [training(row, **(changes if row == 3 else {})) for row in range(ROWS)]
    assert check in failed(tmp_path, build(tmp_path, rows))


def flip(root: Path) -> None:
    path = root / "data/a.parquet"
    data = bytearray(path.read_bytes())
    data[40] ^= 1
    path.write_bytes(data)


def cut(root: Path) -> None:
    path = root / "data/a.parquet"
    path.write_bytes(path.read_bytes()[:-100])


def decode(root: Path) -> None:
    path = root / "data/a.parquet"
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({"huggingface": "{}"}), path)


@pytest.mark.parametrize(
    ("damage", "checks"),
    [(flip, {"files"}), (cut, {"files", "read with datasets"}), (decode, {"files", "schema"})],
)
def test_a_damaged_file_is_a_fault(damage: Callable[[Path], None], checks: set[str], tmp_path: Path) -> None:
    manifest = build(tmp_path, [training(row) for row in range(ROWS)])
    damage(tmp_path)
    assert checks <= set(failed(tmp_path, manifest))


def test_a_foreign_file_and_a_missing_one_are_faults(tmp_path: Path) -> None:
    manifest = build(tmp_path, [training(row) for row in range(ROWS)], shard_bytes=2_500)
    (tmp_path / "data/a/.snakemake_timestamp").touch()
    gone = manifest["files"][0]["file"]
    (tmp_path / gone).unlink()
    assert failed(tmp_path, manifest)["files"] == [
        ".snakemake_timestamp is in the folder, and not in the manifest",
        f"{gone} is missing",
    ]


def test_a_file_above_the_limit_is_a_fault_unless_it_has_one_row(tmp_path: Path) -> None:
    manifest = build(tmp_path, [training(row) for row in range(ROWS)], shard_bytes=20_000)
    file = tmp_path / manifest["files"][0]["file"]
    said = f"{file.name} has {file.stat().st_size} bytes and {ROWS} rows, and output.shard_bytes is 2500"
    assert failed(tmp_path, manifest, 2_500) == {"sizes of files": [said]}
    manifest = build(tmp_path, [training(row) for row in range(ROWS)], shard_bytes=2_500)
    assert len(manifest["files"]) == ROWS
    assert failed(tmp_path, manifest, 2_500) == {}


def test_counts_that_do_not_add_up_are_a_fault(tmp_path: Path) -> None:
    manifest = build(tmp_path, [training(0)])
    assert set(failed(tmp_path, manifest | {"read": 3})) == {"counts"}
    assert set(failed(tmp_path, manifest | {"rejected": {"empty": 1}})) == {"counts"}
    assert set(failed(tmp_path, manifest | {"rows": 2, "kept": 2, "read": 3})) == {"rows"}


SAY_PEAK = """
import resource, sys
from pathlib import Path
from verify_artifact import stream_rows
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
(file, cache) = sys.argv[1:]
for number, table in enumerate(stream_rows([Path(file)], cache)):
    if not number:
        before = peak()
print(number, peak() - before)
"""


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file of 400 MB, of which 64 rows, or all that pyarrow keeps without our settings, are all."""
    large = [{"bytes": os.urandom(5_000_000), "path": None}]
    manifest = build(tmp_path, [training(row, images=large) for row in range(80)])
    command = [sys.executable, "-c", SAY_PEAK, tmp_path / manifest["file"], tmp_path / "cache"]
    done = subprocess.run(command, env=python_environment(), capture_output=True, text=True, check=True)
    batches, grown = map(int, done.stdout.split())
    assert batches >= 10
    assert grown < 200


def test_the_sample_is_spread_and_always_the_same() -> None:
    assert sample_positions(1, "a", 0) == set()
    assert sample_positions(1, "a", 5) == set(range(5))
    assert len(sample_positions(1, "a", 10_000)) == 64
    assert sample_positions(1, "a", 10_000) == sample_positions(1, "a", 10_000)
    assert sample_positions(1, "a", 10_000) != sample_positions(2, "a", 10_000)


def test_a_line_names_the_first_faults() -> None:
    assert format_lines("a", {"ids": [], "rows": ["b", "c", "d", "e"]}) == [
        "✓ a: ids",
        "✗ a: rows: b; c; d; and 1 more",
    ]


def call(root: Path, manifest: dict) -> Done:
    write_json(root / "manifest.json", manifest)
    return run(
        *("verify_artifact.py", "--manifest", root / "manifest.json", "--data-root", root),
        *("--seed", 1, "--shard-bytes", 0, "--verified", root / "verified.txt"),
    )


def test_the_program_ends_with_1_at_a_fault(tmp_path: Path) -> None:
    manifest = build(tmp_path, [training(0)])
    assert call(tmp_path, manifest).returncode == 0
    assert (tmp_path / "verified.txt").read_text().splitlines()[0] == "✓ a: files"
    (tmp_path / "verified.txt").unlink()
    flip(tmp_path)
    done = call(tmp_path, manifest)
    assert done.returncode == 1
    assert "✗ a: files: data/a.parquet has another sha256" in done.stderr
    assert not (tmp_path / "verified.txt").exists()
