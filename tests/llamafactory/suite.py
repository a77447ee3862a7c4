"""The real LLaMA-Factory reads and trains on what is built; `make test-llamafactory` makes its environment.

What it reads is taken down inside it (read.py), where the collator hands pictures to the image processor.
TRL and ms-swift read the same in an environment of their own (tests/trainers/read.py).
"""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT
from PIL import Image

import converted
import nasty
import publish_llamafactory
from prep.report.registration import build_entries
from prep.storage import parquet
from running import python_environment, run
from workflow import Build

HERE = ROOT / "tests/llamafactory"
BIN = ROOT / ".llamafactory/bin"
OTHERS = {
    "TRL 0.24": (BIN, "trl"),
    "TRL 1.16": (ROOT / ".trainers/bin", "trl"),
    "ms-swift 4.6": (ROOT / ".trainers/bin", "swift"),
}
"""Other trainers: where the Python is that has one, and the trainer's name there."""
STAGES = ("stage1", "stage2.1", "stage2.2", "stage3")
LAYOUTS = ("one file", "sharded")
SHARD_BYTES = 400_000
LONGEST_SIDES = 200
"""The image processor of Qwen-VL takes no picture of such a ratio; LLaMA-Factory scales it before."""
EMPTY = "<think>\n\n</think>\n\n"
"""What the template puts in front of an answer without a thought."""
PATCHES = re.compile(r"<\|vision_start\|>(?:<\|image_pad\|>)+<\|vision_end\|>")
"""What a picture's tag becomes; each pad is a token of the picture."""

