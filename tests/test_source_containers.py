"""Sources in other containers than Parquet, by config alone: from a mirror to artifact and manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import nasty
from containers import write_array, write_lines, write_tar, write_zip
from prep.storage.atomic import read_json, sha256
from workflow import Build, config

FIRST, SECOND = nasty.plain(), nasty.encoded(nasty.photograph(30, 20), "PNG")
SHARED = {"repo": "org/mine", "revision": "main", "stage": 2}
CAPTION = SHARED | {"form": "caption", "prompts": ["Describe it."]}
TURNS = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "A cat."}]
RECAP = [f"LLaVA_ReCap_{size}" for size in ("558K", "CC3M", "CC12M")]
OFF = dict.fromkeys([*RECAP, "synthdog_en", "synthdog_zh"])
SOURCES: dict[str, Any] = {
    # One JSON file, pictures in a zip.
    "array": SHARED
    | {"form": "llava", "files": ["chat.json"], "image_reasoning": True}
    | {"pictures": {"files": ["images.zip"], "folder": "train"}},
    # JSON Lines, loose pictures, another repository's.
    "ours/lines": CAPTION
    | {"files": ["captions.jsonl"], "columns": {"image": "file"}}
    | {"pictures": {"repo": "org/pictures", "files": ["a/*.png", "b/*.png"]}},
    "tarred": CAPTION | {"files": ["shards/*.tar"], "columns": {"image": "png", "text": "json.text"}},
    # Parquet, a list of names a row, two tars.
    "listed": SHARED
    | {"form": "messages", "columns": {"image": "images"}}
    | {"pictures": {"files": ["images-*.tar"]}},
}


def write_corpus(hub: Path) -> None:
    mine = hub / "org/mine"
    rows = [{"id": str(row), "image": f"{row}.png", "conversations": TURNS} for row in range(3)]
    write_array(mine / "chat.json", rows)
    write_zip(mine / "images.zip", {"train/0.png": FIRST, "train/1.png": SECOND, "other/2.png": FIRST})
    write_lines(mine / "captions.jsonl", [{"file": "a/1.png", "text": "A."}, "{", {"file": "b/1.png"}])
    for folder, data in (("a", FIRST), ("b", SECOND)):
        (hub / "org/pictures" / folder).mkdir(parents=True)
        (hub / "org/pictures" / folder / "1.png").write_bytes(data)
    for number in range(2):
        members = [("k.png", SECOND), ("k.json", json.dumps({"text": f"Tar {number}."}).encode())]
        write_tar(mine / f"shards/{number:05d}.tar", members)
    write_tar(mine / "images-0.tar", [("x.png", FIRST)])
    write_tar(mine / "images-1.tar", [("y.png", SECOND)])
    turns = [{"role": "user", "content": "<image> or <image>?"}, {"role": "assistant", "content": "Both."}]
    table = pa.table({"images": [["x.png", "y.png"], ["x.png", "z.png"]], "messages": [turns] * 2})
    (mine / "data").mkdir()
    pq.write_table(table, mine / "data/train-00000-of-00001.parquet")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("containers")
    write_corpus(folder / "hub")
    changes: dict[str, Any] = {"hub": {"mirror": str(folder / "hub")}, "onevision": None}
    build = Build(folder / "build", config("http://127.0.0.1:1/v1", **changes, sources=OFF | SOURCES))
    build.first = build.run("stage2", "--quiet", "progress")
    return build


def rows(build: Build, name: str) -> list[dict]:
    return pq.read_table(build.folder / f"data/{name}.parquet").to_pylist()


def pictures(build: Build, name: str) -> list[list[str]]:
    digests = (
        hashlib.sha256(each["bytes"]).hexdigest() for row in rows(build, name) for each in row["images"]
    )
    known = {hashlib.sha256(data).hexdigest(): word for data, word in ((FIRST, "first"), (SECOND, "second"))}
    return [known[digest] for digest in digests]


def reasons(build: Build, name: str) -> dict[int, str]:
    table = pq.read_table(build.folder / f"data/rejects/{name}.parquet").to_pylist()
    return {row["row"]: row["reason"] for row in table}


@pytest.mark.parametrize(
    ("name", "kept", "rejected"),
    [
        ("array", ["first", "second"], {2: "image_missing"}),
        ("ours/lines", ["first"], {1: "row_invalid", 2: "text_empty"}),
        ("tarred", ["second", "second"], {}),
        ("listed", ["first", "second"], {1: "image_missing"}),
    ],
)
def test_every_row_is_kept_whole_or_rejected(
    name: str, kept: list[str], rejected: dict[int, str], built: Build
) -> None:
    assert built.first.returncode == 0, built.first.output
    assert pictures(built, name) == kept
    assert reasons(built, name) == rejected
    manifest = built.manifest(name)
    assert manifest["read"] == manifest["kept"] + sum(manifest["rejected"].values())
    assert manifest["kept"] == len(rows(built, name))


def test_the_manifest_names_the_files_of_pictures_too(built: Build) -> None:
    files = {file["file"]: file for file in built.manifest("array")["sources"]}
    assert files.keys() == {"chat.json", "images.zip"}
    assert files["images.zip"]["sha256"] == sha256(built.folder.parent / "hub/org/mine/images.zip")
    loose = [file["file"] for file in built.manifest("ours/lines")["sources"]]
    assert loose == ["captions.jsonl", "a/1.png", "b/1.png"]


def test_ids_are_the_files_and_the_rows_numbers(built: Build) -> None:
    assert [row["id"] for row in rows(built, "array")] == ["array/chat:0", "array/chat:1"]
    assert [row["id"] for row in rows(built, "tarred")] == ["tarred/00000:0", "tarred/00001:0"]


def test_rows_are_drawn_for_image_reasoning_with_their_file(built: Build) -> None:
    done = built.run("work/sample_images/array.parquet")
    assert done.returncode == 0, done.output
    drawn = pq.read_table(built.folder / "work/sample_images/array.parquet").to_pylist()
    assert {row["source_file"] for row in drawn} == {"chat.json"}


def test_nothing_is_extracted(built: Build) -> None:
    raw = [path.relative_to(built.folder / "raw") for path in (built.folder / "raw").rglob("*")]
    files = {path.as_posix() for path in raw if not (built.folder / "raw" / path).is_dir()}
    assert files - {"ours/lines@pictures@loose/.snakemake_timestamp"} == {
        *("array/chat.json", "array@pictures/images.zip", "ours/lines/captions.jsonl"),
        *("ours/lines@pictures@loose/a/1.png", "ours/lines@pictures@loose/b/1.png"),
        *("tarred/00000.tar", "tarred/00001.tar", "listed/train-00000-of-00001.parquet"),
        *("listed@pictures/images-0.tar", "listed@pictures/images-1.tar"),
    }


def test_a_second_run_has_nothing_to_do_and_a_changed_archive_is_read_again(built: Build) -> None:
    again = built.run("stage2")
    assert "Nothing to be done" in again.output, again.output
    hub = built.folder.parent / "hub"
    write_zip(
        hub / "org/mine/images.zip", {"train/0.png": SECOND, "train/1.png": FIRST, "train/2.png": FIRST}
    )
    (hub / "org/pictures/b/1.png").write_bytes(FIRST)
    changed = built.run("stage2", "--quiet", "progress")
    assert changed.returncode == 0, changed.output
    assert pictures(built, "array") == ["second", "first", "first"]
    assert read_json(built.folder / "data/manifest/array.json")["rejected"] == {}


def test_what_a_config_file_cannot_say_is_told_by_entry_and_key(tmp_path: Path) -> None:
    write_corpus(tmp_path / "hub")
    entry = CAPTION | {"files": ["shards/*.tar"], "columns": {"image": "png", "text": "json.text"}}
    changes = {"hub": {"mirror": str(tmp_path / "hub")}, "onevision": None}
    changes["sources"] = OFF | {"tarred": entry | {"max_samples": 1}}
    build = Build(tmp_path / "build", config("http://127.0.0.1:1/v1", **changes))
    done = build.run("stage2", "--quiet", "progress")
    assert done.returncode != 0
    assert "max_samples needs the rows of each file, which only parquet tells" in done.output
