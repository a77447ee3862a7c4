"""The smallest build that has every kind of job: a corpus of its own, and a server for each kind of teacher.

It takes seconds: two shards of captions, one of pictures to reason about, questions in two languages.
"""

import hashlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import nasty
import stand_in_server
from teachers import digest
from workflow import CAPTIONS as CAPTION_SOURCES
from workflow import PAGES

TARGETS = ("stage1", "stage2", "stage3")
ARTIFACTS = ("LLaVA_ReCap_558K", "llavaonevision_converted/iiit5k", "text2image", "image_thinking")
TURNS = [("human", "<image>\nWhat is it?"), ("gpt", "An ellipse.")]
CAPTIONS, PICTURES, QUESTIONS = 30, 8, 12
"""Rows of a shard of captions, of the pictures to reason about, and of the questions."""


@dataclass(frozen=True)
class Undisturbed:
    """The corpus as a mirror of the hub, and the sha256 of every file of `data/`."""

    hub: Path
    data: dict[str, str]


def write_hub(folder: Path) -> Path:
    """Write the corpus as a mirror of the hub; one row of each caption shard is rejected."""
    data = nasty.encoded(nasty.photograph(), "JPEG")
    captions = [(data, TURNS), (None, TURNS), *[(data, TURNS)] * (CAPTIONS - 2)]
    for number in range(2):
        _write(folder, f"lmms-lab/LLaVA-ReCap-558K/data/train-{number:05d}-of-00002", nasty.llava(captions))
    pictures = [nasty.encoded(nasty.photograph(30 + row, 20), "PNG") for row in range(PICTURES)]
    turns = [[("human", f"<image>\nWhat is {row}?"), ("gpt", f"{row}.")] for row in range(PICTURES)]
    table = nasty.llava(list(zip(pictures, turns, strict=True)))
    _write(folder, "lmms-lab/LLaVA-OneVision-Data/iiit5k/train-00000-of-00001", table)
    texts = ("What is {0} and {0}?", "{0}加{0}等于多少?")
    asked = [texts[row % 3 == 0].format(row) for row in range(QUESTIONS)]
    columns = {"instruction": asked, "input": [""] * QUESTIONS}
    columns["output"] = [str(2 * row) for row in range(QUESTIONS)]
    _write(folder, "tatsu-lab/alpaca/data/train-00000-of-00001", pa.table(columns))
    return folder


def _write(folder: Path, name: str, table: pa.Table) -> None:
    file = folder / f"{name}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file, row_group_size=10)


def small_config(hub: Path, base_url: str, managed: dict[str, Any] | None = None) -> dict[str, Any]:
    """The config of the build. `qwen3` is at `base_url` too, or `managed`; answers do not depend on it."""
    external = {"mode": "external", "model": "model", "base_urls": [base_url], "concurrency": 4}
    source = {"repo": "tatsu-lab/alpaca", "revision": "main"}
    source |= {"question": ["instruction", "input"], "reference": "output"}
    return {
        "hub": {"mirror": str(hub)},
        "sources": dict.fromkeys([*CAPTION_SOURCES[1:], *PAGES]),
        "onevision": {"configs": ["iiit5k"]},
        "text_reasoning": {"sources": [source], "batch_size": 6},
        "image_reasoning": {"samples_per_config": 5},
        "servers": {"qwen3": managed or external, "glm41v": external},
    }


def managed_teacher(folder: Path, *behaviour: str) -> dict[str, Any]:
    """The stand-in as a managed server that answers as `teachers.teach` does, and notes what it is asked."""
    noted = ("--pids", str(folder / "pids"), "--teach", str(folder / "asked"))
    return {
        "mode": "managed",
        "model": "model",
        "launcher": [sys.executable, stand_in_server.__file__],
        "args": [*noted, *behaviour],
        "max_model_len": 8192,
        "start_timeout": 300,
        "concurrency": 4,
        "restarts": 9,
    }


def digest_data(folder: Path) -> dict[str, str]:
    """The sha256 of every file below `data/`, by its path there."""
    files = (file for file in sorted((folder / "data").rglob("*")) if file.is_file())
    return {
        file.relative_to(folder / "data").as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
    }


def journaled(folder: Path) -> set[str]:
    """The digests (`teachers.digest`) of all answers in the journals of a build, torn lines aside."""
    files = (folder / "work/journal").rglob("*.jsonl")
    lines = [line for file in files for line in file.read_bytes().splitlines(keepends=True)]
    return {digest(json.loads(line)["record"]["content"]) for line in lines if line.endswith(b"\n")}