Row = tuple[str, str, tuple[str, ...]]
"""All text of a row, the text that is learned, and the sha256 of each picture."""


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def surroundings(cache: Path) -> dict[str, str]:
    """No hub, and nothing left outside `cache`."""
    quiet = {
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **quiet, "HF_HOME": str(cache), "PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True)
class Built:
    """The sample corpus, built: `data/` in each layout, the sha256 of each row's pictures at its source."""

    layouts: dict[str, Path]
    pictures: dict[str, tuple[str, ...]]

    def manifest(self, layout: str) -> dict[str, dict]:
        file = self.layouts[layout] / "data/manifest.json"
        return json.loads(file.read_text(encoding="utf-8"))["artifacts"]

    def config(self, layout: str, stage: str) -> dict[str, Any]:
        file = self.layouts[layout] / f"data/llamafactory/{stage}.yaml"
        return yaml.safe_load(file.read_text(encoding="utf-8"))

    def rows(self, layout: str, key: str, thinking: bool) -> list[Row]:
        """The rows of a dataset as the trainer must see them."""
        (about,) = (m for m in self.manifest(layout).values() if PurePosixPath(m["name"]).name == key)
        rows = list(parquet.read_rows(self.layouts[layout] / about["file"]))
        assert len(rows) == about["rows"]
        pages = key == "text2image"
        places = [row["id"] if pages else row["id"].partition("#")[0] for row in rows]
        return [expect(row, self.pictures[place], thinking) for row, place in zip(rows, places, strict=True)]


def expect(row: dict[str, Any], pictures: tuple[str, ...], thinking: bool) -> Row:
    """A training row in the form of the template qwen3_vl."""
    text = learned = ""
    for message in row["messages"]:
        if message["role"] == "user":
            text += f"<|im_start|>user\n{message['content']}<|im_end|>\n<|im_start|>assistant\n"
            text += "" if thinking else EMPTY
        else:
            said = f"{message['content']}<|im_end|>\n"
            text, learned = text + said, learned + said
    return text, learned, pictures


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The sample corpus as `make demo` builds it, once as files and once as folders."""
    folder = tmp_path_factory.mktemp("demo")
    hub = folder / "hub"
    command = [sys.executable, ROOT / "demo/build_corpus.py", "--hub", hub]
    subprocess.run(command, env=python_environment(), check=True)
    config = yaml.safe_load((ROOT / "demo/config.yaml").read_text(encoding="utf-8"))
    config["hub"]["mirror"] = str(hub)
    for task in ("text_reasoning", "image_reasoning"):
        config[task]["judge_prompt"] = str(ROOT / "demo" / config[task]["judge_prompt"])
    build = Build(folder / "sharded", config)
    for shard_bytes in (None, SHARD_BYTES):
        config["output"] = {"shard_bytes": shard_bytes}
        done = build.run("all")
        assert done.returncode == 0, done.output[-4000:]
        if shard_bytes is None:
            shutil.copytree(build.folder / "data", folder / "one file/data")
    pictures = {}
    for manifest in json.loads((build.folder / "data/manifest.json").read_text())["artifacts"].values():
        for source in manifest["sources"]:
            file = hub / source["repo"] / source["file"]
            if manifest["name"] in ("text2image", "image_thinking"):
                continue  # drawn from pages, or from the pictures of others
            for row, image in enumerate(pq.read_table(file, columns=["image"]).column("image").to_pylist()):
                if image is not None:
                    pictures[f"{manifest['name']}/{file.stem}:{row}"] = (sha256(image["bytes"]),)
    for part in (build.folder / "work/render_text").glob("*.parquet"):
        if not part.name.endswith(".rejects.parquet"):
            for row in parquet.read_rows(part):
                pages = tuple(sha256(page["bytes"]) for page in row["images"])
                pictures[row["id"]] = pages
    return Built({layout: folder / layout for layout in LAYOUTS}, pictures)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen3-VL."""
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([BIN / "python", HERE / "model.py", "--folder", folder], check=True)
    return folder


@dataclass(frozen=True)
class Reading:
    """What the trainer understood of a config, and the rows that it read."""

    understood: dict[str, Any]
    rows: list[Row]


def read(folder: Path, model: Path, readings: dict[str, tuple[str, list[str]]]) -> dict[str, Reading]:
    """Have LLaMA-Factory read in `folder`: a config and changes by the reading's name."""
    out = folder / "read"
    out.mkdir()
    common = [f"model_name_or_path={model}", "use_cpu=true", "cache_dir=cache"]
    common += ["preprocessing_num_workers=1", "dataloader_num_workers=2"]
    asked = [
        {"name": name, "config": config, "changes": common + changes}
        for name, (config, changes) in readings.items()
    ]
    with (folder / "read.log").open("w") as log:
        done = subprocess.run(
            [BIN / "python", HERE / "read.py", "--rows", out],
            cwd=folder,
            env=surroundings(folder / "home"),
            input=json.dumps(asked),
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert done.returncode == 0, (folder / "read.log").read_text()[-4000:]
    found = {}
    for name in readings:
        lines = out / f"{name}.jsonl"
        rows = [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        for row in rows:
            assert row["tokens"] == row["patches"] > 0
        said = json.loads((out / f"{name}.json").read_text())
        found[name] = Reading(
            said,
            [(PATCHES.sub("<image>", row["text"]), row["learned"], tuple(row["pictures"])) for row in rows],
        )
    return found


@pytest.fixture(scope="module")
def read_all(built: Built, model: Path) -> dict[str, dict[str, Reading]]:
    """Each stage as its config has it, and streamed as that of a large one; each dataset streamed."""
    found = {}
    for layout, folder in built.layouts.items():
        manifest = built.manifest(layout)
        keys = {stage: built.config(layout, stage)["dataset"] for stage in STAGES}
        names = {PurePosixPath(name).name: name for name in manifest}
        stages = {stage: [names[key] for key in keys[stage]] for stage in STAGES}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(publish_llamafactory, "STREAMED_BYTES", 0)
            configs = publish_llamafactory.build_configs(stages, manifest, 262_144)
        readings = {}
        for stage, text in configs.items():
            streamed = f"{stage}.streamed.yaml"
            (folder / streamed).write_text(text, encoding="utf-8")
            readings[stage] = (f"data/llamafactory/{stage}.yaml", [])
            readings[f"{stage} streamed"] = (streamed, [])
            readings |= {
                key: (streamed, [f"dataset=[{key}]", "interleave_probs=null"]) for key in keys[stage]
            }
        if layout == LAYOUTS[0]:
            readings["unknown key"] = ("data/llamafactory/stage1.yaml", ["no_such_key=1"])
        found[layout] = read(folder, model, readings)
    return found


def failure(reading: Reading) -> str | None:
    return reading.understood.get("error")


def thinks(stage: str) -> bool:
    return stage == "stage3"


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_config_names_what_was_built_and_is_understood(
    built: Built, read_all: dict, layout: str, stage: str
) -> None:
    config, manifest = built.config(layout, stage), built.manifest(layout)
    filled = {PurePosixPath(about["name"]).name for about in manifest.values() if about["rows"]}
    assert set(config["dataset"]) <= filled
    for name, wanted in ((stage, config), (f"{stage} streamed", config | {"streaming": True})):
        reading = read_all[layout][name]
        assert failure(reading) is None
        for key in ("dataset", "template", "enable_thinking", "cutoff_len", "image_max_pixels"):
            assert reading.understood[key] == wanted[key]
        assert reading.understood["streaming"] == wanted.get("streaming", False)
        assert reading.understood["learning_rate"] == float(wanted["learning_rate"])
    assert sorted(key for each in STAGES for key in built.config(layout, each)["dataset"]) == sorted(filled)


def test_a_key_that_the_trainer_does_not_know_is_an_error(read_all: dict) -> None:
    assert "no_such_key" in failure(read_all[LAYOUTS[0]]["unknown key"])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_is_read_whole_with_the_sources_pictures_and_the_texts_as_they_are(
    built: Built, read_all: dict, layout: str, stage: str
) -> None:
    reading = read_all[layout][stage]
    keys = built.config(layout, stage)["dataset"]
    wanted = [row for key in keys for row in built.rows(layout, key, thinks(stage))]
    assert all(text.count("<image>") == len(pictures) > 0 for text, _, pictures in wanted)
    if layout == "sharded":  # the trainer takes a folder's files as they come
        assert Counter(reading.rows) == Counter(wanted)
    else:
        assert reading.rows == wanted


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stage", STAGES)
def test_each_dataset_is_streamed_whole(built: Built, read_all: dict, layout: str, stage: str) -> None:
    for key in built.config(layout, stage)["dataset"]:
        reading = read_all[layout][key]
        assert failure(reading) is None, key
        assert Counter(reading.rows) == Counter(built.rows(layout, key, thinks(stage))), key


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("stage", STAGES)
def test_a_streamed_mixture_has_every_row_and_no_other(
    built: Built, read_all: dict, layout: str, stage: str
) -> None:
    keys = built.config(layout, stage)["dataset"]
    wanted = [row for key in keys for row in built.rows(layout, key, thinks(stage))]
    assert set(read_all[layout][f"{stage} streamed"].rows) == set(wanted)


def test_thoughts_are_learned_in_stage_3_and_before_it_none_is(read_all: dict) -> None:
    for stage in STAGES:
        for text, learned, _ in read_all[LAYOUTS[0]][stage].rows:
            assert ("<think>" in learned) == thinks(stage)
            assert text.count("<think>") == text.count("</think>") == text.count("<|im_start|>assistant\n")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, ...]]]:
    """Every format and mode that conversion keeps, up to 50 million pixels; its pictures by id."""
    folder = tmp_path_factory.mktemp("odd")
    table, fates = nasty.whole_llava("decode", "prepend")
    pq.write_table(table, folder / "raw.parquet", row_group_size=30)
    part = converted.llava(folder / "raw.parquet", folder / "part")
    (folder / "data").mkdir()
    done = run(
        *("assemble_artifact.py", "--parts", part.summary, "--kind", "converted", "--notice", ""),
        *("--may-be-empty", "none", "--shard-bytes", 0, "--artifact", folder / "data/NAME.parquet"),
        *("--rejects", folder / "rejects.parquet", "--summary", folder / "summary.json"),
    )
    assert done.returncode == 0, done.stderr
    # Some of the paths beside the bytes are no UTF-8.
    images = pc.struct_field(table.column("image"), "bytes").to_pylist()
    ids = pq.read_table(folder / "data/NAME.parquet", columns=["id"]).column("id").to_pylist()
    assert len(ids) == fates.count(None) > 40
    return folder, {each: (sha256(images[int(each.rpartition(":")[2])]),) for each in ids}


def test_odd_pictures_reach_the_image_processor_as_their_sources_have_them(
    model: Path, odd: tuple[Path, dict[str, tuple[str, ...]]]
) -> None:
    folder, pictures = odd
    entries = build_entries(["NAME"], sharded=False)
    (folder / "data/dataset_info.json").write_text(json.dumps(entries))
    rows = list(parquet.read_rows(folder / "data/NAME.parquet"))
    about = {"NAME": {"name": "NAME", "rows": len(rows), "bytes": 1}}
    configs = publish_llamafactory.build_configs({"stage1": ["NAME"]}, about, 262_144)
    (folder / "stage1.yaml").write_text(configs["stage1"])
    # One of the texts is longer than the trainer reads.
    reading = read(folder, model, {"odd": ("stage1.yaml", ["cutoff_len=10000000"])})["odd"]
    assert failure(reading) is None
    assert reading.rows == [expect(row, pictures[row["id"]], False) for row in rows]


def read_others(trainer: str, model: Path, files: list[Path], folder: Path) -> list[Counter[Row]]:
    """Have another trainer read files, each as a dataset."""
    home, reader = OTHERS[trainer]
    command = [home / "python", ROOT / "tests/trainers/read.py", "--trainer", reader, "--model", model]
    done = subprocess.run(
        [*command, "--folder", folder, *files],
        cwd=folder,
        env=surroundings(folder / "home") | {"MODELSCOPE_CACHE": str(folder / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    found = []
    for number in range(len(files)):
        rows = [json.loads(line) for line in (folder / f"{number}.jsonl").read_text().splitlines()]
        assert all(row["tokens"] == row["patches"] > 0 for row in rows)
        text, learned = ([PATCHES.sub("<image>", row[key]) for row in rows] for key in ("text", "learned"))
        found.append(Counter(zip(text, learned, (tuple(row["pictures"]) for row in rows), strict=True)))
    return found


def is_slim(picture: bytes) -> bool:
    with Image.open(BytesIO(picture)) as image:
        return max(image.size) >= LONGEST_SIDES * min(image.size)


@pytest.mark.parametrize("trainer", OTHERS)
def test_other_trainers_read_the_sources_pictures_and_the_texts_as_they_are(
    built: Built, model: Path, odd: tuple[Path, dict[str, tuple[str, ...]]], trainer: str, tmp_path: Path
) -> None:
    """Every artifact, and the odd pictures. TRL learns the questions too."""
    layout, (folder, pictures) = LAYOUTS[0], odd
    filled = [about for about in built.manifest(layout).values() if about["rows"]]
    table = pq.read_table(folder / "data/NAME.parquet")
    fit = [row for row in table.to_pylist() if not is_slim(row["images"][0]["bytes"])]
    assert len(table) > len(fit) > 40
    pq.write_table(pa.Table.from_pylist(fit, table.schema), tmp_path / "odd.parquet")
    wanted = [built.rows(layout, PurePosixPath(about["name"]).name, True) for about in filled]
    wanted.append([expect(row, pictures[row["id"]], True) for row in fit])
    if trainer.startswith("TRL"):
        wanted = [[(text, text, seen) for text, _, seen in rows] for rows in wanted]
    files = [*(built.layouts[layout] / about["file"] for about in filled), tmp_path / "odd.parquet"]
    found = read_others(trainer, model, files, tmp_path)
    for file, rows, expected in zip(files, found, wanted, strict=True):
        assert rows == Counter(expected), file


def test_the_documented_way_to_trl_is_the_one_that_is_tried() -> None:
    """But for docstring and types."""
    recipe = (ROOT / "docs/training.md").read_text(encoding="utf-8").split("```")[1].removeprefix("python")
    reader = (ROOT / "tests/trainers/read.py").read_text(encoding="utf-8")
    bodies = [
        [ast.unparse(line) for line in node.body if not isinstance(line, ast.Expr)]
        for text in (recipe, reader)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.name == "split_tags"
    ]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]


def test_every_stage_trains_and_goes_on_from_the_one_before(built: Built, model: Path) -> None:
    """The commands of the configs, with the model named and little to do."""
    folder = built.layouts[LAYOUTS[0]]
    little = ["max_steps=2", "gradient_accumulation_steps=1", "preprocessing_num_workers=1", "use_cpu=true"]
    little += ["dataloader_num_workers=1"]
    for stage in STAGES:
        changes = [f"model_name_or_path={model}"] if stage == STAGES[0] else []
        done = subprocess.run(
            [BIN / "llamafactory-cli", "train", f"data/llamafactory/{stage}.yaml", *changes, *little],
            cwd=folder,
            env=surroundings(folder / "home"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{stage}: {done.stdout[-4000:]}"
        results = json.loads((folder / f"saves/{stage}/train_results.json").read_text())
        assert 0 < results["train_loss"] < 100
        assert (folder / f"saves/{stage}/model.safetensors").is_file()


def test_polars_and_duckdb_read_the_same(built: Built) -> None:
    files = {
        str(file): [
            row | {"images": [sha256(picture["bytes"]) for picture in row["images"]]}
            for row in pq.read_table(file).to_pylist()
        ]
        for layout in built.layouts
        for about in built.manifest(layout).values()
        for file in parquet.list_files(built.layouts[layout] / about["file"])
    }
    done = subprocess.run(
        [BIN / "python", HERE / "tables.py", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[tuple[str, str], list[dict]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        found.setdefault((line["reader"], line["file"]), []).append(line["row"])
    assert found == {(reader, file): rows for reader in ("polars", "duckdb") for file, rows in files.items()}
